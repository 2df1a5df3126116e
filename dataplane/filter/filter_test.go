package filter_test

import (
	"errors"
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

// What somebody changes by hand is found: quickly what the kernel shows
// without a dump of large sets, deeply the rest.
func TestChangesByHandAreFound(t *testing.T) {
	b := newBench(t)
	d := device("qg-1", run("2001:db8::1", 3), prefix("2001:db8::/64"))
	d.LinkLocal = addr("fe80::1")
	want := content(d, device("qg-2", run("2001:db8::1", 1)))
	nft := func(commands ...string) func() {
		return func() {
			for _, c := range commands {
				b.ns.Run("nft", strings.ReplaceAll(c, "TABLE", "ip6 "+table))
			}
		}
	}
	handle := func(chain string) string {
		out := b.ns.Run("nft", "-a", "list", "chain", "ip6", table, chain)
		for line := range strings.Lines(out) {
			if strings.Contains(line, "iifname") {
				_, h, _ := strings.Cut(line, "# handle ")
				return strings.TrimSpace(h)
			}
		}
		t.Fatal(out)
		return ""
	}
	b.write(nil, want)
	counts, err := filter.KernelCounts(t.Context(), b.h.FD(), table)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do func()
		// deepOnly changes are seen by a dump of the elements alone, counted
		// ones also by a kernel that counts them.
		deepOnly, counted bool
	}{
		"table deleted":       {do: nft("delete table TABLE")},
		"rules flushed":       {do: nft("flush chain TABLE forward")},
		"chain emptied":       {do: nft("flush chain TABLE prerouting")},
		"rule added":          {do: nft("insert rule TABLE forward accept")},
		"rule deleted":        {do: func() { nft("delete rule TABLE forward handle " + handle("forward"))() }},
		"rule replaced":       {do: func() { nft("replace rule TABLE forward handle " + handle("forward") + " accept")() }},
		"policy changed":      {do: nft("chain TABLE forward { policy drop; }")},
		"guard removed":       {do: nft("flush set TABLE guarded-qg-1")},
		"guard added":         {do: nft("add element TABLE guarded-qg-1 { 2001:db8:1::/64 }")},
		"element deleted":     {do: nft("delete element TABLE published-qg-1 { 2001:db8::2 }"), counted: true},
		"element added":       {do: nft("add element TABLE published-qg-1 { 2001:db8::9 }"), counted: true},
		"element exchanged":   {do: nft("delete element TABLE published-qg-1 { 2001:db8::2 }", "add element TABLE published-qg-1 { 2001:db8::9 }"), deepOnly: true},
		"record deleted":      {do: nft("flush set TABLE record")},
		"set added":           {do: nft("add set TABLE mine { type ipv6_addr; }")},
		"put to sleep":        {do: nft("add table TABLE { flags dormant; }")},
		"chains of their own": {do: nft("add chain TABLE theirs", "add rule TABLE theirs ip6 saddr { ::1, ::2 } accept", "add rule TABLE forward jump theirs")},
		"another hook": {do: nft("flush chain TABLE forward", "delete chain TABLE forward",
			"add chain TABLE forward { type filter hook input priority 0; }")},
		"other device's sets": {do: nft("flush set TABLE published-qg-2"), counted: true},
	} {
		b.write(nil, want)
		b.holds(want)
		c.do()
		if quick := b.read(false).Holds(want); quick != (c.deepOnly || c.counted && !counts) {
			t.Errorf("%s: a quick read says %v", name, quick)
		}
		if b.read(true).Holds(want) {
			t.Errorf("%s: a deep read does not see it", name)
		}
	}
	// A difference computed from what is no more there changes nothing.
	b.write(nil, want)
	b.ns.Run("nft", "delete", "element", "ip6", table, "published-qg-1", "{ 2001:db8::2 }")
	err = filter.Write(t.Context(), b.h.FD(), table, &want, content(device("qg-1", run("2001:db8::1", 1), prefix("2001:db8::/64"))))
	if !errors.Is(err, filter.ErrConflict) {
		t.Errorf("error %v", err)
	}
	if got := b.read(true).Devices; len(got) != 2 || len(got[0].Published) != 2 {
		t.Errorf("a transaction that failed changed something: %+v", got)
	}
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
