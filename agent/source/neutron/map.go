package neutron

import (
	"fmt"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Host is what a router is translated for.
type Host struct {
	// Name is this host as Neutron knows it: "host" of neutron.conf,
	// binding:host_id of ports.
	Name string
	// Mode is agent_mode of the L3 agent beside us, one of the rpc's Mode
	// constants; "" is legacy.
	Mode string
}

// distributes reports whether the L3 agent beside us serves distributed
// routers' instances from its own host.
func (h Host) distributes() bool { return h.Mode == rpc.ModeDVR || h.Mode == rpc.ModeDVRSNAT }

// WantsPorts reports whether the places of ports matter to a host whose L3
// agent works in a mode. Where they don't, no port is asked for.
func WantsPorts(mode string) bool { return Host{Mode: mode}.distributes() }

// Router translates one router of sync_routers for a host. Neutron's list holds
// only routers that are administratively up (list_active_sync_routers
// _on_hosts), but a message may say otherwise, so both flags count.
//
//	router        mode             meets the external network in         serves
//	centralised   any but the last qrouter-<router>, qg-                 all
//	distributed   dvr, dvr_snat    fip-<external network>, fg-           ports of this host
//	distributed   dvr_snat         snat-<router>, qg-, if it is HA or    ports of hosts that are
//	                               its gw_port_host is this host         dvr_no_external
//	distributed   legacy           nowhere
//	any           dvr_no_external  nowhere
//
// An HA router's snat- namespace is on several hosts, this one or not; which of
// them holds the gateway's address now is the kernel's to tell, not the server's.
func Router(r rpc.Router, h Host) inventory.Router {
	out := inventory.Router{
		ID:      r.ID,
		Name:    r.Name,
		Kind:    kind(r),
		Enabled: r.EnableNDPProxy && r.AdminStateUp,
	}
	for _, p := range r.Interfaces {
		out.Subnets = append(out.Subnets, subnets(p)...)
	}
	if r.Gateway == nil {
		return out
	}
	out.Scope = r.Gateway.ScopeV6
	out.Outside = outside(*r.Gateway)
	switch {
	case h.Mode == rpc.ModeDVRNoExternal:
		out.Remote = true
	case !r.Distributed:
		out.External = []inventory.Attachment{centralised(inventory.RouterNamespacePrefix, r)}
	case !h.distributes():
		out.Unsupported = "a distributed router needs agent_mode dvr, dvr_snat or dvr_no_external here"
	default:
		distributed(r, h, &out)
	}
	return out
}

func kind(r rpc.Router) inventory.Kind {
	switch {
	case r.Distributed && r.HA:
		return inventory.DistributedHA
	case r.Distributed:
		return inventory.Distributed
	case r.HA:
		return inventory.HA
	}
	return inventory.Legacy
}

// centralised is where the gateway port itself is.
func centralised(namespacePrefix string, r rpc.Router) inventory.Attachment {
	return inventory.Attachment{
		Namespace: namespacePrefix + r.ID,
		Device:    inventory.DeviceName(inventory.GatewayDevicePrefix, r.Gateway.ID),
		Addrs:     gatewayAddrs(*r.Gateway),
	}
}

func distributed(r rpc.Router, h Host, out *inventory.Router) {
	if p := agentGateway(r, h); p != nil {
		out.External = append(out.External, inventory.Attachment{
			Namespace: inventory.FIPNamespacePrefix + r.Gateway.NetworkID,
			Device:    inventory.DeviceName(inventory.FIPGatewayDevicePrefix, p.ID),
			Addrs:     gatewayAddrs(*p),
			Serves:    inventory.Here,
			Inner: &inventory.Inner{
				Device:        inventory.DeviceName(inventory.FIPRouterDevicePrefix, r.ID),
				PeerNamespace: inventory.RouterNamespacePrefix + r.ID,
				PeerDevice:    inventory.DeviceName(inventory.RouterFIPDevicePrefix, r.ID),
				Gateway:       gateway(*p),
			},
		})
	} else {
		out.Awaits = fmt.Sprintf("the L3 agent's own port on the external network %s", r.Gateway.NetworkID)
	}
	if h.Mode == rpc.ModeDVRSNAT && (r.HA || r.GatewayHost == h.Name) {
		at := centralised(inventory.SNATNamespacePrefix, r)
		at.Serves, at.Elective = inventory.Edge, r.HA
		out.External = append(out.External, at)
	}
}

// agentGateway is the port of the host's fg- device on the router's external
// network, nil while there is none: the L3 agent has it made when it first
// meets a router with a gateway there (get_agent_gateway_port), after the
// server has told of the router.
func agentGateway(r rpc.Router, h Host) *rpc.Port {
	for i, p := range r.FloatingIPAgentInterfaces {
		if p.NetworkID == r.Gateway.NetworkID && (p.HostID == "" || p.HostID == h.Name) {
			return &r.FloatingIPAgentInterfaces[i]
		}
	}
	return nil
}

// gateway is the next hop beyond the port's link, the zero value if its subnets
// have none.
func gateway(p rpc.Port) netip.Addr {
	for _, s := range p.Subnets {
		if s.GatewayIP.Is6() {
			return s.GatewayIP
		}
	}
	return netip.Addr{}
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

// outside are the IPv6 subnets of the network of a gateway port.
func outside(p rpc.Port) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range slices.Concat(p.Subnets, p.ExtraSubnets) {
		if s.CIDR.Addr().Is6() {
			out = append(out, s.CIDR.Masked())
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// Proxy translates one NDPProxy object.
func Proxy(p rpc.NDPProxy) inventory.Proxy {
	return inventory.Proxy{ID: p.ID, RouterID: p.RouterID, PortID: p.PortID, Addr: p.Addr}
}

// heldNamespaces are those in which a router that could not be understood may
// live: what is there must not be swept. Which external network it is on is not
// known, so that may be any fip- namespace.
func heldNamespaces(routerID string, h Host) []string {
	l := []string{inventory.RouterNamespacePrefix + routerID, inventory.SNATNamespacePrefix + routerID}
	if h.distributes() {
		l = append(l, inventory.FIPNamespacePrefix)
	}
	return l
}
