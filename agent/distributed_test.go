package agent_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// compute is a host in agent_mode dvr as its L3 agent builds it, with an
// upstream router and a host behind that:
//
//	behind ── upstream ── fg-1 fip fpr-a ── rfp-a qrouter-a qr-a ── instance a
//	                           fip fpr-b ── rfp-b qrouter-b qr-b ── instance b
type compute struct {
	*nettest.Lab
	behind, upstream, fip *nettest.Namespace
	routers               map[string]*branch
}

// branch is one router's part of it.
type branch struct {
	host, router, instance *nettest.Namespace
	id                     string
	net                    netip.Prefix
	addr, unpublished      netip.Addr
}

const fg = "fg-1"

var (
	fgAddr      = netip.MustParseAddr("2001:db8::2")
	upstreamLAN = netip.MustParseAddr("2001:db8::1")
	behindAddr  = netip.MustParseAddr("2001:db8:f::2")
)

func newCompute(t *testing.T, ids ...string) *compute {
	l := nettest.New(t)
	c := &compute{Lab: l, behind: l.Namespace("behind"), upstream: l.Namespace("upstream"), fip: l.Namespace("fip"), routers: map[string]*branch{}}
	forwards(c.upstream)
	forwards(c.fip)
	l.Veth(c.behind, "eth0", c.upstream, "eth1")
	l.Veth(c.upstream, "eth0", c.fip, fg)
	c.behind.AddAddr("eth0", behindAddr.String()+"/64")
	c.upstream.AddAddr("eth1", "2001:db8:f::1/64")
	c.behind.IP("-6", "route", "add", "default", "via", "2001:db8:f::1")
	c.upstream.AddAddr("eth0", upstreamLAN.String()+"/64")
	c.fip.AddAddr(fg, fgAddr.String()+"/64")
	c.upstream.LinkLocal("eth0")
	c.fip.LinkLocal(fg)
	for n, id := range ids {
		subnet := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 7: byte(n + 1)})
		b := &branch{host: c.fip, router: l.Namespace("qrouter-" + id), instance: l.Namespace("instance-" + id), id: id, net: netip.PrefixFrom(subnet, 64)}
		inside := subnet.Next()
		b.addr = inside.Next()
		b.unpublished = b.addr.Next()
		forwards(b.router)
		l.Veth(b.router, "qr-"+id, b.instance, "eth0")
		b.router.AddAddr("qr-"+id, inside.String()+"/64")
		b.instance.AddAddr("eth0", b.addr.String()+"/64")
		b.instance.AddAddr("eth0", b.unpublished.String()+"/64")
		b.instance.IP("-6", "route", "add", "default", "via", inside.String(), "src", b.addr.String())
		c.upstream.IP("-6", "route", "replace", b.net.String(), "dev", "eth0")
		b.pair(l)
		c.routers[id] = b
	}
	return c
}

func forwards(n *nettest.Namespace) {
	n.Sysctl("net/ipv6/conf/all/forwarding", "1")
	n.Sysctl("net/ipv6/conf/default/forwarding", "1")
	n.Sysctl("net/ipv6/conf/default/dad_transmits", "1")
}

// pair makes the devices between fip- and the router (again), with new
// link-local addresses, and the router's default route.
func (b *branch) pair(l *nettest.Lab) {
	_, _ = b.host.Try("ip", "link", "del", "fpr-"+b.id) // the first time there is none
	l.Veth(b.host, "fpr-"+b.id, b.router, "rfp-"+b.id)
	via := b.host.LinkLocal("fpr-" + b.id)
	b.router.IP("-6", "route", "replace", "default", "via", via.String(), "dev", "rfp-"+b.id)
}

// says is what Neutron would say: every router publishes one address here.
func (c *compute) says(ids ...string) inventory.Snapshot {
	var s inventory.Snapshot
	for _, id := range ids {
		b := c.routers[id]
		s.Routers = append(s.Routers, inventory.Router{
			ID: id, Enabled: true,
			External: []inventory.Attachment{{
				Namespace: "fip", Device: fg, Addrs: []netip.Addr{fgAddr}, Serves: inventory.Here,
				Inner: &inventory.Inner{Device: "fpr-" + id, PeerNamespace: "qrouter-" + id, PeerDevice: "rfp-" + id, Gateway: upstreamLAN},
			}},
			Subnets: []inventory.Subnet{{Prefix: b.net}},
		})
		s.Proxies = append(s.Proxies, inventory.Proxy{ID: "proxy-" + id, RouterID: id, PortID: "port-" + id, Addr: b.addr})
		s.Ports = append(s.Ports, inventory.Port{ID: "port-" + id, Place: inventory.Here})
	}
	return s
}

// ours is everything that carries our mark in fip-.
func (c *compute) ours() string {
	var b strings.Builder
	for _, args := range [][]string{
		{"-6", "neigh", "show", "proxy", "proto", "110"},
		{"-6", "route", "show", "table", "all", "proto", "110"},
	} {
		b.WriteString(c.fip.IP(args...))
	}
	for l := range strings.Lines(c.fip.IP("-6", "rule", "show")) {
		if strings.Contains(l, "proto 110") {
			b.WriteString(l)
		}
	}
	b.WriteString(c.fip.Run("nft", "list", "tables"))
	return strings.TrimSpace(b.String())
}

func (c *compute) wayTo(b *branch) string {
	return c.fip.IP("-6", "route", "show", b.addr.String()+"/128", "proto", "110")
}

// The upstream router and hosts behind it reach a published instance of a
// distributed router, and are reached by it, through the same host; nothing
// else does. What the L3 agent makes again is followed without an audit.
func TestDistributed(t *testing.T) {
	c := newCompute(t, "a")
	a := c.routers["a"]
	d := start(t, c.Dir, c.says("a"), settings{send: true})
	d.awaitReady(t)
	c.upstream.Reaches(a.addr, 5*time.Second)
	c.behind.Reaches(a.addr, 5*time.Second)
	a.instance.Reaches(behindAddr, 5*time.Second)
	c.upstream.Unreachable(a.unpublished)
	c.behind.Unreachable(a.unpublished)
	d.totals(t, "one that answers", agent.Totals{Routers: 1, Enabled: 1, Proxies: 1, Answered: 1})

	// Errors that the namespace makes itself (packet too big is one) find back.
	if out, err := c.behind.Try("ping", "-6", "-n", "-c", "1", "-W", "2", "-t", "2", a.addr.String()); err == nil || !strings.Contains(out, "From "+fgAddr.String()) {
		t.Errorf("no word of the expired hop limit from %s: %v\n%s", fgAddr, err, out)
	}

	before := c.wayTo(a)
	made := time.Now()
	a.pair(c.Lab)
	nettest.Eventually(t, 3*time.Second, "a way through the new pair", func() bool {
		now := c.wayTo(a)
		return now != before && strings.Contains(now, a.router.LinkLocal("rfp-a").String())
	})
	t.Logf("the way followed %v after the pair was being made again", time.Since(made))
	c.behind.Reaches(a.addr, 5*time.Second)

	// The instance moves to another host and back.
	capture := c.upstream.Capture("eth0")
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Elsewhere})
	nettest.Eventually(t, 2*time.Second, "everything of ours to go", func() bool { return c.ours() == "" })
	c.upstream.FlushNeighbours("eth0")
	c.upstream.Unreachable(a.addr)
	d.totals(t, "a port that is elsewhere", agent.Totals{Routers: 1, Enabled: 1, Proxies: 1, Elsewhere: 1})
	if n := len(advertised(capture, a.addr)); n != 0 {
		t.Errorf("advertised %d times while it moved away", n)
	}
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Here})
	nettest.Eventually(t, 2*time.Second, "the advertisement", func() bool { return len(advertised(capture, a.addr)) == 1 })
	c.behind.Reaches(a.addr, 5*time.Second)
	time.Sleep(200 * time.Millisecond)
	if n := len(advertised(capture, a.addr)); n != 1 {
		t.Errorf("advertised %d times when it came", n)
	}

	d.Inventory().Replace(inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "everything of ours to go", func() bool { return c.ours() == "" })
}

// Routers that share a fip- namespace have nothing to do with each other.
func TestTwoDistributedRouters(t *testing.T) {
	c := newCompute(t, "a", "b")
	a, b := c.routers["a"], c.routers["b"]
	d := start(t, c.Dir, c.says("a", "b"), settings{})
	d.awaitReady(t)
	c.behind.Reaches(a.addr, 5*time.Second)
	c.behind.Reaches(b.addr, 5*time.Second)

	// a goes and comes in its own time.
	c.Delete(a.router)
	nettest.Eventually(t, 5*time.Second, "a to be missed", func() bool { return c.wayTo(a) == "" && d.Totals().Pending == 1 })
	c.behind.Reaches(b.addr, time.Second)
	c.upstream.FlushNeighbours("eth0")
	c.upstream.Unreachable(a.addr)
	if strings.Contains(c.fip.IP("-6", "neigh", "show", "proxy"), a.addr.String()) {
		t.Error("an address without a way is answered for")
	}
	a.router = c.Lab.Namespace("qrouter-a")
	forwards(a.router)
	a.pair(c.Lab)
	nettest.Eventually(t, 5*time.Second, "a way to a", func() bool { return c.wayTo(a) != "" && d.Totals().Pending == 0 })

	// a is no longer published; b is.
	d.Inventory().ReplaceRouters([]string{"a"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "a to go", func() bool {
		return !strings.Contains(c.ours(), a.addr.String()) && !strings.Contains(c.ours(), "fpr-a")
	})
	c.behind.Reaches(b.addr, time.Second)
	b.instance.Reaches(behindAddr, time.Second)
}

// A proxy whose port nobody placed yet, and a place that nobody waits for.
func TestUnknownPlaces(t *testing.T) {
	c := newCompute(t, "a")
	s := c.says("a")
	s.Ports = nil
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	if got := d.Totals(); got.Pending != 1 || got.Elsewhere != 0 {
		t.Errorf("totals without a place: %+v", got)
	}
	nettest.Eventually(t, time.Second, "the reason", func() bool {
		for _, e := range d.logs.FilterMessage("waiting").All() {
			if what, _ := e.ContextMap()["for"].(string); strings.Contains(what, "where the ports of 1 proxies are") {
				return true
			}
		}
		return false
	})
	if c.ours() != "" {
		t.Errorf("made although nobody knows where the port is: %s", c.ours())
	}
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Here})
	c.behind.Reaches(c.routers["a"].addr, 5*time.Second)
}

// A namespace can be a router's own, behind a shared one, and one in which
// another router is published: both look when something happens there.
func TestANamespaceThatIsBoth(t *testing.T) {
	c := newCompute(t, "a")
	a := c.routers["a"]
	a.router.Device("qg-1")
	a.router.AddAddr("qg-1", "2001:db8:e::2/64")
	legacy := inventory.Router{ID: "legacy", Enabled: true, External: []inventory.Attachment{{
		Namespace: "qrouter-a", Device: "qg-1", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8:e::2")},
	}}, Subnets: []inventory.Subnet{{Prefix: netip.MustParsePrefix("2001:db8:d::/64")}}}
	s := c.says("a")
	s.Routers = append(s.Routers, legacy)
	s.Proxies = append(s.Proxies, inventory.Proxy{ID: "l", RouterID: "legacy", Addr: netip.MustParseAddr("2001:db8:d::5")})
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	answers := func() bool { return a.router.ReadSysctl("net/ipv6/conf/qg-1/proxy_ndp") == "1" }
	follows := func() bool {
		return strings.Contains(c.wayTo(a), a.router.LinkLocal("rfp-a").String())
	}
	nettest.Eventually(t, time.Second, "both", func() bool { return answers() && follows() })
	a.pair(c.Lab)
	a.router.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "0")
	nettest.Eventually(t, 3*time.Second, "both after events", func() bool { return answers() && follows() })

	// Each outlives the other.
	d.Inventory().ReplaceRouters([]string{"legacy"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "the legacy one to go", func() bool { return !answers() })
	a.pair(c.Lab)
	nettest.Eventually(t, 3*time.Second, "the way to follow still", follows)
	d.Inventory().ReplaceRouters([]string{"legacy"}, inventory.Snapshot{Routers: s.Routers[1:], Proxies: s.Proxies[1:]})
	d.Inventory().ReplaceRouters([]string{"a"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "the distributed one to go", func() bool { return c.ours() == "" && answers() })
	a.router.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "0")
	nettest.Eventually(t, 2*time.Second, "the legacy one to look still", answers)
}

// What the L3 agent's extension left is taken over where it is wanted; the rest
// is named, or removed if the operator says so.
func TestForeignEntries(t *testing.T) {
	for name, exclusive := range map[string]bool{"reported": false, "removed": true} {
		t.Run(name, func(t *testing.T) {
			c := newCompute(t, "a")
			a := c.routers["a"]
			for _, addr := range []netip.Addr{a.addr, a.unpublished} {
				c.fip.IP("-6", "neigh", "add", "proxy", addr.String(), "dev", fg)
				c.fip.IP("-6", "route", "add", addr.String()+"/128", "via", a.router.LinkLocal("rfp-a").String(), "dev", "fpr-a", "proto", "static")
			}
			d := start(t, c.Dir, c.says("a"), settings{plan: plan.Options{Exclusive: exclusive}})
			d.awaitReady(t)
			c.behind.Reaches(a.addr, 5*time.Second)
			routes := c.fip.IP("-6", "route", "show", a.addr.String()+"/128")
			if strings.Count(routes, "via") != 1 || !strings.Contains(routes, "proto 110") {
				t.Errorf("the route to the published address was not taken over: %s", routes)
			}
			left := strings.Contains(c.fip.IP("-6", "neigh", "show", "proxy"), a.unpublished.String()+" ")
			leftRoute := c.fip.IP("-6", "route", "show", a.unpublished.String()+"/128") != ""
			if left == exclusive || leftRoute == exclusive {
				t.Errorf("exclusive %v, but the stranger is there: entry %v, route %v", exclusive, left, leftRoute)
			}
			message := map[bool]string{false: "found beside ours, and left alone", true: "removed the entries of somebody else"}[exclusive]
			if d.logs.FilterMessageSnippet(message).Len() != 1 {
				t.Errorf("not said once: %v", d.logs.All())
			}
			c.upstream.Unreachable(a.unpublished)
		})
	}
}

// Everything of ours is found again by a run that wants nothing of it.
func TestADistributedRouterThatIsGoneAtARestart(t *testing.T) {
	c := newCompute(t, "a")
	first := start(t, c.Dir, c.says("a"), settings{})
	first.awaitReady(t)
	first.stop()
	again := start(t, c.Dir, c.says("a"), settings{})
	again.awaitReady(t)
	if n := again.logs.FilterMessage("answering").Len(); n != 0 {
		t.Error("a plain restart wrote to the kernel")
	}
	again.stop()
	none := start(t, c.Dir, inventory.Snapshot{}, settings{})
	none.awaitReady(t)
	if got := c.ours(); got != "" {
		t.Errorf("left over: %s", got)
	}
}

// A router that can't be read after a restart keeps what it has in a shared
// namespace; the other one is served as ever.
func TestAnUnreadableRouterInASharedNamespace(t *testing.T) {
	c := newCompute(t, "a", "b")
	a, b := c.routers["a"], c.routers["b"]
	first := start(t, c.Dir, c.says("a", "b"), settings{})
	first.awaitReady(t)
	first.stop()
	s := c.says("a")
	s.Held = map[string][]string{"b": {"qrouter-b", "fip"}}
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	c.behind.Reaches(a.addr, time.Second)
	c.behind.Reaches(b.addr, time.Second)
	d.Inventory().RemoveProxy(s.Proxies[0])
	nettest.Eventually(t, 2*time.Second, "a to go", func() bool { return c.wayTo(a) == "" && !strings.Contains(c.ours(), a.addr.String()) })
	c.behind.Reaches(b.addr, time.Second)
	c.upstream.FlushNeighbours("eth0")
	c.behind.Reaches(b.addr, 3*time.Second)
	s.Proxies[0].ID = "another" // ids are not used again
	d.Inventory().SetProxy(s.Proxies[0])
	d.Inventory().SetPort(s.Ports[0]) // it was forgotten with its only proxy
	nettest.Eventually(t, 2*time.Second, "a to be served again", func() bool { return c.wayTo(a) != "" })
	// It is known now that b is gone.
	d.Inventory().ReplaceRouters([]string{"b"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "b to go", func() bool { return !strings.Contains(c.ours(), b.addr.String()) && c.wayTo(b) == "" })
	c.behind.Reaches(a.addr, 3*time.Second)
}

var _ agent.Dataplane = (*dataplane.Dataplane)(nil)
