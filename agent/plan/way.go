package plan

import (
	"net/netip"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

const (
	// RouteTable is the routing table of the way back out of a shared
	// namespace. It holds our default route and nothing else.
	RouteTable = 110
	// RulePriority comes after the rule of the main table (32766), so that
	// whatever has a route there (the link, another router's instances) goes
	// by it, and after that of the default table (32767).
	RulePriority = 32800
)

// loopback as a rule's input device stands for what the namespace sends
// itself, such as ICMPv6 errors.
const loopback = "lo"

var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// destination is what the kernel has one route of ours for.
type destination struct {
	table int
	dst   netip.Prefix
}

// way adds the routes to the instances of an attachment in a shared namespace,
// and back from them, and returns the proxies that they make reachable: all, or
// none; what has no way must not be answered for. Only if the router's own
// namespace can't be read it is those that stand: nobody knows that their way
// is wrong.
//
// The default route is in a table of its own and not in main, because what
// comes in for an address that nobody publishes must find no route rather than
// be sent back to where it came from.
func (b *builder) way(accepted []inventory.Proxy, at inventory.Attachment) (reachable []inventory.Proxy) {
	if len(accepted) == 0 {
		return nil
	}
	via, why := b.nextHop(*at.Inner)
	for _, p := range accepted {
		r := dataplane.Route{
			Table: dataplane.MainTable, Dst: netip.PrefixFrom(p.Addr, p.Addr.BitLen()),
			Via: via, Device: at.Inner.Device,
		}
		if b.seen.Unreadable[at.Inner.PeerNamespace] && b.standing.on(at, p.Addr) {
			r = b.standing.routes[target{at.Inner.Device, p.Addr}]
		} else if why != "" {
			b.plan.Waiting = append(b.plan.Waiting, Rejection{p, why})
			continue
		}
		b.route(r)
		reachable = append(reachable, p)
	}
	if out, _ := find(b.seen.Interfaces, at.Device); len(reachable) > 0 && at.Inner.Gateway.IsValid() && out.Up && out.IPv6 {
		// Without its device the kernel has no route either, and the
		// attachment does not answer.
		b.route(dataplane.Route{Table: RouteTable, Dst: everywhere, Via: at.Inner.Gateway, Device: at.Device, OnLink: true})
		for _, from := range []string{at.Inner.Device, loopback} {
			b.plan.State.Rules = append(b.plan.State.Rules, dataplane.Rule{Priority: RulePriority, IIF: from, Table: RouteTable})
		}
	}
	return reachable
}

// route adds a route, unless another router of the namespace has one to the
// same destination: the kernel would take the second in place of the first,
// with each look anew. Two routers that publish one address (one message of a
// move has not come yet) keep it as long as one of them does.
func (b *builder) route(r dataplane.Route) {
	if d := (destination{r.Table, r.Dst}); !b.routes[d] {
		b.routes[d] = true
		b.plan.State.Routes = append(b.plan.State.Routes, r)
	}
}

// nextHop is the link-local address of the router's end of the pair. One that
// is still being checked for duplicates will do: it is where the packets have
// to go, and they wait for it no longer than the check takes.
func (b *builder) nextHop(in inventory.Inner) (via netip.Addr, why string) {
	near, ok := find(b.seen.Interfaces, in.Device)
	switch {
	case !ok:
		return via, "device " + in.Device + " does not exist"
	case !near.IPv6:
		return via, "device " + in.Device + " has no IPv6 (disabled, or an MTU below 1280)"
	case !near.Up:
		return via, "device " + in.Device + " is down"
	}
	interfaces, ok := b.seen.Peers[in.PeerNamespace]
	if b.seen.Unreadable[in.PeerNamespace] {
		return via, "namespace " + in.PeerNamespace + " can't be read"
	}
	if !ok {
		return via, "namespace " + in.PeerNamespace + " does not exist"
	}
	far, ok := find(interfaces, in.PeerDevice)
	if !ok {
		return via, "device " + in.PeerDevice + " in " + in.PeerNamespace + " does not exist"
	}
	if via = far.LinkLocal(); via.IsValid() {
		return via, ""
	}
	for _, a := range far.Addrs { // sorted
		if ip := a.Prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() && !a.DADFailed {
			return ip, ""
		}
	}
	return via, "device " + in.PeerDevice + " in " + in.PeerNamespace + " has no link-local address"
}
