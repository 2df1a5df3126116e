package neigh

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func FuzzDecode(f *testing.F) {
	for _, e := range []Entry{
		{Index: 1, Addr: netip.MustParseAddr("2001:db8::1")},
		{Index: 1 << 30, Addr: netip.MustParseAddr("::"), Protocol: 110, Flags: FlagRouter},
	} {
		b, err := encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-3])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok, err := decode(b)
		if err != nil || !ok {
			return
		}
		if e.Flags&FlagProxy == 0 || !e.Addr.Is6() {
			t.Fatalf("decoded what is no proxy entry: %+v", e)
		}
		if e.Index <= 0 || e.Addr.Is4In6() {
			return // the kernel never says so, and encode refuses it
		}
		again, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := decode(again); err != nil || got != e {
			t.Fatalf("%v: %s", err, cmp.Diff(e, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
		}
	})
}

// FuzzDecodeCached: what the kernel may say of a neighbour is read, or is an error.
func FuzzDecodeCached(f *testing.F) {
	f.Add(append(header(1, unix.NUD_STALE, 0), 10, 0, unix.NDA_LLADDR, 0, 2, 0, 0, 0, 0, 1, 0, 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeCached(b)
		if err == nil && (n.State == "" || len(n.MAC) > len(b)) {
			t.Fatalf("%+v of %d bytes", n, len(b))
		}
	})
}
