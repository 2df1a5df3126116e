package link

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzDecodeLink(f *testing.F) {
	b := make([]byte, ifinfoLen)
	b[4], b[8] = 7, unix.IFF_UP|unix.IFF_RUNNING
	f.Add(append(b, 9, 0, unix.IFLA_IFNAME, 0, 'q', 'g', '-', '1', 0, 0, 0, 0))
	f.Add(b[:5])
	// IFLA_AF_SPEC with AF_INET6 with IFLA_INET6_CONF, as far as disable_ipv6.
	conf := append([]byte{112, 0, unix.IFLA_INET6_CONF, 0}, make([]byte, 4*(devconfDisableIPv6+1))...)
	conf[4+4*devconfDisableIPv6] = 1
	off := slices.Concat(b, []byte{120, 0, unix.IFLA_AF_SPEC, 0, 116, 0, unix.AF_INET6, 0}, conf)
	if i, err := decodeLink(off); err != nil || !i.DisableIPv6 {
		f.Fatalf("%+v, %v", i, err)
	}
	f.Add(off)
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := decodeLink(b)
		if err == nil && len(b) < ifinfoLen {
			t.Fatalf("%+v from %d bytes", i, len(b))
		}
	})
}

func FuzzDecodeAddr(f *testing.F) {
	b := make([]byte, ifaddrLen)
	b[0], b[1], b[4] = unix.AF_INET, 24, 7
	f.Add(append(b, 8, 0, unix.IFA_ADDRESS, 0, 192, 0, 2, 1))
	f.Add(append(b, 8, 0, unix.IFA_ADDRESS, 0, 192, 0, 2, 1, 8, 0, unix.IFA_LOCAL, 0, 192, 0, 2, 2, 8, 0, unix.IFA_FLAGS, 0, 0x40, 0, 0, 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, a, _, err := decodeAddr(b)
		if err != nil || !a.Prefix.IsValid() {
			return
		}
		if a.Prefix.Bits() != int(b[1]) || a.Prefix.Bits() > a.Prefix.Addr().BitLen() {
			t.Fatalf("%+v", a)
		}
	})
}
