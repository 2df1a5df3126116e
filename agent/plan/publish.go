package plan

import (
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// guarded are all internal subnets. Only those of the gateway's address scope
// may be reached from outside at all, and the L3 agent's own rules keep the
// others closed; but when a scope changes, it writes its rules in its own time,
// and there must be no moment between its guard and ours.
func guarded(r inventory.Router) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(r.Subnets))
	for _, s := range r.Subnets {
		out = append(out, s.Prefix.Masked())
	}
	return out
}

// Served returns the proxies of a router that its attachments in a namespace
// serve, whether or not they may be published. A proxy whose place is not
// known is served by those only that serve any.
func Served(name string, e inventory.Entry) []inventory.Proxy {
	var out []inventory.Proxy
	for _, p := range e.Proxies {
		if slices.ContainsFunc(e.Router.External, func(at inventory.Attachment) bool {
			return at.Namespace == name && at.Publishes(e.Places[p.PortID])
		}) {
			out = append(out, p)
		}
	}
	return out
}

// publish returns the proxies that an attachment serves and that may be
// published, and notes the ones to refuse. The server checks the same things,
// but what a message says is not trusted with the dataplane: the kernel accepts
// any nonsense as a proxied address.
func (b *builder) publish(e inventory.Entry, at inventory.Attachment) (accepted []inventory.Proxy) {
	for _, proxy := range e.Proxies {
		place := e.Places[proxy.PortID]
		serves := at.Publishes(place)
		if !serves && (place != inventory.Anywhere || !b.standing.on(at, proxy.Addr)) {
			continue // its own host's, or not known yet whose
		}
		if why := Refuse(e.Router, proxy.Addr); why != "" {
			b.plan.Rejected = append(b.plan.Rejected, Rejection{proxy, why})
			continue
		}
		if b.excess[target{at.Device, proxy.Addr}] {
			b.plan.Excess++
			continue
		}
		if !serves {
			b.plan.Standing++
		}
		accepted = append(accepted, proxy)
	}
	return accepted
}

// unplaced counts the proxies of which nobody knows yet whose they are.
func unplaced(e inventory.Entry) int {
	n := 0
	for _, p := range e.Proxies {
		if e.Router.ByPlace() && e.Places[p.PortID] == inventory.Anywhere {
			n++
		}
	}
	return n
}

// shortestSubnet bounds what counts as an internal subnet: a shorter prefix is
// nobody's own, and would be the authority for half of the world's addresses.
const shortestSubnet = 16

// Refuse returns why a router may not publish an address, "" if it may.
func Refuse(r inventory.Router, a netip.Addr) string {
	switch {
	case !a.Is6() || a.Is4In6():
		return "not an IPv6 address"
	case a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast():
		return "not a global unicast address"
	}
	for _, at := range r.External {
		if slices.Contains(at.Addrs, a) {
			return "the router's own gateway address"
		}
	}
	for _, p := range r.Outside {
		if p.Contains(a) {
			return "inside " + p.String() + ", a subnet of the external network: it may be another's there"
		}
	}
	inside, other := false, ""
	for _, s := range r.Subnets {
		if !s.Prefix.Contains(a) {
			continue
		}
		switch { // every subnet that has it counts: one may be in another
		case slices.Contains(s.RouterAddrs, a):
			return "the router's own address in " + s.Prefix.String()
		case anycast(s.Prefix) == a:
			return "the subnet-router anycast address of " + s.Prefix.String()
		case s.Prefix.Bits() < shortestSubnet:
			other = "its subnet " + s.Prefix.String() + " is too large to be anybody's"
		case s.Scope != r.Scope:
			other = "its subnet " + s.Prefix.String() + " has another address scope than the gateway"
		default:
			inside = true
		}
	}
	switch {
	case inside:
		return ""
	case other != "":
		return other
	}
	return "outside every internal subnet of the router"
}

// anycast is the subnet-router anycast address (RFC 4291, section 2.6.1), which
// every router of the subnet has; the zero value where there is none (RFC 6164).
func anycast(p netip.Prefix) netip.Addr {
	if p.Bits() >= 127 {
		return netip.Addr{}
	}
	return p.Masked().Addr()
}
