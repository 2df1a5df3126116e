//go:build lab

package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// ha is an HA router on two hosts, each with its L3 agent, its keepalived and our daemon; a published
// and an unpublished instance on the first.
type ha struct {
	*world
	top     *testing.T // daemons live as long as all subtests
	nodes   []*lab.Node
	daemons map[string]*lab.Daemon       // by host
	wire    map[string]*nettools.Capture // by host: the upstream router's port that leads there and nowhere else
	hidden  *lab.Instance
	mac     net.HardwareAddr // of the gateway device, the same on both hosts
}

// setupHA makes the cloud; the daemons are started, the router has one primary.
func setupHA(t *testing.T) *ha {
	t.Helper()
	if os.Getenv("LAB_HOST2") != "1" || os.Getenv("LAB_L2") == "ovs" {
		t.Skip("needs a lab with two hosts and Linux bridges: LAB_HOST2=1")
	}
	w := outer(t)
	var err error
	w.cloud, err = w.lab.EnsureCloudOf(w.within(45*time.Second), w.api, lab.Fields{"ha": true})
	if err != nil && w.cloud != nil {
		// seen once in some ten labs: Neutron's monitor of keepalived says nothing on one host, and the
		// gateway's port stays unbound
		t.Logf("Neutron did not bring the router up, once more with a new keepalived and monitor: %v", err)
		for _, state := range w.lab.HAState(w.ctx) {
			t.Log(state)
		}
		w.must(w.lab.RestartHA(w.cloud.Router))
		w.cloud, err = w.lab.EnsureCloudOf(w.ctx, w.api, lab.Fields{"ha": true})
	}
	w.must(err)
	h := &ha{world: w, top: t, daemons: map[string]*lab.Daemon{}, wire: map[string]*nettools.Capture{}}
	w.inst, err = w.cloud.EnsureInstance(w.ctx, lab.InstanceName, netip.Addr{})
	w.must(err)
	h.hidden, err = w.cloud.EnsureInstance(w.ctx, "hidden", netip.Addr{})
	w.must(err)
	w.must(w.cloud.PublishOnly(w.ctx, w.inst))
	w.unreachable(10 * time.Second) // without a daemon
	h.mac = h.macOf(w.cloud.Namespace, w.cloud.GatewayDev)
	for _, name := range []string{lab.Host, lab.Host2} {
		n, err := w.lab.Node(name)
		w.must(err)
		h.nodes = append(h.nodes, n)
		h.wire[name], err = nettools.StartCapture(lab.UpstreamNS, n.UpstreamPort())
		w.must(err)
		t.Cleanup(h.wire[name].Stop)
		h.start(n)
	}
	return h
}

// in is the same for a subtest.
func (h *ha) in(t *testing.T) *ha {
	t.Helper()
	sub := *h
	sub.world = h.world.in(t)
	return &sub
}

// start starts a daemon on a host and waits until it is ready.
func (h *ha) start(n *lab.Node) {
	h.Helper()
	began := time.Now()
	// a veth pair is the lab's physical link
	d := h.lab.StartDaemon(h.top, lab.DaemonConfig{Node: n, Ours: "uplinks = lab-ext0\n"})
	h.daemons[n.Name] = d
	h.must(d.Ready(h.within(30 * time.Second)))
	h.Logf("daemon on %s ready after %v", n, time.Since(began).Round(time.Millisecond))
}

func (h *ha) macOf(ns, device string) net.HardwareAddr {
	h.Helper()
	text, err := lab.MACOf(h.ctx, ns, device)
	h.must(err)
	mac, err := net.ParseMAC(text)
	h.must(err)
	return mac
}

// ns is the router's namespace on a host.
func (h *ha) ns(n *lab.Node) string { return n.NS(h.cloud.Namespace) }

func (h *ha) other(n *lab.Node) *lab.Node {
	if n.Name == h.nodes[0].Name {
		return h.nodes[1]
	}
	return h.nodes[0]
}

// holders are the hosts on which the gateway device has the gateway's own address.
func (h *ha) holders() []*lab.Node {
	h.Helper()
	return slices.DeleteFunc(slices.Clone(h.nodes), func(n *lab.Node) bool {
		out, err := nettools.IP(h.ctx, h.ns(n), "-6", "-o", "addr", "show", "dev", h.cloud.GatewayDev)
		return err != nil || !strings.Contains(string(out), " "+h.cloud.Gateway.String()+"/")
	})
}

// unready says what is missing until a host is programmed for its part; "" if nothing is.
func (h *ha) unready(n *lab.Node, active bool) string {
	k, err := nettools.ReadKernel(h.ctx, h.ns(n), table)
	if err != nil {
		return err.Error() // the namespace is being built
	}
	proxy := k.Sysctls["ipv6/conf/"+h.cloud.GatewayDev+"/proxy_ndp"]
	forwarding := k.Sysctls["ipv6/conf/"+h.cloud.GatewayDev+"/forwarding"]
	switch {
	case !slices.Contains(k.Marked(protocol), nettools.ProxyEntry{Addr: h.inst.Addr, Device: h.cloud.GatewayDev, Protocol: fmt.Sprint(protocol)}):
		return "no entry of ours for " + h.inst.Addr.String()
	case !strings.Contains(k.Ours, h.inst.Addr.String()):
		return "our filter lacks " + h.inst.Addr.String()
	case strings.Contains(k.Ours, h.hidden.Addr.String()):
		return "our filter lets " + h.hidden.Addr.String() + " in"
	case active && (proxy != "1" || forwarding != "1"):
		return fmt.Sprintf("primary with proxy_ndp %s forwarding %s", proxy, forwarding)
	case !active && proxy != "0":
		return "standby with proxy_ndp " + proxy
	case !n.Keepalived(h.cloud.Router):
		return "no keepalived"
	}
	return ""
}

// settled waits until one host is primary, the other is standby, both are programmed for it, and the
// published instance answers. A daemon that an earlier subtest left dead is started.
func (h *ha) settled() (active, standby *lab.Node) {
	h.Helper()
	for _, n := range h.nodes {
		select {
		case <-h.daemons[n.Name].Exited():
			h.start(n)
		default:
		}
	}
	var state string
	for ctx := h.within(45 * time.Second); ; {
		holders := h.holders()
		state = fmt.Sprint("primaries: ", holders)
		if len(holders) == 1 {
			active, standby = holders[0], h.other(holders[0])
			a, s := h.unready(active, true), h.unready(standby, false)
			if a+s == "" {
				break
			}
			state = fmt.Sprintf("%s %q, %s %q", active, a, standby, s)
		}
		select {
		case <-ctx.Done():
			h.logBoth()
			h.Fatalf("the router does not settle: %s", state)
		case <-time.After(50 * time.Millisecond):
		}
	}
	h.reachable(15 * time.Second)
	return active, standby
}

// awaitHolders waits until as many hosts are primary.
func (h *ha) awaitHolders(within time.Duration, count int) {
	h.Helper()
	h.await(within, fmt.Sprintf("%d primaries", count), func() bool { return len(h.holders()) == count })
}

func (h *ha) logBoth() {
	h.Helper()
	for _, n := range h.nodes {
		if k, err := nettools.ReadKernel(h.ctx, h.ns(n), table); err == nil {
			h.Logf("%s: %s", n, k)
		}
	}
}

// solicitEvery is between two solicitations of a kind for an address.
const solicitEvery = 50 * time.Millisecond

// probe solicits the published and the unpublished address, by multicast and by unicast, twenty
// times a second, at a host's own port: bridges that send unicast elsewhere do not spare it.
func (h *ha) probe(n *lab.Node) *nettools.Prober {
	h.Helper()
	p, err := nettools.StartProbe(nettools.ProbeConfig{
		Namespace: lab.UpstreamNS, Device: n.UpstreamPort(),
		Source: h.cloud.Upstream, SourceMAC: h.macOf(lab.UpstreamNS, lab.UpstreamDev), Router: h.mac,
		Targets: []netip.Addr{h.inst.Addr, h.hidden.Addr}, Interval: solicitEvery,
	})
	h.must(err)
	return p
}

// from returns what a host has sent to the external network since then, if keep accepts it.
func (h *ha) from(n *lab.Node, since time.Time, keep func(nettools.Packet) bool) []nettools.Packet {
	return h.wire[n.Name].Packets(func(p nettools.Packet) bool { return !p.Outgoing && p.At.After(since) && keep(p) })
}

// advertises accepts an advertisement for one of the instances.
func (h *ha) advertises(p nettools.Packet) bool {
	return p.Advertises(h.inst.Addr) || p.Advertises(h.hidden.Addr)
}

// silent requires that a host has sent no advertisement for either instance since then.
func (h *ha) silent(n *lab.Node, since time.Time) {
	h.Helper()
	if all := h.from(n, since, h.advertises); len(all) > 0 {
		h.Errorf("%s is not silent: %d advertisements, the first unsolicited %v at %s: %+v", n, len(all),
			all[0].Unsolicited(), all[0].At.Format("15:04:05.000000"), all[0])
	}
}

// stopProbe ends a probe and returns how many solicitations of each kind there were for each address.
func (h *ha) stopProbe(p *nettools.Prober) int {
	h.Helper()
	sent, err := p.Stop()
	h.must(err)
	// the answer to the last one is under way
	h.pause(200 * time.Millisecond)
	return sent
}

// pause lets time pass in which something must not happen.
func (h *ha) pause(d time.Duration) {
	select {
	case <-h.ctx.Done():
	case <-time.After(d):
	}
}
