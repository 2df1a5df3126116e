package filter_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/test/nettest"
)

const table = "ndp_test"

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func run(from string, n int) []netip.Addr {
	out := make([]netip.Addr, n)
	a := addr(from)
	for i := range out {
		out[i], a = a, a.Next()
	}
	return out
}

type bench struct {
	t  *testing.T
	ns *nettest.Namespace
	h  *netns.Handle
}

func newBench(t *testing.T) *bench {
	t.Helper()
	l := nettest.New(t)
	b := &bench{t: t, ns: l.Namespace("a")}
	var err error
	if b.h, err = netns.Open(l.Dir, "a"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.h.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) write(base *filter.Content, target filter.Content) {
	b.t.Helper()
	if err := filter.Write(b.t.Context(), b.h.FD(), table, base, target); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(deep bool) filter.Found {
	b.t.Helper()
	f, err := filter.Read(b.t.Context(), b.h.FD(), table, deep)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// holds compares what a deep read finds with the content, element by element.
func (b *bench) holds(want filter.Content) {
	b.t.Helper()
	f := b.read(true)
	got, known := f.Content()
	if !known || !f.Holds(want) {
		b.t.Errorf("problem %q, known %v, holds %v", f.Problem, known, f.Holds(want))
	}
	if !got.Equal(want) {
		b.t.Errorf("content:\n%s", cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })))
	}
	if f = b.read(false); !f.Holds(want) {
		b.t.Errorf("a quick read disagrees: %q", f.Problem)
	}
}

func device(name string, published []netip.Addr, guarded ...netip.Prefix) filter.Device {
	return filter.Device{Name: name, Published: published, Guarded: filter.Canonical(guarded), OriginalDelay: filter.NoDelay}
}

func content(devices ...filter.Device) filter.Content { return filter.Content{Devices: devices} }

// Contents of every shape are written whole and by difference, in every
// order, and read back as they are.
func TestWriteAndRead(t *testing.T) {
	b := newBench(t)
	withRule := device("qg-1", run("2001:db8::1", 3), prefix("2001:db8::/64"))
	withRule.LinkLocal, withRule.OriginalDelay = addr("fe80::1"), 800*time.Millisecond
	moved := withRule
	moved.LinkLocal = addr("fe80::2")
	contents := map[string]filter.Content{
		"nothing":            content(),
		"one device":         content(device("qg-1", run("2001:db8::1", 2), prefix("2001:db8::/64"))),
		"with the rule":      content(withRule),
		"another link-local": content(moved),
		"nothing published":  content(device("qg-1", nil, prefix("2001:db8::/64"))),
		"nothing guarded":    content(device("qg-1", run("2001:db8::1", 1))),
		"everything guarded": content(device("qg-1", run("2001:db8::1", 1), prefix("::/0"))),
		"to the last":        content(device("qg-1", nil, prefix("ffff::/16"), prefix("::/16"))),
		"overlaps":           content(device("qg-1", nil, prefix("2001:db8::/64"), prefix("2001:db8::/48"), prefix("2001:db8:1::/48"), prefix("2001:db8:3::/64"))),
		"odd names":          content(device("a.b@c_d~", run("2001:db8::1", 1)), device("a.b@c_d~é", run("2001:db8::2", 1), prefix("2001:db8::/64"))),
		"two devices":        content(device("qg-1", run("2001:db8::7", 5), prefix("2001:db8::/64")), withName(withRule, "qg-2")),
	}
	for from, a := range contents {
		b.write(nil, a)
		b.holds(a)
		for to, c := range contents {
			b.write(nil, a)
			b.write(&a, c)
			if b.holds(c); t.Failed() {
				t.Fatalf("from %q to %q\n%s", from, to, b.ns.Run("nft", "list", "ruleset"))
			}
		}
	}
	b.write(nil, content())
	if out := b.ns.Run("nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind:\n%s", out)
	}
}

func withName(d filter.Device, name string) filter.Device {
	d.Name = name
	return d
}

// 20,000 elements arrive complete: in one message google/nftables v0.3.0 would
// have truncated them in silence.
func TestLargeSetIsComplete(t *testing.T) {
	b := newBench(t)
	want := run("2001:db8::1", 20_000)
	base := content(device("qg-1", want, prefix("2001:db8::/64")))
	start := time.Now()
	b.write(nil, base)
	t.Logf("20,000 elements written in %s", time.Since(start))
	if f := b.read(true); !f.Holds(base) || f.Devices[0].Known {
		t.Errorf("problem %q; dumped above the limit: %v", f.Problem, f.Devices[0].Known)
	}
	out := b.ns.Run("nft", "list", "set", "ip6", table, "published-qg-1")
	if n := strings.Count(out, "2001:db8::"); n != len(want) {
		t.Errorf("nft shows %d elements, want %d", n, len(want))
	}
	// One more, by difference: nothing near the cost of the whole.
	next := content(device("qg-1", append(run("2001:db8::1", 20_000), addr("2001:db8:0:0:1::")), prefix("2001:db8::/64")))
	start = time.Now()
	b.write(&base, next)
	t.Logf("one more in %s", time.Since(start))
	if f := b.read(false); !f.Holds(next) {
		t.Errorf("after one more: %q", f.Problem)
	}
}

// Many rules in one transaction: every one is acknowledged, and echoed by the
// kernel besides.
func TestManyDevices(t *testing.T) {
	b := newBench(t)
	var c filter.Content
	for i := range 300 {
		d := device(fmt.Sprintf("qg-%03d", i), run("2001:db8::1", 3), prefix("2001:db8::/64"))
		d.LinkLocal = addr("fe80::1")
		c.Devices = append(c.Devices, d)
	}
	b.write(nil, c)
	b.holds(c)
	next := content(c.Devices[:299]...)
	b.write(&c, next)
	b.holds(next)
}

// Other tables are no concern of ours.
func TestOtherTablesStay(t *testing.T) {
	b := newBench(t)
	b.ns.Run("nft", "add table ip6 theirs; add set ip6 theirs published-qg-1 { type ipv6_addr; elements = { 2001:db8::1 } }; "+
		"add chain ip6 theirs forward { type filter hook forward priority 0; policy drop; }; add table inet "+table)
	before := b.ns.Run("nft", "list", "ruleset")
	a, c := content(device("qg-1", run("2001:db8::1", 2))), content(device("qg-2", nil, prefix("2001:db8::/64")))
	b.write(nil, a)
	b.write(&a, c)
	b.write(&c, content())
	if after := b.ns.Run("nft", "list", "ruleset"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if present, err := filter.Present(t.Context(), b.h.FD(), table); err != nil || present {
		t.Errorf("present: %v, %v", present, err)
	}
}
