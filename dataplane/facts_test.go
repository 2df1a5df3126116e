package dataplane_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// What the kernel does to a device behind everybody's back, and that another
// look heals it.
func TestHealedByLookingAgain(t *testing.T) {
	p := nettest.NewTopology(t)
	d := newDataplane(t, p.Dir)
	p.OnLink()
	want := published(p, p.InstanceAddr)
	converge(t, d, want)
	// Setting the device down takes the router's own addresses and routes.
	restore := func() {
		p.Router.AddAddr(nettest.External, netip.PrefixFrom(p.GatewayAddr, 64).String())
		p.Router.IP("-6", "route", "replace", "default", "via", p.UpstreamAddr.String(), "dev", nettest.External)
		p.Router.LinkLocal(nettest.External)
	}
	for _, c := range []struct {
		name string
		do   func()
		lost bool
	}{
		{"carrier lost", func() {
			p.Upstream.IP("link", "set", "eth0", "down")
			p.Upstream.IP("link", "set", "eth0", "up")
			p.Upstream.AddAddr("eth0", netip.PrefixFrom(p.UpstreamAddr, 64).String())
			p.Upstream.LinkLocal("eth0")
			p.OnLink()
		}, false},
		{"set down", func() {
			p.Router.IP("link", "set", nettest.External, "down")
			p.Router.IP("link", "set", nettest.External, "up")
			restore()
		}, true},
		{"IPv6 off and on", func() {
			p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/disable_ipv6", "1")
			p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/disable_ipv6", "0")
			restore()
		}, true},
		{"MTU too small", func() {
			p.Router.IP("link", "set", nettest.External, "mtu", "1000")
			if res := apply(t, d, want, dataplane.Quick); len(res.Failures) != 1 || res.Failures[0].Class() != dataplane.ClassGone {
				t.Errorf("without IPv6: %v", res.Failures)
			}
			p.Router.IP("link", "set", nettest.External, "mtu", "1500")
			restore()
		}, true},
	} {
		c.do()
		want := published(p, p.InstanceAddr)
		res := converge(t, d, want)
		if len(res.Drift) > 0 { // it was nobody's hand
			t.Errorf("%s: drift %v", c.name, res.Drift)
		}
		if got := len(res.Answerable[nettest.External]) > 0; got != c.lost {
			t.Errorf("%s: answerable %v", c.name, res.Answerable)
		}
		p.Upstream.FlushNeighbours("eth0")
		p.Upstream.Reaches(p.InstanceAddr, 2*time.Second)
		// And from then on it is again.
		p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
		if res := converge(t, d, want); res.Drift[dataplane.KindEntry] != 1 {
			t.Errorf("%s, then an entry deleted by hand: drift %v", c.name, res.Drift)
		}
	}
}

// A device that is renamed gets its proxy_delay back under its new name,
// whether or not the old one is still wanted, and is left alone from then on.
func TestRenamed(t *testing.T) {
	for name, wanted := range map[string]bool{"still wanted": true, "wanted no more": false} {
		t.Run(name, func(t *testing.T) {
			l := nettest.New(t)
			n := l.Namespace(namespace)
			n.Device(dev)
			delay := func(name string) string { return n.ReadSysctl("net/ipv6/neigh/" + name + "/proxy_delay") }
			before := delay(dev)
			d := newDataplane(t, l.Dir)
			want := state(host(1))
			converge(t, d, want)
			if delay(dev) != "0" {
				t.Fatalf("proxy_delay is %s", delay(dev))
			}
			n.IP("link", "set", dev, "down")
			n.IP("link", "set", dev, "name", "other")
			n.IP("link", "set", "other", "up")
			if !wanted {
				want.Devices = nil
			}
			apply(t, d, want, dataplane.Quick)
			if got := delay("other"); got != before {
				t.Errorf("proxy_delay is %s, was %s", got, before)
			}
			if got := n.ReadSysctl("net/ipv6/conf/other/proxy_ndp"); got != "0" {
				t.Errorf("proxy_ndp is %s", got)
			}
			settled(t, d, want)
			n.Sysctl("net/ipv6/neigh/other/proxy_delay", "7")
			n.Sysctl("net/ipv6/conf/other/proxy_ndp", "1")
			settled(t, d, want)
		})
	}
}

// A link-local address that is going through duplicate detection is no source
// yet, and is seen as such.
func TestTentativeLinkLocal(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Sysctl("net/ipv6/conf/default/accept_dad", "1")
	n.Sysctl("net/ipv6/conf/default/dad_transmits", "3")
	n.Device("qg-1")
	d := newDataplane(t, l.Dir)
	look := func() dataplane.Interface {
		have, err := d.Observe(t.Context(), "a", dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		i, ok := have.Interface("qg-1")
		if !ok {
			t.Fatal("no qg-1")
		}
		return i
	}
	tentative := look()
	if len(tentative.Addrs) == 0 || !tentative.Addrs[0].Tentative || tentative.LinkLocal().IsValid() || tentative.Holds(tentative.Addrs[0].Prefix.Addr()) {
		t.Errorf("during detection: %+v", tentative)
	}
	nettest.Eventually(t, 15*time.Second, "a usable link-local address", func() bool { return look().LinkLocal().IsValid() })
	i := look()
	if !i.Up || !i.IPv6 || i.Index != n.Index("qg-1") || i.MAC.String() != n.MAC("qg-1").String() || i.LinkLocal() != n.LinkLocal("qg-1") {
		t.Errorf("interface: %+v", i)
	}
	// Somebody else has the address: it is there, and of no use.
	n.IP("address", "add", "2001:db8::1/64", "dev", nettest.Peer("qg-1"), "nodad")
	n.IP("address", "add", "2001:db8::1/64", "dev", "qg-1")
	nettest.Eventually(t, 15*time.Second, "detection fails", func() bool {
		for _, a := range look().Addrs {
			if a.DADFailed && !look().Holds(a.Prefix.Addr()) {
				return true
			}
		}
		return false
	})
	n.Sysctl("net/ipv6/conf/qg-1/forwarding", "1")
	n.AddAddr("qg-1", "192.0.2.1/24")
	if i := look(); !i.Forwarding || !i.Holds(addr("192.0.2.1")) {
		t.Errorf("interface: %+v", i)
	}
}

// The table is written again and again under traffic, whole, with things of
// others in it, and by difference: no packet for a published address is lost
// and none for another gets through.
func TestRewritingTheTableLeavesNoGap(t *testing.T) {
	p := nettest.NewTopology(t)
	d := newDataplane(t, p.Dir)
	shutAddr := addr("2001:db8:0:2::11")
	p.Instance.AddAddr("eth0", shutAddr.String()+"/64")
	p.ViaGateway()
	want := published(p, p.InstanceAddr)
	converge(t, d, want)
	open, shut := netip.AddrPortFrom(p.InstanceAddr, 7), netip.AddrPortFrom(shutAddr, 7)
	p.Instance.UDPEcho(open)
	p.Instance.UDPEcho(shut)
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	var flows sync.WaitGroup
	var through, stopped nettest.Flow
	flows.Go(func() { through = p.Upstream.UDPFlow(ctx, open, time.Millisecond) })
	flows.Go(func() { stopped = p.Upstream.UDPFlow(ctx, shut, time.Millisecond) })
	rewrites := 0
	for deadline := time.Now().Add(2500 * time.Millisecond); time.Now().Before(deadline); rewrites++ {
		have, err := d.Observe(ctx, want.Namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		switch rewrites % 3 {
		case 0:
			have.Filter.Problem = "says the test"
		case 1:
			p.Router.Run("nft", strings.ReplaceAll("add counter TABLE c; add chain TABLE theirs; add rule TABLE theirs counter name c; "+
				"add rule TABLE forward jump { counter; }; add map TABLE m { type ipv6_addr : verdict; elements = { ::1 : goto theirs } }",
				"TABLE", "ip6 "+dataplane.DefaultTable))
			have.Filter.Problem = "says the test"
		default: // by difference: other addresses and guards around those under test
			want.Devices[0].Published = []netip.Addr{p.InstanceAddr, host(100 + rewrites)}
			want.Devices[0].Guarded = []netip.Prefix{p.InternalNet, netip.PrefixFrom(host(0), 48+rewrites%8).Masked()}
		}
		if res, err := d.Apply(ctx, dataplane.Diff(want, have)); err != nil || res.Writes == 0 || len(res.Failures) > 0 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	cancel()
	flows.Wait()
	if rewrites < 20 || through.Sent < 50 || through.Received != through.Sent || stopped.Received != 0 {
		t.Errorf("%d rewrites: published %+v, not published %+v", rewrites, through, stopped)
	}
	settled(t, d, want)
}

// Events caused by our own writes lead to a look, and no further.
func TestOwnEventsEndInALook(t *testing.T) {
	p := nettest.NewTopology(t)
	d := newDataplane(t, p.Dir)
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
	w.Follow(p.Router.Name)
	want := published(p, p.InstanceAddr)
	writes, looks := 0, 0
	for quiet := false; !quiet; {
		select {
		case e := <-w.Events():
			if e.Namespace != want.Namespace {
				continue
			}
			looks++
			writes += apply(t, d, want, dataplane.Quick).Writes
		case <-time.After(500 * time.Millisecond):
			quiet = true
		}
		if looks > 50 {
			t.Fatal("an endless loop")
		}
	}
	if writes != 4 || looks < 2 {
		t.Errorf("%d writes in %d looks", writes, looks)
	}
}
