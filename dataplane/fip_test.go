package dataplane_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// fip is what Neutron's L3 agent builds of a distributed router on a compute
// node: a namespace for the external network, which all routers share, and one
// for the router behind it.
//
//	beyond eth0 ── eth1 upstream eth0 ── fg-1 fip fpr-1 ── rfp-1 router qr-1 ── eth0 instance
//	2001:db8:0:9::/64      2001:db8:0:1::/64       link-local only      2001:db8:0:2::/64
//
// The fip namespace has no default route in its main table. The upstream looks
// for the instance's subnet on the link.
type fip struct {
	*nettest.Lab
	beyond, upstream, fip, router, instance         *nettest.Namespace
	beyondAddr, upstreamAddr, fipAddr, instanceAddr netip.Addr
	unpublished                                     netip.Addr
}

func newFIP(t *testing.T) *fip {
	t.Helper()
	l := nettest.New(t)
	p := &fip{
		Lab: l, beyond: l.Namespace("beyond"), upstream: l.Namespace("upstream"), fip: l.Namespace("fip"),
		router: l.Namespace("router"), instance: l.Namespace("instance"),
		beyondAddr: addr("2001:db8:0:9::10"), upstreamAddr: addr("2001:db8:0:1::1"), fipAddr: addr("2001:db8:0:1::2"),
		instanceAddr: addr("2001:db8:0:2::10"), unpublished: addr("2001:db8:0:2::11"),
	}
	for _, n := range []*nettest.Namespace{p.upstream, p.fip, p.router} {
		n.Sysctl("net/ipv6/conf/all/forwarding", "1")
		n.Sysctl("net/ipv6/conf/default/forwarding", "1")
	}
	l.Veth(p.beyond, "eth0", p.upstream, "eth1")
	l.Veth(p.upstream, "eth0", p.fip, "fg-1")
	l.Veth(p.router, "qr-1", p.instance, "eth0")
	p.beyond.AddAddr("eth0", "2001:db8:0:9::10/64")
	p.upstream.AddAddr("eth1", "2001:db8:0:9::1/64")
	p.upstream.AddAddr("eth0", "2001:db8:0:1::1/64")
	p.fip.AddAddr("fg-1", "2001:db8:0:1::2/64")
	p.router.AddAddr("qr-1", "2001:db8:0:2::1/64")
	p.instance.AddAddr("eth0", "2001:db8:0:2::10/64")
	p.instance.AddAddr("eth0", "2001:db8:0:2::11/64")
	p.beyond.IP("-6", "route", "add", "default", "via", "2001:db8:0:9::1")
	p.upstream.IP("-6", "route", "add", "2001:db8:0:2::/64", "dev", "eth0")
	p.instance.IP("-6", "route", "add", "default", "via", "2001:db8:0:2::1")
	p.pair()
	for n, device := range map[*nettest.Namespace]string{p.upstream: "eth0", p.fip: "fg-1", p.instance: "eth0"} {
		n.LinkLocal(device)
	}
	p.router.LinkLocal("qr-1")
	return p
}

// pair joins the router to the fip namespace, as the L3 agent does.
func (p *fip) pair() {
	p.Veth(p.fip, "fpr-1", p.router, "rfp-1")
	p.router.IP("-6", "route", "replace", "default", "via", p.fip.LinkLocal("fpr-1").String(), "dev", "rfp-1")
	p.router.LinkLocal("rfp-1")
}

// state publishes the instance's address, and addresses of nobody.
func (p *fip) state(more ...netip.Addr) dataplane.State {
	s := dataplane.State{
		Namespace: p.fip.Name,
		Devices: []dataplane.Device{{
			Name: "fg-1", Answer: true, LinkLocal: p.fip.LinkLocal("fg-1"),
			Published: append([]netip.Addr{p.instanceAddr}, more...), Guarded: []netip.Prefix{prefix("2001:db8:0:2::/64")},
		}},
		Routes: []dataplane.Route{{Table: wayTable, Dst: prefix("::/0"), Via: p.upstreamAddr, Device: "fg-1", OnLink: true}},
		Rules:  []dataplane.Rule{{Priority: wayPriority, IIF: "fpr-1", Table: wayTable}, {Priority: wayPriority, IIF: "lo", Table: wayTable}},
	}
	for _, a := range s.Devices[0].Published {
		s.Routes = append(s.Routes, dataplane.Route{
			Table: dataplane.MainTable, Dst: netip.PrefixFrom(a, 128), Via: p.router.LinkLocal("rfp-1"), Device: "fpr-1",
		})
	}
	s.Normalize()
	return s
}

// works fails unless the instance is reached, and reaches, what it should.
func (p *fip) works(within time.Duration) {
	p.upstream.Reaches(p.instanceAddr, within)
	p.beyond.Reaches(p.instanceAddr, within)
	p.instance.Run("ping", "-6", "-n", "-c", "1", "-W", "1", "-I", p.instanceAddr.String(), p.beyondAddr.String())
	p.instance.Run("ping", "-6", "-n", "-c", "1", "-W", "1", "-I", p.instanceAddr.String(), p.upstreamAddr.String())
}

// shut fails if an address that nobody publishes is reached.
func (p *fip) shut() {
	for _, n := range []*nettest.Namespace{p.upstream, p.beyond} {
		n.Unreachable(p.unpublished)
	}
}

func TestDistributed(t *testing.T) {
	p := newFIP(t)
	d := newDataplane(t, p.Dir)
	bare := p.fip.IP("-6", "route", "show", "table", "all") + p.fip.IP("-6", "rule")
	// What upstream's extension does: reached on the link, and not from beyond.
	p.fip.Sysctl("net/ipv6/conf/fg-1/proxy_ndp", "1")
	p.fip.IP("-6", "neigh", "add", "proxy", p.instanceAddr.String(), "dev", "fg-1")
	p.fip.IP("-6", "route", "add", p.instanceAddr.String(), "via", p.router.LinkLocal("rfp-1").String(), "dev", "fpr-1", "proto", "static")
	p.upstream.Reaches(p.instanceAddr, 2*time.Second)
	p.beyond.Unreachable(p.instanceAddr)

	res := converge(t, d, p.state())
	if len(res.Answerable) != 0 {
		t.Errorf("what was answered for is announced: %v", res.Answerable)
	}
	p.works(2 * time.Second)
	p.shut()
	if got := p.fip.IP("-6", "route", "show", p.instanceAddr.String()); strings.Count(got, "via") != 1 || strings.Contains(got, "static") {
		t.Errorf("adopted: %s", got)
	}
	// Also if the upstream needs no answer to send it: no route, and not back.
	p.upstream.IP("-6", "route", "replace", "2001:db8:0:2::/64", "via", p.fipAddr.String(), "dev", "eth0")
	p.works(time.Second)
	p.shut()
	if out, err := p.fip.Try("ip", "-6", "route", "get", p.unpublished.String(), "from", p.beyondAddr.String(), "iif", "fg-1"); err == nil && !strings.Contains(out, "unreachable") {
		t.Errorf("what nobody publishes goes %s", out)
	}
	// The instance that is not published reaches nobody.
	if out, err := p.instance.Try("ping", "-6", "-n", "-c", "2", "-i", "0.1", "-W", "1", "-I", p.unpublished.String(), p.beyondAddr.String()); err == nil {
		t.Errorf("unpublished: %s", out)
	}
	// A new process writes nothing.
	for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
		if res := apply(t, newDataplane(t, p.Dir), p.state(), depth); res.Writes != 0 {
			t.Errorf("after a restart: %+v", res)
		}
	}
	converge(t, d, dataplane.State{Namespace: p.fip.Name})
	if got := p.fip.IP("-6", "route", "show", "table", "all") + p.fip.IP("-6", "rule"); got != bare {
		t.Errorf("left:\n%swas:\n%s", got, bare)
	}
	if owned, err := d.Owned(t.Context(), p.fip.Name); err != nil || owned {
		t.Errorf("owned: %v, %v", owned, err)
	}
	p.upstream.IP("-6", "route", "replace", "2001:db8:0:2::/64", "dev", "eth0")
	p.upstream.FlushNeighbours("eth0")
	p.upstream.Unreachable(p.instanceAddr)
	p.beyond.Unreachable(p.instanceAddr)
}

// What the fip namespace itself has to say about a packet reaches its sender
// beyond the upstream: without that, path MTU discovery ends in a black hole.
func TestErrorsFromTheNamespaceReachBeyond(t *testing.T) {
	p := newFIP(t)
	d := newDataplane(t, p.Dir)
	p.fip.IP("link", "set", "fpr-1", "mtu", "1300")
	p.router.IP("link", "set", "rfp-1", "mtu", "1300")
	want := p.state()
	converge(t, d, want)
	p.beyond.Reaches(p.instanceAddr, 2*time.Second)
	limit := []string{"-6", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-t", "2"}
	large := []string{"-6", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-s", "1400", "-M", "do"}
	says := func(args []string) string {
		out, _ := p.beyond.Try("ping", append(args, p.instanceAddr.String())...) // it fails, and says why
		return out
	}
	// Without the rule for what the namespace sends itself, nothing is heard.
	without := want
	without.Rules = want.Rules[:1]
	converge(t, d, without)
	if out := says(limit); strings.Contains(out, "exceeded") {
		t.Errorf("heard without the rule: %s", out)
	}
	converge(t, d, want)
	if out := says(limit); !strings.Contains(out, "From "+p.fipAddr.String()) || !strings.Contains(out, "Time exceeded: Hop limit") {
		t.Errorf("hop limit: %s", out)
	}
	if out := says(large); !strings.Contains(out, "From "+p.fipAddr.String()) || !strings.Contains(out, "Packet too big: mtu=1300") {
		t.Errorf("too big: %s", out)
	}
}

// What the kernel does to routes behind everybody's back is healed by another
// look, and what somebody's hand does, at once.
func TestDistributedIsHealed(t *testing.T) {
	p := newFIP(t)
	d := newDataplane(t, p.Dir)
	want := p.state()
	converge(t, d, want)
	p.works(2 * time.Second)
	w := d.NewWatcher(dataplane.WatchOptions{Rescan: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	}()
	w.Follow(p.fip.Name)
	// heal looks when told to, until nobody says anything any more.
	heal := func() (writes int, drift map[dataplane.Kind]int, causes []string) {
		drift = map[dataplane.Kind]int{}
		for {
			select {
			case e := <-w.Events():
				if e.Namespace != p.fip.Name {
					continue
				}
				causes = append(causes, e.Cause)
				res := apply(t, d, p.state(), dataplane.Quick)
				writes += res.Writes
				for k, n := range res.Drift {
					drift[k] += n
				}
				if len(causes) > 100 {
					t.Fatal("an endless loop")
				}
			case <-time.After(250 * time.Millisecond):
				return writes, drift, causes
			}
		}
	}
	heal()
	to := p.instanceAddr.String()
	for _, c := range []struct {
		name  string
		do    func()
		drift dataplane.Kind
	}{
		{"route deleted", func() { p.fip.IP("-6", "route", "del", to) }, dataplane.KindRoute},
		{"route replaced", func() {
			p.fip.IP("-6", "route", "replace", to, "via", "fe80::77", "dev", "fpr-1", "proto", "static")
		}, dataplane.KindRoute},
		{"a second next hop", func() {
			p.fip.IP("-6", "route", "append", to, "via", "fe80::77", "dev", "fpr-1", "proto", "static")
		}, dataplane.KindRoute},
		{"way back deleted", func() { p.fip.IP("-6", "route", "flush", "table", "110") }, dataplane.KindRoute},
		{"rule deleted", func() { p.fip.IP("-6", "rule", "del", "iif", "fpr-1", "lookup", "110") }, dataplane.KindRule},
		{"device down and up", func() {
			p.fip.IP("link", "set", "fpr-1", "down")
			p.fip.IP("link", "set", "fpr-1", "up")
			p.router.IP("-6", "route", "replace", "default", "via", p.fip.LinkLocal("fpr-1").String(), "dev", "rfp-1")
		}, ""},
		{"external device down and up", func() {
			p.fip.IP("link", "set", "fg-1", "down")
			p.fip.IP("link", "set", "fg-1", "up")
			p.fip.AddAddr("fg-1", "2001:db8:0:1::2/64")
			p.fip.LinkLocal("fg-1")
		}, ""},
		{"IPv6 off and on", func() {
			p.fip.Sysctl("net/ipv6/conf/fpr-1/disable_ipv6", "1")
			p.fip.Sysctl("net/ipv6/conf/fpr-1/disable_ipv6", "0")
			p.router.IP("-6", "route", "replace", "default", "via", p.fip.LinkLocal("fpr-1").String(), "dev", "rfp-1")
		}, ""},
		{"MTU too small", func() {
			p.fip.IP("link", "set", "fpr-1", "mtu", "1000")
			res := apply(t, d, p.state(), dataplane.Quick)
			if len(res.Failures) != 1 || res.Failures[0].Addr != p.instanceAddr || res.Failures[0].Class() != dataplane.ClassGone {
				t.Errorf("without IPv6: %v", res.Failures)
			}
			p.upstream.Unreachable(p.instanceAddr)
			p.fip.IP("link", "set", "fpr-1", "mtu", "1500")
			p.router.IP("-6", "route", "replace", "default", "via", p.fip.LinkLocal("fpr-1").String(), "dev", "rfp-1")
		}, ""},
		{"pair made again", func() {
			p.fip.IP("link", "del", "fpr-1")
			p.pair()
		}, ""},
	} {
		c.do()
		writes, drift, causes := heal()
		if writes == 0 || len(drift) != 0 && c.drift == "" || c.drift != "" && drift[c.drift] != 1 {
			t.Errorf("%s: %d writes, drift %v, causes %q", c.name, writes, drift, causes)
		}
		settled(t, d, p.state())
		p.works(2 * time.Second)
	}
	p.shut()
}
