package route

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzDecode(f *testing.F) {
	for _, r := range []Route{
		{Table: MainTable, Dst: netip.MustParsePrefix("2001:db8::1/128"), Via: netip.MustParseAddr("fe80::1"), Index: 7, Metric: 1024, Protocol: 110, Type: Unicast},
		{Table: 2852018311, Dst: netip.MustParsePrefix("::/0"), Src: netip.MustParsePrefix("2001:db8::/32"), OnLink: true},
	} {
		b, err := encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-3])
	}
	// Two next hops.
	hops := []byte{32, 0, unix.RTA_MULTIPATH, 0, 8, 0, 0, 0, 3, 0, 0, 0, 20, 0, unix.RTNH_F_ONLINK, 0, 4, 0, 0, 0, 8, 0, unix.RTA_GATEWAY, 0, 1, 2, 3, 4, 0, 0, 0, 0}
	f.Add(append(header(Route{Dst: netip.MustParsePrefix("2001:db8::1/128")}), hops...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decode(b)
		if err != nil {
			return
		}
		for _, r := range list {
			if !r.Dst.IsValid() || r.Dst != r.Dst.Masked() || r.Dst.Bits() != int(b[1]) {
				t.Fatalf("decoded %+v", r)
			}
			again, err := encode(r)
			if err != nil {
				continue // mapped addresses, which the kernel has none of
			}
			r.Other = false // not written
			if got, err := decode(again); err != nil || len(got) != 1 || got[0] != r {
				t.Fatalf("%+v became %+v, %v", r, got, err)
			}
		}
	})
}
