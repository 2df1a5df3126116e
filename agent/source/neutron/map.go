package neutron

import (
	"net/netip"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Router translates one router of sync_routers for this host. Neutron's list
// holds only routers that are administratively up (list_active_sync_routers
// _on_hosts), but a message may say otherwise, so both flags count.
func Router(r rpc.Router) inventory.Router {
	out := inventory.Router{
		ID:      r.ID,
		Name:    r.Name,
		Enabled: r.EnableNDPProxy && r.AdminStateUp,
	}
	for _, p := range r.Interfaces {
		out.Subnets = append(out.Subnets, subnets(p)...)
	}
	if r.Gateway == nil {
		return out
	}
	out.Scope = r.Gateway.ScopeV6
	if r.Distributed {
		out.Unsupported = "distributed routers are not served by this version"
		return out
	}
	out.External = []inventory.Attachment{{
		Namespace: inventory.RouterNamespacePrefix + r.ID,
		Device:    inventory.DeviceName(inventory.GatewayDevicePrefix, r.Gateway.ID),
		Addrs:     gatewayAddrs(*r.Gateway),
	}}
	return out
}

// gatewayAddrs are the addresses whose presence says that the gateway lives
// here: the IPv6 ones, or on a network that has none the IPv4 ones, or none at
// all (then a link-local address has to do). IPv4 addresses don't count beside
// IPv6 ones: they are there at once, while those are still being checked for
// duplicates.
func gatewayAddrs(p rpc.Port) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, ip := range p.FixedIPs {
		if ip.Addr.Is4() {
			v4 = append(v4, ip.Addr)
		} else {
			v6 = append(v6, ip.Addr)
		}
	}
	if len(v6) > 0 {
		return v6
	}
	return v4
}

// subnets are the IPv6 subnets that a port has an address in. Those of the
// network that the router isn't attached to come separately (extra_subnets)
// and are none of ours.
func subnets(p rpc.Port) []inventory.Subnet {
	var out []inventory.Subnet
	for _, s := range p.Subnets {
		if !s.CIDR.IsValid() || !s.CIDR.Addr().Is6() {
			continue
		}
		sub := inventory.Subnet{Prefix: s.CIDR.Masked(), Scope: p.ScopeV6}
		for _, ip := range p.FixedIPs {
			if s.CIDR.Contains(ip.Addr) {
				sub.RouterAddrs = append(sub.RouterAddrs, ip.Addr)
			}
		}
		out = append(out, sub)
	}
	return out
}

// Proxy translates one NDPProxy object.
func Proxy(p rpc.NDPProxy) inventory.Proxy {
	return inventory.Proxy{ID: p.ID, RouterID: p.RouterID, PortID: p.PortID, Addr: p.Addr}
}

// heldNamespaces are those in which a router that could not be understood may
// live: what is there must not be swept.
func heldNamespaces(routerID string) []string {
	return []string{inventory.RouterNamespacePrefix + routerID, inventory.SNATNamespacePrefix + routerID}
}

// answer is what the server said about the routers that it was asked for.
type answer struct {
	asked                  []string
	routers                []rpc.Router
	proxies                []rpc.NDPProxy
	badRouters, badProxies []rpc.Malformed
}

// ids are the routers that the server described.
func (a answer) ids() []string {
	ids := make([]string, 0, len(a.routers))
	for _, r := range a.routers {
		ids = append(ids, r.ID)
	}
	return ids
}

// snapshot translates an answer. What could not be understood stays as it was:
// an object by its id, or, where even that could not be read, everything that
// the answer does not name, since any of it may be meant.
func (a answer) snapshot() inventory.Snapshot {
	s := inventory.Snapshot{Held: map[string][]string{}}
	named := map[string]bool{}
	for _, r := range a.routers {
		s.Routers = append(s.Routers, Router(r))
		named[r.ID] = true
	}
	for _, m := range a.badRouters {
		if slices.Contains(a.asked, m.ID) {
			s.Held[m.ID] = heldNamespaces(m.ID)
			continue
		}
		for _, id := range a.asked {
			if !named[id] {
				s.Held[id] = heldNamespaces(id)
			}
		}
	}
	for _, p := range a.proxies {
		s.Proxies = append(s.Proxies, Proxy(p))
	}
	for _, m := range a.badProxies {
		switch {
		case !strings.HasPrefix(m.ID, "#"):
			s.KeepProxies = append(s.KeepProxies, m.ID)
		case m.RouterID != "":
			s.KeepProxiesOf = append(s.KeepProxiesOf, m.RouterID)
		default:
			s.KeepAllProxies = true
		}
	}
	return s
}
