package filter

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Every word of a rule that says what it does is in its form.
func TestFormSaysEverything(t *testing.T) {
	d := Device{Name: "qg-1", LinkLocal: netip.MustParseAddr("fe80::1")}
	want := []string{
		`meta key 6 into 1`, `cmp register 1 with 71672d31000000000000000000000000`,
		`payload base 1 offset 24 length 16 into 1`,
		`lookup set "guarded-qg-1" register 1`, `lookup set "published-qg-1" register 1 flags 1`,
		`counter`, `immediate data verdict 0 ""`,
	}
	if got := d.guard().form(); !slices.Equal(got, want) {
		t.Errorf("guard: %q", got)
	}
	if got := d.answer().form(); !slices.Contains(got, `payload base 1 offset 24 length 16 from 1 checksum 1 at 42`) {
		t.Errorf("answer: %q", got)
	}
	jump := rule{exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "c"}}}
	if got := jump.form(); !slices.Equal(got, form{`immediate data verdict -3 "c"`}) {
		t.Errorf("jump: %q", got)
	}
}

func FuzzReadForm(f *testing.F) {
	var list []netlink.Attribute
	for _, e := range (Device{Name: "qg-1", LinkLocal: netip.MustParseAddr("fe80::1")}).answer().exprs {
		b, err := expr.Marshal(unix.NFPROTO_IPV6, e)
		if err != nil {
			f.Fatal(err)
		}
		list = append(list, netlink.Attribute{Type: unix.NFTA_LIST_ELEM, Data: b})
	}
	b, err := netlink.MarshalAttributes(list)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte{4, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := readForm(b); len(got) > len(b)/4+1 {
			t.Fatalf("%d expressions in %d bytes", len(got), len(b))
		}
	})
}
