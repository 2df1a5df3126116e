//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestHA: an HA router of two hosts with real keepalived and real L3 agents, one daemon on each host.
// Its parts share one router, each starts from a settled state.
func TestHA(t *testing.T) {
	h := setupHA(t)
	for _, c := range []struct {
		name string
		run  func(*ha)
	}{
		{"keepalived stopped", (*ha).keepalivedStopped},
		{"links cut", (*ha).linksCut},
		{"cut primary stays primary", (*ha).cutPrimaryStays},
		{"host killed", (*ha).hostKilled},
		{"both standby", (*ha).bothStandby},
		{"failover without a daemon", (*ha).failoverWithoutDaemon},
		{"standby is silent for a minute", (*ha).standbySilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			c.run(h.in(t))
			t.Logf("took %v", time.Since(began).Round(100*time.Millisecond))
		})
	}
}

// bothStandby: with keepalived gone on both hosts nobody answers.
func (h *ha) bothStandby() {
	h.settled()
	// hanging agents start no new keepalived
	h.finally(func(context.Context) error {
		return errors.Join(h.nodes[0].Signal("l3-agent", syscall.SIGCONT), h.nodes[1].Signal("l3-agent", syscall.SIGCONT))
	})
	for _, n := range h.nodes {
		h.must(n.Signal("l3-agent", syscall.SIGSTOP))
	}
	for _, n := range h.nodes {
		h.stopKeepalived(n)()
	}
	h.awaitHolders(15*time.Second, 0)
	gone := time.Now()
	h.await(time.Second, "proxy_ndp 0 on both hosts", func() bool {
		return !slices.ContainsFunc(h.nodes, func(n *lab.Node) bool {
			v, err := nettools.Sysctl(h.ns(n), "ipv6/conf/"+h.cloud.GatewayDev+"/proxy_ndp")
			return err != nil || v != "0"
		})
	})
	h.Logf("proxy_ndp 0 on both %v after both were seen without the address", time.Since(gone).Round(time.Millisecond))
	since := time.Now()
	probes := []*nettools.Prober{h.probe(h.nodes[0]), h.probe(h.nodes[1])}
	h.unreachable(5 * time.Second)
	h.pause(time.Second)
	for i, n := range h.nodes {
		h.Logf("%s: %d solicitations of each kind", n, h.stopProbe(probes[i]))
		h.silent(n, since)
	}
	for _, n := range h.nodes {
		h.must(n.Signal("l3-agent", syscall.SIGCONT))
	}
	active, _ := h.settled()
	h.Logf("%s is primary", active)
}

// failoverWithoutDaemon: the daemon of the standby was killed before it became primary. Whoever knows
// the neighbour is still served, because the gateway's MAC moves with the address and the filter is
// in place; nobody is answered, because the last thing the daemon wrote was a standby. Started, it
// does what is owed.
func (h *ha) failoverWithoutDaemon() {
	active, standby := h.settled()
	h.must(h.daemons[standby.Name].Kill())
	m, err := nettools.StartMonitor(h.ns(standby))
	h.must(err)
	defer m.Stop()
	since := time.Now()
	h.stopKeepalived(active)()
	_, err = m.Await(h.within(20*time.Second), "the gateway address on "+standby.Name, func(e nettools.Event) bool {
		return e.What == nettools.AddressAdded && e.Device == h.cloud.GatewayDev && e.Addr == h.cloud.Gateway
	})
	h.must(err)
	h.reachable(10 * time.Second) // once the L3 agent lets it forward
	h.must(nettools.Forget(h.ctx, lab.UpstreamNS, lab.UpstreamDev, h.inst.Addr))
	h.unreachable(5 * time.Second)
	h.silent(standby, since)

	began := time.Now()
	ping, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: h.inst.Addr})
	h.must(err)
	h.start(standby)
	ready := time.Now()
	announced := func(p nettools.Packet) bool { return p.Unsolicited() && p.Advertises(h.inst.Addr) }
	h.await(5*time.Second, "an announcement and an answered ping", func() bool {
		return !ping.LastReply().IsZero() && len(h.from(standby, began, announced)) > 0
	})
	r := ping.Stop()
	first := r.Pings[slices.IndexFunc(r.Pings, func(p nettools.Ping) bool { return !p.Lost() })]
	at := func(t time.Time) time.Duration { return t.Sub(began).Round(time.Millisecond) }
	h.Logf("after the daemon's start: announced %v, first reply %v, ready %v",
		at(h.from(standby, began, announced)[0].At), at(first.Sent.Add(first.RTT)), at(ready))
	h.settled()
}

// standbySilent: for a minute both hosts are asked for the published and the unpublished address, by
// multicast and by unicast, while the router is updated ten times and both daemons are restarted. No
// ping is lost, the primary answers every solicitation, the standby none.
func (h *ha) standbySilent() {
	const minute = time.Minute
	active, standby := h.settled()
	subnet, remove, err := h.cloud.MakeSubnet(h.ctx, "other-net")
	h.must(err)
	h.finally(func(ctx context.Context) error {
		_ = h.cloud.RemoveInterface(ctx, subnet) // it may be off already: the network's removal tells
		return remove(ctx)
	})
	since := time.Now()
	asked, heard := h.probe(standby), h.probe(active)
	h.pinging(func(p *nettools.Pinger) {
		h.must(p.AwaitSent(h.ctx, 50))
		h.tenUpdates(active, subnet)
		for _, n := range []*lab.Node{standby, active} {
			h.must(h.daemons[n.Name].Stop(h.ctx))
			h.must(p.AwaitSent(h.ctx, 50))
			h.start(n)
			h.must(h.daemons[n.Name].Kill())
			h.must(p.AwaitSent(h.ctx, 50))
			h.start(n)
		}
		h.Logf("updates and restarts took %v of the minute", time.Since(since).Round(100*time.Millisecond))
		h.pause(minute - time.Since(since))
	})
	sent, control := h.stopProbe(asked), h.stopProbe(heard)
	if took := time.Since(since); took < minute {
		h.Errorf("probed for %v only", took)
	}
	h.Logf("standby %s: %d multicast and %d unicast solicitations for each of %s and %s, advertisements of either: %d",
		standby, sent, sent, h.inst.Addr, h.hidden.Addr, len(h.from(standby, since, h.advertises)))
	h.silent(standby, since)
	answers := h.from(active, since, func(p nettools.Packet) bool { return p.Advertises(h.inst.Addr) && !p.Unsolicited() })
	h.Logf("primary %s: %d of each kind sent, %d answers", active, control, len(answers))
	// When the gateway moves, keepalived takes the old address away before it brings the new one.
	if len(answers) < 2*control-gatewayMoves*2 {
		h.Errorf("the primary answered %d of %d solicitations", len(answers), 2*control)
		for i := 1; i < len(answers); i++ {
			if gap := answers[i].At.Sub(answers[i-1].At); gap > 4*solicitEvery {
				h.Logf("no answer from %s for %v", answers[i-1].At.Format("15:04:05.000"), gap.Round(time.Millisecond))
			}
		}
	}
	if wrong := h.from(active, since, func(p nettools.Packet) bool { return p.Advertises(h.hidden.Addr) }); len(wrong) > 0 {
		h.Errorf("the primary advertised the unpublished address %d times", len(wrong))
	}
	if now, _ := h.settled(); now.Name != active.Name {
		h.Errorf("%s became primary meanwhile", now)
	}
}

// tenUpdates changes the router ten times, in each way that the guide's user may, and waits until
// both L3 agents have done them.
func (h *ha) tenUpdates(active *lab.Node, subnet string) {
	h.Helper()
	marks := map[string]lab.LogMark{}
	for _, n := range h.nodes {
		mark, err := n.MarkLog("l3-agent")
		h.must(err)
		marks[n.Name] = mark
	}
	devices := func() int {
		all, err := nettools.Devices(h.ctx, h.ns(active))
		h.must(err)
		return len(all)
	}
	before := devices()
	first := h.cloud.Gateway
	other := first.Next()
	for other == h.cloud.Upstream {
		other = other.Next()
	}
	for i := range 10 {
		switch i {
		case 1, 2:
			h.cloud.Gateway = map[int]netip.Addr{1: other, 2: first}[i]
			h.must(h.cloud.MoveGateway(h.ctx, h.cloud.Gateway))
			h.await(agentTime, "the gateway address "+h.cloud.Gateway.String(), func() bool {
				return slices.ContainsFunc(h.holders(), func(n *lab.Node) bool { return n.Name == active.Name })
			})
		case 4:
			h.must(h.cloud.AddInterface(h.ctx, subnet))
			h.await(agentTime, "the added interface", func() bool { return devices() == before+1 })
		case 7:
			h.must(h.cloud.RemoveInterface(h.ctx, subnet))
			h.await(agentTime, "the end of the added interface", func() bool { return devices() == before })
		default:
			h.must(h.cloud.UpdateRouter(h.ctx, lab.Fields{"description": fmt.Sprint("update ", i, " of ", time.Now())}))
		}
	}
	finished := regexp.MustCompile("Finished a router update for " + h.cloud.Router)
	asked := regexp.MustCompile("Got routers updated notification.*" + h.cloud.Router)
	for _, n := range h.nodes {
		h.await(agentTime, "the L3 agent of "+n.Name+" has done all updates", func() bool {
			done, err := marks[n.Name].Lines(finished)
			h.must(err)
			heard, err := marks[n.Name].Lines(asked)
			h.must(err)
			return len(heard) >= 10 && len(done) > 0 && strings.Compare(slices.Max(heard), slices.Max(done)) < 0
		})
	}
}

// gatewayMoves is how many of the router's updates of that minute give it another gateway address.
const gatewayMoves = 2
