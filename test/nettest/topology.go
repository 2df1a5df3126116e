package nettest

import (
	"net/netip"
	"testing"
)

// Devices of a [Topology], called as Neutron calls them.
const (
	External = "qg-1"
	Internal = "qr-1"
)

// Topology is an upstream router, a router and an instance in a row:
//
//	upstream eth0 ── qg-1 router qr-1 ── eth0 instance
//	  2001:db8:0:1::/64            2001:db8:0:2::/64
//
// The router forwards; the upstream has no route to the instance's subnet yet.
type Topology struct {
	*Lab
	Upstream, Router, Instance *Namespace

	ExternalNet, InternalNet netip.Prefix
	// UpstreamAddr and GatewayAddr are on the external network, the router's
	// InternalAddr and the instance's InstanceAddr on the internal one.
	UpstreamAddr, GatewayAddr, InternalAddr, InstanceAddr netip.Addr
}

// NewTopology makes one, with every address usable.
func NewTopology(t testing.TB) *Topology {
	t.Helper()
	l := New(t)
	p := &Topology{
		Lab:      l,
		Upstream: l.Namespace("upstream"), Router: l.Namespace("router"), Instance: l.Namespace("instance"),
		ExternalNet: netip.MustParsePrefix("2001:db8:0:1::/64"), InternalNet: netip.MustParsePrefix("2001:db8:0:2::/64"),
		UpstreamAddr: netip.MustParseAddr("2001:db8:0:1::1"), GatewayAddr: netip.MustParseAddr("2001:db8:0:1::2"),
		InternalAddr: netip.MustParseAddr("2001:db8:0:2::1"), InstanceAddr: netip.MustParseAddr("2001:db8:0:2::10"),
	}
	for _, n := range []*Namespace{p.Upstream, p.Router} {
		n.Sysctl("net/ipv6/conf/all/forwarding", "1")
		n.Sysctl("net/ipv6/conf/default/forwarding", "1")
	}
	l.Veth(p.Upstream, "eth0", p.Router, External)
	l.Veth(p.Router, Internal, p.Instance, "eth0")
	p.Upstream.AddAddr("eth0", netip.PrefixFrom(p.UpstreamAddr, 64).String())
	p.Router.AddAddr(External, netip.PrefixFrom(p.GatewayAddr, 64).String())
	p.Router.AddAddr(Internal, netip.PrefixFrom(p.InternalAddr, 64).String())
	p.Instance.AddAddr("eth0", netip.PrefixFrom(p.InstanceAddr, 64).String())
	p.Router.IP("-6", "route", "add", "default", "via", p.UpstreamAddr.String(), "dev", External)
	p.Instance.IP("-6", "route", "add", "default", "via", p.InternalAddr.String())
	p.Upstream.LinkLocal("eth0")
	p.Router.LinkLocal(External)
	p.Router.LinkLocal(Internal)
	p.Instance.LinkLocal("eth0")
	return p
}

// OnLink makes the upstream look for the instance's subnet on the link, which
// takes an answer to its solicitations.
func (p *Topology) OnLink() {
	p.t.Helper()
	p.Upstream.IP("-6", "route", "replace", p.InternalNet.String(), "dev", "eth0")
}

// ViaGateway makes the upstream send everything for the instance's subnet to
// the router, asking nobody.
func (p *Topology) ViaGateway() {
	p.t.Helper()
	p.Upstream.IP("-6", "route", "replace", p.InternalNet.String(), "via", p.GatewayAddr.String(), "dev", "eth0")
}
