package probe

import (
	"net/netip"
	"testing"
)

// FuzzDecode: whatever is on the wire is read, or left out.
func FuzzDecode(f *testing.F) {
	na := append([]byte{0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}, make([]byte, 32)...)
	na = append(na, 136, 0, 0, 0, 0x60, 0, 0, 0)
	na = append(append(na, make([]byte, 16)...), 2, 1, 2, 0, 0, 0, 0, 1)
	f.Add(na)
	f.Add(na[:60])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := decode(b)
		if !ok {
			return
		}
		if len(p.from) != 6 || len(p.to) != 6 || !p.src.Is6() || !p.dst.Is6() {
			t.Fatalf("%+v", p)
		}
		if mac, ok := p.advertises(netip.IPv6Unspecified()); ok && len(mac) > len(b) {
			t.Fatalf("a link-layer address of %d bytes in %d", len(mac), len(b))
		}
		_ = p.solicits(netip.IPv6Unspecified())
	})
}
