//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// announceBound is the issue's: from the gateway's address on the new primary to the first
// advertisement on the wire.
const announceBound = 20 * time.Millisecond

// healBound is for the upstream router to reach the one primary that is left of two. It is far below
// what it takes without an advertisement (see cutPrimaryStays).
const healBound = 5 * time.Second

// failover is what was seen of one, in wall clock times of this machine.
type failover struct {
	from, to   *lab.Node
	began      time.Time
	address    time.Time // the gateway's address appeared on the new primary (rtnetlink, as read)
	proxy      time.Time // proxy_ndp became 1
	announced  time.Time // first unsolicited advertisement of the published address on the wire (kernel time)
	keepalived time.Time // first advertisement of the gateway's own address on the wire, keepalived's
	forwarding time.Time // the L3 agent set forwarding to 1
	last       time.Time // the last reply to a ping before the longest silence,
	recovered  time.Time // and the first one after it
	count      int       // advertisements of the published address within a second
}

// delay is what the issue bounds. What keepalived sends after it has added the address proves that
// it was there, if our reading of the event was later.
func (f failover) delay() time.Duration {
	if !f.keepalived.IsZero() && f.keepalived.Before(f.address) {
		return f.announced.Sub(f.keepalived)
	}
	return f.announced.Sub(f.address)
}

// late tells whether the advertisement did not leave in time. One that precedes the address by more
// than our reading may be late is as wrong.
func (f failover) late() bool { return f.delay() >= announceBound || f.delay() <= -announceBound }

func (f failover) String() string {
	var b strings.Builder
	rel := func(what string, at time.Time) {
		if at.IsZero() {
			fmt.Fprintf(&b, "\n  %-44s not seen", what)
			return
		}
		fmt.Fprintf(&b, "\n  %-44s %+10.3f ms", what, float64(at.Sub(f.address).Microseconds())/1000)
	}
	fmt.Fprintf(&b, "failover %s to %s, relative to the gateway address on the new primary:", f.from, f.to)
	rel("cause", f.began)
	rel("last reply to a ping before", f.last)
	rel("proxy_ndp 1", f.proxy)
	rel("first advertisement of the published address", f.announced)
	rel("first advertisement of the gateway address", f.keepalived)
	rel("forwarding 1 (L3 agent)", f.forwarding)
	rel("first reply to a ping after", f.recovered)
	fmt.Fprintf(&b, "\n  from the address to the advertisement %v; advertisements in the first second %d, no reply for %v",
		f.delay().Round(time.Microsecond), f.count, f.recovered.Sub(f.last).Round(time.Millisecond))
	return b.String()
}

// failover runs cause, which must make the other host primary, and measures. The ping recovers, or
// the test ends.
func (h *ha) failover(from *lab.Node, cause func()) failover {
	h.Helper()
	f := failover{from: from, to: h.other(from)}
	m, err := nettools.StartMonitor(h.ns(f.to))
	h.must(err)
	defer m.Stop()
	ping, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: h.inst.Addr})
	h.must(err)
	var report nettools.PingReport
	stopped := false
	stop := func() {
		if !stopped {
			stopped, report = true, ping.Stop()
		}
	}
	defer stop()
	h.must(ping.AwaitSent(h.ctx, 50))

	f.began = time.Now()
	cause()
	e, err := m.Await(h.within(30*time.Second), "the gateway address on "+f.to.Name, func(e nettools.Event) bool {
		return e.What == nettools.AddressAdded && e.Device == h.cloud.GatewayDev && e.Addr == h.cloud.Gateway
	})
	h.must(err)
	f.address = e.At
	h.await(20*time.Second, "an answered ping after the failover", func() bool { return ping.LastReply().After(f.address) })
	h.must(ping.AwaitSent(h.ctx, 100))
	stop()
	f.last, f.recovered = silence(report, f.began)
	f.proxy = h.sysctlSet(m, f.address, nettools.ProxyNDP)
	f.forwarding = h.sysctlSet(m, f.address, nettools.Forwarding)
	for _, p := range h.from(f.to, f.began, nettools.Packet.Unsolicited) {
		switch {
		case p.Advertises(h.cloud.Gateway) && f.keepalived.IsZero():
			f.keepalived = p.At
		case p.Advertises(h.inst.Addr):
			if f.announced.IsZero() {
				f.announced = p.At
			}
			if p.At.Before(f.address.Add(time.Second)) {
				f.count++
			}
		}
	}
	h.Log(f)
	if f.announced.IsZero() {
		h.logBoth()
		h.Fatalf("%s did not announce %s", f.to, h.inst.Addr)
	}
	return f
}

// silence returns the replies before and after the longest time without one, from the last before
// began on. Replies and not requests count: one may have waited for its neighbour to be resolved.
func silence(r nettools.PingReport, began time.Time) (last, next time.Time) {
	var replies []time.Time
	for _, p := range r.Pings {
		if !p.Lost() {
			replies = append(replies, p.Sent.Add(p.RTT))
		}
	}
	slices.SortFunc(replies, time.Time.Compare)
	for i, at := range replies {
		if i > 0 && at.After(began) && at.Sub(replies[i-1]) > next.Sub(last) {
			last, next = replies[i-1], at
		}
	}
	return last, next
}

// sysctlSet returns when a sysctl of the gateway device became 1 after the failover had begun; a
// change just before the address is one too.
func (h *ha) sysctlSet(m *nettools.Monitor, after time.Time, what string) time.Time {
	h.Helper()
	events, err := m.Events(func(e nettools.Event) bool {
		return e.What == what && e.Device == h.cloud.GatewayDev && e.Value == 1 && e.At.After(after.Add(-announceBound))
	})
	h.must(err)
	if len(events) == 0 {
		return time.Time{}
	}
	return events[0].At
}

// inTime requires that the advertisement left in time. The bound is far above what it takes on an
// idle machine and far below a scheduler's worst hiccup: one is forgiven by a second failover.
func (h *ha) inTime(f failover) {
	h.Helper()
	if !f.late() {
		return
	}
	h.Logf("the advertisement left %v after the address: once more", f.delay())
	active, _ := h.settled()
	if f = h.failover(active, h.stopKeepalived(active)); f.late() {
		h.Errorf("the first advertisement left %v after the address appeared on %s, must be under %v, twice in a row", f.delay(), f.to, announceBound)
	}
}

// stopKeepalived ends keepalived of the router in good order; the L3 agent's process monitor starts
// another.
func (h *ha) stopKeepalived(n *lab.Node) func() {
	return func() { h.must(n.SignalKeepalived(h.cloud.Router, syscall.SIGTERM)) }
}

// secondIsPrimary makes the second host, the one that can be cut off, the primary.
func (h *ha) secondIsPrimary() *lab.Node {
	h.Helper()
	active, standby := h.settled()
	if active.Name == lab.Host2 {
		return active
	}
	h.inTime(h.failover(active, h.stopKeepalived(active)))
	h.settled()
	return standby
}

// keepalivedStopped: the primary resigns.
func (h *ha) keepalivedStopped() {
	active, _ := h.settled()
	h.inTime(h.failover(active, h.stopKeepalived(active)))
	now, standby := h.settled() // with keepalived again on both
	if now.Name == active.Name {
		h.Errorf("%s is primary again", active)
	}
	h.silent(standby, time.Now().Add(-time.Second))
}

// linksCut: the primary loses its links and does not know it; both are primary until they meet again,
// and VRRP chooses.
func (h *ha) linksCut() {
	second := h.secondIsPrimary()
	h.finally(second.Heal)
	h.inTime(h.failover(second, func() { h.must(second.Cut(h.ctx)) }))
	if got := h.holders(); len(got) != 2 {
		h.Errorf("primaries while the link is cut: %v, want both", got)
	}
	h.heal(second)
}

// cutPrimaryStays: of two primaries the one that was cut off is left. Nothing changes in its namespace,
// and it has not heard the other, so keepalived sends nothing; but the switches have learned that the
// gateway's MAC is on the other host. Without an advertisement of the daemon's the upstream router
// reaches nothing until its neighbour unreachability detection has given up (RFC 4861 section 10: 45 s
// REACHABLE, 5 s DELAY, 3 s PROBE).
func (h *ha) cutPrimaryStays() {
	second := h.secondIsPrimary()
	h.finally(second.Heal)
	h.inTime(h.failover(second, func() { h.must(second.Cut(h.ctx)) }))
	first := h.other(second)
	h.stopKeepalived(first)() // its last word is not heard
	h.await(5*time.Second, first.Name+" without the address", func() bool {
		return slices.Equal(h.holders(), []*lab.Node{second})
	})
	if port := h.switchPort(); port != first.UpstreamPort() {
		h.Errorf("the switch has the gateway's MAC on %s, not on %s: the test proves nothing", port, first.UpstreamPort())
	}
	healed := time.Now()
	h.heal(second)
	if all := h.from(second, healed, nettools.Packet.Unsolicited); len(all) == 0 || !all[0].Advertises(h.inst.Addr) {
		h.Errorf("the first advertisement after the links came back is not for %s: %v", h.inst.Addr, all)
	} else {
		h.Logf("announced %v after the links came back", all[0].At.Sub(healed).Round(time.Millisecond))
	}
}

// heal gives the second host its links back and requires that soon one primary is left, that it is
// reached and that the other is silent.
func (h *ha) heal(second *lab.Node) {
	h.Helper()
	ping, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: h.inst.Addr})
	h.must(err)
	defer ping.Stop()
	healed := time.Now()
	h.must(second.Heal(h.ctx))
	h.awaitHolders(30*time.Second, 1)
	one, left, switched := time.Now(), h.holders(), h.switchPort()
	h.Logf("one primary %v after the links came back: %v; the switch has the gateway's MAC on %s", one.Sub(healed).Round(time.Millisecond), left, switched)
	h.await(healBound, "an answered ping with one primary", func() bool { return ping.LastReply().After(one) })
	h.Logf("a ping is answered %v after the links came back", ping.LastReply().Sub(healed).Round(time.Millisecond))
	_, standby := h.settled()
	since := time.Now()
	p := h.probe(standby)
	h.pause(time.Second)
	h.Logf("healed: %d solicitations of each kind to %s", h.stopProbe(p), standby)
	h.silent(standby, since)
}

// switchPort is the port of the upstream router's bridge to which it sends frames for the gateway.
func (h *ha) switchPort() string {
	h.Helper()
	out, err := nettools.Run(h.ctx, "bridge", "-n", lab.UpstreamNS, "-json", "fdb", "show", "br", lab.UpstreamDev)
	h.must(err)
	var entries []struct{ MAC, Ifname string }
	h.must(json.Unmarshal(out, &entries))
	for _, e := range entries {
		if e.MAC == h.mac.String() {
			return e.Ifname
		}
	}
	return "no port"
}

// hostKilled: the primary is gone with everything on it, and comes back.
func (h *ha) hostKilled() {
	second := h.secondIsPrimary()
	h.finally(second.Heal)
	h.inTime(h.failover(second, func() { h.must(second.Crash(h.ctx)) }))
	select {
	case <-h.daemons[second.Name].Exited():
	case <-time.After(time.Second):
		h.Fatal("the daemon of the killed host lives")
	}
	began := time.Now()
	revived := make(chan error, 1)
	go func() { revived <- second.Revive(h.ctx) }()
	h.start(second) // before the L3 agent has built anything
	h.must(<-revived)
	active, standby := h.settled()
	h.Logf("%s is back as standby of %s after %v", standby, active, time.Since(began).Round(time.Millisecond))
	if active.Name == second.Name {
		h.Errorf("%s came back as primary", second)
	}
	h.silent(second, began)
}
