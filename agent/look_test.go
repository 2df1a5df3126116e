package agent_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
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
		var l agent.Look // there are others, for the kernel's events about what was written
		nettest.Eventually(t, 5*time.Second, "the look", func() bool {
			told := took()
			n := slices.IndexFunc(told, func(l agent.Look) bool { return l.Applied })
			if n >= 0 {
				l = told[n]
			}
			return n >= 0
		})
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

// A device that another router waits for is no failure of the writes, and keeps no message
// from being counted; a look that is not settled counts none.
func TestALookBesideWhatIsMissing(t *testing.T) {
	p := nettest.NewTopology(t)
	first := world(p)
	other := first.Routers[0]
	other.ID, other.External = "r2", slices.Clone(other.External)
	other.External[0].Device = "qg-2"
	first.Routers = append(first.Routers, other)
	looks := make(chan agent.Look, 100)
	var fail atomic.Bool
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir})}
	k.apply = func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		r, err := k.Dataplane.Apply(ctx, c)
		if fail.Load() {
			r.Failures = append(r.Failures, dataplane.Failure{Op: "entry +", Err: errors.New("no room")})
		}
		return r, err
	}
	d := start(t, p.Dir, first, settings{kernel: k, retry: time.Hour, looked: func(l agent.Look) { looks <- l }})
	d.awaitReady(t)
	for len(looks) > 0 { // they are told of before they count for that
		<-looks
	}
	for _, c := range []struct {
		addr     netip.Addr
		fail     bool
		failures int
		end      agent.Outcome
	}{{p.InstanceAddr, false, 0, agent.Settled}, {p.InstanceAddr.Next(), true, 1, agent.Troubled}} {
		fail.Store(c.fail)
		d.Inventory().Because(inventory.Cause{Received: time.Now().Add(-time.Second)}).SetProxy(inventory.Proxy{ID: c.addr.String(), RouterID: "r1", Addr: c.addr})
		for l := range looks {
			if !l.Applied || l.Writes == 0 {
				continue // one before
			}
			if l.Failures != c.failures || l.End != c.end || (l.Message > 0) == c.fail {
				t.Errorf("%v: %+v", c.addr, l)
			}
			break
		}
	}
}
