package sim

import (
	"slices"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// What is read here is guarded by the cloud's lock.

func (h *Host) routerIDs() (ids []string) {
	for _, r := range h.w.Routers {
		if h.carries(r) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func (h *Host) routers(wanted func(id string) bool) (out []rpc.Router) {
	for _, r := range h.w.Routers {
		if wanted(r.ID) && r.Up && h.carries(r) {
			out = append(out, r.object(h))
		}
	}
	return out
}

func (w *World) ndpProxies(ofRouter func(id string) bool) (out []rpc.NDPProxy) {
	for _, p := range w.cloud.proxies {
		if ofRouter(p.Router.ID) && slices.Contains(w.Routers, p.Router) {
			out = append(out, p.object())
		}
	}
	return out
}

func (w *World) ports(ids []string) (out []rpc.BoundPort) {
	for _, vm := range w.Instances {
		if slices.Contains(ids, vm.PortID) && !vm.deleted {
			out = append(out, vm.object())
		}
	}
	return out
}

func (w *World) l3Agents(hosts []string) (out []rpc.Agent) {
	for _, h := range w.Hosts {
		if slices.Contains(hosts, h.Name) {
			out = append(out, rpc.Agent{Host: h.Name, Type: rpc.L3AgentType, Mode: h.Mode})
		}
	}
	return out
}

func (vm *Instance) object() rpc.BoundPort {
	return rpc.BoundPort{ID: vm.PortID, NetworkID: vm.net.ID, DeviceOwner: "compute:nova", Host: vm.Host.Name, Revision: vm.revision}
}

func (p *Proxy) object() rpc.NDPProxy {
	return rpc.NDPProxy{ID: p.ID, RouterID: p.Router.ID, PortID: p.PortID, Addr: p.Addr}
}

// object is the router as sync_routers describes it to a host.
func (r *Router) object(h *Host) rpc.Router {
	out := rpc.Router{ID: r.ID, Name: string(r.Kind), AdminStateUp: r.Up, EnableNDPProxy: r.Enabled,
		HA: r.Kind.HighlyAvailable(), Distributed: r.Kind.Distributed()}
	if out.HA {
		out.HAState = "standby" // late or wrong: nothing may depend on it
	}
	for _, i := range r.Interfaces {
		out.Interfaces = append(out.Interfaces, i.Net.port(i.PortID, i.MAC, i))
	}
	if r.Gateway == nil {
		return out
	}
	gw := r.Gateway.port()
	out.Gateway = &gw
	if out.Distributed {
		if len(r.Hosts) > 0 {
			out.GatewayHost = r.Hosts[0].Name
		}
		if r.Primary != nil {
			out.GatewayHost = r.Primary.Name
		}
		if g := r.agentPorts[h.Name+r.Gateway.Net.ID]; g != nil {
			p := g.port()
			p.HostID, p.DeviceOwner = h.Name, "network:floatingip_agent_gateway"
			out.FloatingIPAgentInterfaces = []rpc.Port{p}
		}
	}
	return out
}

func (g *Gateway) port() rpc.Port {
	p := rpc.Port{ID: g.PortID, NetworkID: g.Net.ID, MAC: g.MAC, ScopeV6: g.Net.Scope,
		FixedIPs: []rpc.FixedIP{{SubnetID: g.Net.ID + "-6", Addr: g.Addr, PrefixLen: 64}},
		Subnets:  []rpc.Subnet{{ID: g.Net.ID + "-4", CIDR: g.Net.V4, GatewayIP: host(g.Net.V4, 1)}}}
	if g.Net.Prefix.IsValid() {
		p.Subnets = append(p.Subnets, rpc.Subnet{ID: g.Net.ID + "-6", CIDR: g.Net.Prefix, GatewayIP: g.Net.Gateway})
	} else {
		p.FixedIPs[0].SubnetID = g.Net.ID + "-4"
	}
	return p
}

func (in *Internal) port(id, mac string, i *Interface) rpc.Port {
	return rpc.Port{ID: id, NetworkID: in.ID, MAC: mac, ScopeV6: in.Scope,
		FixedIPs: []rpc.FixedIP{{SubnetID: in.ID + "-4", Addr: host(in.V4, 1), PrefixLen: 24}, {SubnetID: in.ID + "-6", Addr: i.Addr, PrefixLen: 64}},
		Subnets: []rpc.Subnet{{ID: in.ID + "-4", CIDR: in.V4, GatewayIP: host(in.V4, 1)},
			{ID: in.ID + "-6", CIDR: in.Prefix, GatewayIP: in.RouterAddr}}}
}
