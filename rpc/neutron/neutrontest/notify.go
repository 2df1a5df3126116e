package neutrontest

import (
	"errors"

	"neutron-ndp-proxy-agent/rpc/neutron"
)

// notification is a cast of the server's, in the context of an API request.
func notification(method, version string, args map[string]any) map[string]any {
	return map[string]any{"method": method, "args": args, "version": version, "_unique_id": hexID(),
		"_context_is_admin": true, "_context_project_id": "p", "_context_request_id": "req-" + hexID(),
		"_context_roles": []string{"admin"}}
}

// toHost sends to the L3 agent of a host. An error that is [ErrUnrouted] says
// that nobody listens.
func (s *Server) toHost(host string, m map[string]any, expiration string) error {
	return s.publish(s.opts.exchange(), "l3_agent."+host, Envelope(m), expiration)
}

// toAll sends to all agents of a topic. It fails with 404 if the exchange does
// not exist, which costs the real server the message.
func (s *Server) toAll(topic string, m map[string]any) error {
	return s.publish(topic+"_fanout", "", Envelope(m), "")
}

// DeclareFanouts declares the fanout exchanges, as the server does before its
// first push.
func (s *Server) DeclareFanouts() error {
	return s.onChannel(func(ch channel) error {
		return errors.Join(s.fanout(ch, topicL3), s.fanout(ch, topicProxy))
	})
}

const (
	topicL3    = "l3_agent"
	topicProxy = "neutron-vo-NDPProxy-1.0"
)

// RoutersUpdated tells a host's agents that routers changed.
func (s *Server) RoutersUpdated(host string, ids ...string) error {
	return s.toHost(host, notification("routers_updated", "1.1", map[string]any{"routers": ids}), "")
}

// RouterAdded tells a host's agents that routers were scheduled to it: a call,
// whose answers [Server.Answers] counts.
func (s *Server) RouterAdded(host string, ids ...string) error {
	m := notification("router_added_to_agent", "1.0", map[string]any{"payload": ids})
	m["_msg_id"], m["_reply_q"], m["_timeout"] = hexID(), s.replies, nil
	return s.toHost(host, m, "60000")
}

// RouterRemoved tells a host's agents that a router was taken off it.
func (s *Server) RouterRemoved(host, id string) error {
	return s.toHost(host, notification("router_removed_from_agent", "1.0",
		map[string]any{"payload": map[string]string{"router_id": id}}), "")
}

// RouterDeleted tells all L3 agents that a router is no more.
func (s *Server) RouterDeleted(id string) error {
	return s.toAll(topicL3, notification("router_deleted", "1.0", map[string]any{"router_id": id}))
}

// AgentUpdated tells a host's agents the administrative state of its L3 agent
// (neutron/api/rpc/agentnotifiers/l3_rpc_agent_api.py).
func (s *Server) AgentUpdated(host string, adminStateUp bool) error {
	return s.toHost(host, notification("agent_updated", "1.0",
		map[string]any{"payload": map[string]bool{"admin_state_up": adminStateUp}}), "")
}

// Push tells everybody about changed NDP proxies.
func (s *Server) Push(kind neutron.ChangeKind, proxies ...neutron.NDPProxy) error {
	list := []any{}
	for _, p := range proxies {
		list = append(list, proxyObject(p))
	}
	return s.toAll(topicProxy, notification("push", "1.1", map[string]any{"resource_list": list, "event_type": kind}))
}

// Raw publishes any bytes; exchange "" is the default exchange.
func (s *Server) Raw(exchange, key string, body []byte) error {
	return s.publish(exchange, key, body, "")
}

// routerObject is a router as sync_routers gives it.
func routerObject(r neutron.Router) map[string]any {
	m := map[string]any{
		"id": r.ID, "name": r.Name, "tenant_id": "p", "project_id": "p", "admin_state_up": r.AdminStateUp, "status": "ACTIVE",
		"enable_ndp_proxy": r.EnableNDPProxy, "ha": r.HA, "distributed": r.Distributed, "ha_vr_id": 0,
		"revision_number": r.Revision, "gw_port_host": nil, "gw_port": nil, "routes": []any{}, "flavor_id": nil,
		"_interfaces": portObjects(r.Interfaces),
	}
	if r.GatewayHost != "" {
		m["gw_port_host"] = r.GatewayHost
	}
	if r.Gateway != nil {
		m["gw_port"], m["gw_port_id"] = portObject(*r.Gateway), r.Gateway.ID
	}
	if r.HA {
		m["_ha_state"] = r.HAState
	}
	if r.Distributed {
		m["_snat_router_interfaces"] = portObjects(r.SNATInterfaces)
		m["_floatingip_agent_interfaces"] = portObjects(r.FloatingIPAgentInterfaces)
	}
	return m
}

func portObjects(ports []neutron.Port) []any {
	l := []any{}
	for _, p := range ports {
		l = append(l, portObject(p))
	}
	return l
}

func portObject(p neutron.Port) map[string]any {
	ips, subnets := []any{}, []any{}
	for _, f := range p.FixedIPs {
		ip := map[string]any{"subnet_id": f.SubnetID, "ip_address": f.Addr}
		if f.PrefixLen > 0 {
			ip["prefixlen"] = f.PrefixLen
		}
		ips = append(ips, ip)
	}
	for _, s := range p.Subnets {
		subnet := map[string]any{"id": s.ID, "cidr": s.CIDR, "gateway_ip": nil, "ipv6_ra_mode": nil, "dns_nameservers": []any{}}
		if s.GatewayIP.IsValid() {
			subnet["gateway_ip"] = s.GatewayIP
		}
		subnets = append(subnets, subnet)
	}
	scopes := map[string]any{"4": nil, "6": nil}
	if p.ScopeV6 != "" {
		scopes["6"] = p.ScopeV6
	}
	return map[string]any{
		"id": p.ID, "name": "", "network_id": p.NetworkID, "mac_address": p.MAC, "device_owner": p.DeviceOwner,
		"binding:host_id": p.HostID, "binding:vnic_type": "normal", "admin_state_up": true, "status": "ACTIVE",
		"fixed_ips": ips, "subnets": subnets, "extra_subnets": []any{}, "address_scopes": scopes, "mtu": 1500,
	}
}

// proxyObject is an NDP proxy as a versioned object.
func proxyObject(p neutron.NDPProxy) map[string]any {
	return object("NDPProxy", "1.0", map[string]any{
		"id": p.ID, "name": p.Name, "project_id": p.ProjectID, "router_id": p.RouterID, "port_id": p.PortID,
		"ip_address": p.Addr, "description": "", "revision_number": p.Revision,
		"created_at": "2026-11-22T17:34:53Z", "updated_at": "2026-11-22T17:34:53Z",
	})
}
