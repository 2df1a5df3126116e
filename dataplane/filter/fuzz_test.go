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

// FuzzForeign: whatever others have in their rules is judged, or is an error.
func FuzzForeign(f *testing.F) {
	nest := func(list ...netlink.Attribute) []byte {
		b, err := netlink.MarshalAttributes(list)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	expr := func(name string, data ...netlink.Attribute) netlink.Attribute {
		return netlink.Attribute{Type: unix.NFTA_LIST_ELEM, Data: nest(
			netlink.Attribute{Type: unix.NFTA_EXPR_NAME, Data: append([]byte(name), 0)},
			netlink.Attribute{Type: unix.NFTA_EXPR_DATA | unix.NLA_F_NESTED, Data: nest(data...)})}
	}
	number := func(kind uint16, v byte) netlink.Attribute {
		return netlink.Attribute{Type: kind, Data: []byte{0, 0, 0, v}}
	}
	f.Add(nest(
		expr("payload", number(unix.NFTA_PAYLOAD_DREG, 1), number(unix.NFTA_PAYLOAD_BASE, 1), number(unix.NFTA_PAYLOAD_OFFSET, 24), number(unix.NFTA_PAYLOAD_LEN, 16)),
		expr("bitwise", number(unix.NFTA_BITWISE_SREG, 1), number(unix.NFTA_BITWISE_DREG, 1)),
		expr("cmp", number(unix.NFTA_CMP_SREG, 1), number(unix.NFTA_CMP_OP, 0)),
		expr("immediate", number(unix.NFTA_IMMEDIATE_DREG, 0)),
	))
	f.Add([]byte{})
	p := Passage{External: "qg-1", Internal: "qr-1", Addr: netip.MustParseAddr("2001:db8::1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRule(attributes{unix.NFTA_RULE_EXPRESSIONS: b})
		if err != nil {
			return
		}
		c := &foundChain{name: "c", base: true, filter: true, hook: unix.NF_INET_FORWARD, rules: []foundRule{r, r}}
		s := ruleset{chains: map[string]*foundChain{"c": c}}
		var found Foreign
		for _, packet := range p.packets() {
			s.judge(packet, &found)
		}
		if n := len(found.Drops) + len(found.Doubts); n > 4 {
			t.Fatalf("%d drops by 2 rules, of 2 packets that are forwarded", n)
		}
	})
}
