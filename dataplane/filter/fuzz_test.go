package filter

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// FuzzAttributes: what a table that is not ours may hold anywhere is read, or is
// an error, and no more comes out than went in.
func FuzzAttributes(f *testing.F) {
	elem, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_SET_ELEM_FLAGS, Data: []byte{0, 0, 0, 1}},
		{Type: unix.NFTA_SET_ELEM_KEY | unix.NLA_F_NESTED, Data: []byte{8, 0, 1, 0, 1, 2, 3, 4}},
		{Type: unix.NFTA_SET_ELEM_USERDATA, Data: []byte{0, 4, 'a', 'b', 'c', 0}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(elem)
	f.Add(elem[:len(elem)-3])
	f.Add([]byte{4, 0, 1, 0})
	f.Add([]byte{0, 255, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := commentOf(b); len(s) > len(b) {
			t.Fatalf("comment of %d bytes in %d", len(s), len(b))
		}
		a, err := parse(b)
		if err != nil {
			return
		}
		total := 0
		for kind, data := range a {
			total += len(data)
			_, _ = a.uint32(kind), a.text(kind)
			for inner := range a.nested(kind) {
				_ = a.nested(kind).text(inner)
			}
		}
		if total > len(b) {
			t.Fatalf("%d bytes of %d", total, len(b))
		}
	})
}

// FuzzPrefixes: the bounds of a set, in whatever order and number, are prefixes
// that are whole, apart, and not many.
func FuzzPrefixes(f *testing.F) {
	f.Add([]byte{0x20, 1, 64, 0, 0x20, 2, 64, 1})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 128, 1, 0xff, 0xff, 128, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 256 {
			return
		}
		var bounds []bound
		for c := range slices.Chunk(raw, 4) {
			if len(c) < 4 {
				break
			}
			a := netip.AddrFrom16([16]byte{c[0], c[1], 15: c[2]})
			bounds = append(bounds, bound{a, c[3]&1 == 1})
		}
		// As elements() sorts them, and as they came.
		for range 2 {
			out := prefixesOf(bounds)
			if len(out) > 256*(len(bounds)+1) {
				t.Fatalf("%d prefixes of %d bounds", len(out), len(bounds))
			}
			for i, p := range out {
				if !p.IsValid() || p != p.Masked() || i > 0 && out[i-1].Overlaps(p) {
					t.Fatalf("%v", out)
				}
			}
			slices.SortFunc(bounds, func(a, b bound) int { return a.addr.Compare(b.addr) })
		}
	})
}
