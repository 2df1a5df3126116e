package agent_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/test/nettest"
)

// counting are the addresses that follow one.
func counting(a netip.Addr, n int) []netip.Addr {
	var out []netip.Addr
	for range n {
		a = a.Next()
		out = append(out, a)
	}
	return out
}

// Thirty thousand addresses that nobody may publish take some lines of the
// log once, however often the namespace is looked at, and the one that is good
// is answered for meanwhile.
func TestManyRefusals(t *testing.T) {
	p := nettest.NewTopology(t)
	first := world(p, p.InstanceAddr)
	for i, a := range counting(netip.MustParseAddr("2001:db8:bad::"), 30_000) {
		first.Proxies = append(first.Proxies, inventory.Proxy{ID: fmt.Sprint("bad", i), RouterID: "r1", Addr: a})
	}
	d := start(t, p.Dir, first, settings{audit: 300 * time.Millisecond})
	nettest.Eventually(t, time.Minute, "the good one", func() bool { return strings.Contains(entries(p), p.InstanceAddr.String()) })
	refused := func() int { return d.logs.FilterMessageSnippet("not published").Len() }
	nettest.Eventually(t, time.Minute, "the refusals", func() bool { return refused() > 0 })
	time.Sleep(time.Second) // some audits
	if n := refused(); n != 17 {
		t.Errorf("%d lines", n)
	}
	if totals := d.Totals(); totals.Failed != 30_000 {
		t.Errorf("%+v", totals)
	}
}

// What a device has no room for is refused, said once, and counted; what was
// published before stays; and there is room again when something goes.
func TestMoreThanADeviceMayPublish(t *testing.T) {
	p := nettest.NewTopology(t)
	const most = 10
	all := counting(p.InstanceAddr, 50)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{audit: 100 * time.Millisecond, plan: plan.Options{Most: most}})
	d.awaitReady(t)
	nettest.Eventually(t, time.Minute, "the first", func() bool { return strings.Contains(entries(p), p.InstanceAddr.String()) })
	flood := func(n int) {
		for i, a := range all[:n] {
			// Lower addresses than the first one's come first in any order.
			d.Inventory().SetProxy(inventory.Proxy{ID: fmt.Sprint("f", i), RouterID: "r1", Addr: a})
		}
	}
	flood(50)
	published := func() int { return strings.Count(entries(p), "proxy proto 110") }
	nettest.Eventually(t, time.Minute, "as many as there is room for", func() bool { return published() == most })
	nettest.Eventually(t, time.Minute, "the count", func() bool { return d.Totals().Failed == 41 })
	time.Sleep(300 * time.Millisecond)
	said := d.logs.FilterMessageSnippet("more addresses than a device may publish").Len()
	if n := published(); n != most || said != 1 || !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Errorf("%d published, said %d times:\n%s", n, said, entries(p))
	}
	d.Inventory().RemoveProxy(inventory.Proxy{ID: "p-" + p.InstanceAddr.String(), RouterID: "r1"})
	for i := range all {
		if i >= most {
			d.Inventory().RemoveProxy(inventory.Proxy{ID: fmt.Sprint("f", i), RouterID: "r1"})
		}
	}
	nettest.Eventually(t, time.Minute, "room again", func() bool {
		return published() == most && d.logs.FilterMessageSnippet("there is room").Len() == 1
	})
	if totals := d.Totals(); totals.Failed != 0 {
		t.Errorf("%+v", totals)
	}
}
