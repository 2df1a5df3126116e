package agent_test

import (
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/test/nettest"
)

// One line tells of a change with the request that was its reason, and whoever counts
// hears how long it took from the message to the kernel; a look that finds nothing to
// do is quiet.
func TestALookTellsWhy(t *testing.T) {
	p := nettest.NewTopology(t)
	var mu sync.Mutex
	var looks []agent.Look
	d := start(t, p.Dir, world(p), settings{looked: func(l agent.Look) {
		mu.Lock()
		defer mu.Unlock()
		looks = append(looks, l)
	}})
	d.awaitReady(t)
	took := func() []agent.Look {
		mu.Lock()
		defer mu.Unlock()
		out := looks
		looks = nil
		return out
	}
	for _, l := range took() {
		if l.Message != 0 {
			t.Errorf("no message came, but %+v", l)
		}
	}
	proxy := inventory.Proxy{ID: "p1", RouterID: "r1", Addr: p.InstanceAddr}
	const late = 5 * time.Second // as if the message had waited for so long
	for _, c := range []struct {
		line, request string
		tell          func(inventory.Told) bool
	}{
		{"answering", "req-make", func(i inventory.Told) bool { return i.SetProxy(proxy) }},
		{"withdrawn", "req-remove", func(i inventory.Told) bool { return i.RemoveProxy(proxy) }},
	} {
		c.tell(d.Inventory().Because(inventory.Cause{Request: c.request, Received: time.Now().Add(-late)}))
		nettest.Eventually(t, 5*time.Second, "the line "+c.line, func() bool { return d.logs.FilterMessage(c.line).Len() == 1 })
		line := d.logs.FilterMessage(c.line).All()[0].ContextMap()
		if line["request"] != c.request || line["router"] != "r1" || line["addresses"].([]any)[0] != p.InstanceAddr.String() {
			t.Errorf("%s: %v", c.line, line)
		}
		var told []agent.Look
		nettest.Eventually(t, 5*time.Second, "the look", func() bool { told = append(told, took()...); return len(told) > 0 })
		l := told[0]
		if !l.Applied || l.Writes == 0 || l.Failures != 0 || l.End != agent.Settled || l.Message < late || l.Message > late+5*time.Second {
			t.Errorf("%s: %+v", c.line, l)
		}
	}
	// The reason was for those looks only.
	lines := d.logs.Len()
	d.LookAgain()
	nettest.Eventually(t, 5*time.Second, "another look", func() bool { l := took(); return len(l) > 0 && l[0].Message == 0 && !l[0].Applied })
	if n := d.logs.Len() - lines; n != 0 {
		t.Errorf("%d lines of a look that found nothing to do", n)
	}
}
