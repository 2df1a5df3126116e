package sim_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// TestAuthority: who has no authority over an address does not answer for it,
// whatever NDP proxies name it, and lets nothing in for it. What is decided is
// in package plan (its TestAuthority); this is what comes of it on the wire.
func TestAuthority(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		kind  sim.Kind
		modes []string
		run   func(t *testing.T, s *stage)
	}{
		{"addresses that nobody may publish", sim.Legacy, []string{sim.ModeLegacy}, nobodysAddresses},
		{"distributed: addresses that nobody may publish", sim.DVR, []string{sim.ModeDVR}, nobodysAddresses},
		{"gateway changed to a subnet that has the address", sim.Legacy, []string{sim.ModeLegacy}, gatewayAroundTheAddress},
		{"router not here any more", sim.Legacy, []string{sim.ModeLegacy, sim.ModeLegacy}, routerGone},
		{"two routers with one address", sim.Legacy, []string{sim.ModeLegacy}, twoRouters},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, newStage(t, c.kind, c.modes...))
		})
	}
}

func offset(p netip.Prefix, last byte) netip.Addr {
	b := p.Addr().As16()
	b[14], b[15] = 0xbe, last
	return netip.AddrFrom16(b)
}

// silent proves that nobody answers for an address, asked to all or to one
// link-layer address.
func silent(t *testing.T, ext *sim.External, a netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	s := nettest.Solicitation{Device: "eth0", Source: ext.Upstream.LinkLocal("eth0"), Target: a, Within: 150 * time.Millisecond}
	if _, ok := ext.Upstream.Solicit(s); ok {
		t.Errorf("somebody answers for %s", a)
	}
	if s.Unicast = mac; mac != nil {
		if _, ok := ext.Upstream.Solicit(s); ok {
			t.Errorf("somebody answers for %s when asked alone", a)
		}
	}
}

// forced proves that nothing comes through to an instance when the upstream
// needs to ask nobody.
func forced(ext *sim.External, a netip.Addr, mac net.HardwareAddr) {
	ext.Upstream.Batch(fmt.Sprintf("route replace %s dev eth0", a), fmt.Sprintf("neigh replace %s lladdr %s dev eth0 nud permanent", a, mac))
	ext.Upstream.Unreachable(a)
	ext.Upstream.Batch(fmt.Sprintf("neigh del %s dev eth0", a), fmt.Sprintf("route del %s dev eth0", a))
}

// gatewayMAC is the link-layer address of the device that answers.
func (s *stage) gatewayMAC() net.HardwareAddr {
	if s.r.Kind.Distributed() {
		return s.h.Namespace(s.ext.FIP()).MAC(s.r.FG(s.h))
	}
	return s.h.Namespace(s.r.QRouter()).MAC(s.r.Gateway.QG())
}

func nobodysAddresses(t *testing.T, s *stage) {
	other := s.AddInternal(sim.InternalOptions{Scope: "0000a000-0000-4000-8000-000000000002", Distributed: s.r.Kind.Distributed()})
	apart := s.AddInternal(sim.InternalOptions{Scope: scope, Distributed: s.r.Kind.Distributed()})
	s.Attach(s.r, other)
	scoped, unattached := s.AddInstance(other, s.h), s.AddInstance(apart, s.h)
	bad := []netip.Addr{
		s.r.Gateway.Addr,             // the router's own gateway address
		s.ext.Gateway,                // the upstream's
		offset(s.ext.Prefix, 1),      // another host's on the external network
		s.in.RouterAddr,              // the router's own, inside
		s.in.Prefix.Addr(),           // the subnet-router anycast address
		scoped.Addr, unattached.Addr, // of another scope, of a subnet that is not the router's
		offset(apart.Prefix, 2),        // of nobody
		netip.MustParseAddr("ff02::1"), // and what is not even unicast
		netip.MustParseAddr("fe80::1"), netip.MustParseAddr("::1"), netip.MustParseAddr("::"),
	}
	for _, a := range bad {
		s.PublishAddr(s.r, s.vm, a)
	}
	s.works(t, s.ext, s.vm) // the oracle, too, knows none of them
	mac := s.gatewayMAC()
	for _, a := range bad[2:8] {
		silent(t, s.ext, a, mac)
	}
	for _, vm := range []*sim.Instance{s.hidden, scoped, unattached} {
		forced(s.ext, vm.Addr, mac)
	}
	s.works(t, s.ext, s.vm)
}

// The address was good until the router got a gateway on a network that has it.
func gatewayAroundTheAddress(t *testing.T, s *stage) {
	around := netip.PrefixFrom(s.in.Prefix.Addr(), 40).Masked()
	wide := s.AddExternal(sim.ExternalOptions{Scope: scope, Prefix: around})
	if !around.Contains(s.vm.Addr) {
		t.Fatalf("%s does not have %s", around, s.vm.Addr)
	}
	s.SetGateway(s.r, wide)
	s.works(t, wide)
	silent(t, wide, s.vm.Addr, s.gatewayMAC())
	forced(wide, s.vm.Addr, s.gatewayMAC())
	s.SetGateway(s.r, s.ext)
	s.works(t, s.ext, s.vm)
}

// The router goes to another host, and then to none. The upstream asks the old
// host's device all the time.
func routerGone(t *testing.T, s *stage) {
	old := s.gatewayMAC()
	s.Reschedule(s.r, s.hosts[1])
	s.works(t, s.ext, s.vm)
	s.Reschedule(s.r)
	s.works(t, s.ext)
	silent(t, s.ext, s.vm.Addr, old)
	unreachable(t, s.ext, s.vm)
	s.Publish(s.r, s.hidden) // a push about a router that is nobody's here
	s.works(t, s.ext)
	silent(t, s.ext, s.hidden.Addr, old)
}

// A router without the subnet has no authority over an address of it. When it
// has, both routers do, so both answer; and when one ends, the other does not.
func twoRouters(t *testing.T, s *stage) {
	second := s.AddRouter(sim.Legacy, s.h)
	s.SetGateway(second, s.ext)
	s.PublishAddr(second, s.vm, s.vm.Addr)
	s.works(t, s.ext, s.vm)
	first, other := s.gatewayMAC(), s.h.Namespace(second.QRouter()).MAC(second.Gateway.QG())
	answers := func(mac net.HardwareAddr) bool {
		_, ok := s.ext.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: s.ext.Upstream.LinkLocal("eth0"),
			Target: s.vm.Addr, Unicast: mac, Within: 150 * time.Millisecond})
		return ok
	}
	if !answers(first) || answers(other) {
		t.Errorf("with one subnet: the first answers: %v, the second: %v", answers(first), answers(other))
	}
	s.AttachAt(second, s.in, offset(s.in.Prefix, 1))
	s.works(t, s.ext, s.vm)
	if !answers(first) || !answers(other) {
		t.Errorf("with both subnets: the first answers: %v, the second: %v", answers(first), answers(other))
	}
	s.Unpublish(s.proxy)
	s.ext.Upstream.FlushNeighbours("eth0")
	s.works(t, s.ext, s.vm)
	if answers(first) || !answers(other) {
		t.Errorf("after the first ended: the first answers: %v, the second: %v", answers(first), answers(other))
	}
}
