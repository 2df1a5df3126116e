package neutron

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// wireRouter is the part of a router dictionary of sync_routers that is used.
type wireRouter struct {
	ID             string          `json:"id"`
	Name           string          `json:"name"`
	AdminStateUp   *bool           `json:"admin_state_up"`
	EnableNDPProxy json.RawMessage `json:"enable_ndp_proxy"`
	HA             bool            `json:"ha"`
	Distributed    bool            `json:"distributed"`
	HAState        string          `json:"_ha_state"`
	GatewayHost    string          `json:"gw_port_host"`
	GatewayID      json.RawMessage `json:"gw_port_id"`
	Gateway        json.RawMessage `json:"gw_port"`
	Interfaces     json.RawMessage `json:"_interfaces"`
	SNATInterfaces json.RawMessage `json:"_snat_router_interfaces"`
	FIPAgent       json.RawMessage `json:"_floatingip_agent_interfaces"`
	Revision       int             `json:"revision_number"`
}

type wirePort struct {
	ID          string           `json:"id"`
	NetworkID   string           `json:"network_id"`
	DeviceOwner string           `json:"device_owner"`
	HostID      string           `json:"binding:host_id"`
	MAC         string           `json:"mac_address"`
	FixedIPs    few[wireFixedIP] `json:"fixed_ips"`
	Subnets     few[wireSubnet]  `json:"subnets"`
	MoreSubnets few[wireSubnet]  `json:"extra_subnets"`
	Scopes      wireScopes       `json:"address_scopes"`
}

type wireFixedIP struct {
	SubnetID  string `json:"subnet_id"`
	Addr      string `json:"ip_address"`
	PrefixLen *int   `json:"prefixlen"`
}

type wireSubnet struct {
	ID        string  `json:"id"`
	CIDR      string  `json:"cidr"`
	GatewayIP *string `json:"gateway_ip"`
}

type wireScopes struct {
	V6 *string `json:"6"`
}

// decodeRouters decodes the answer of sync_routers.
func decodeRouters(raw json.RawMessage) ([]Router, []Malformed, error) {
	elems, err := list(raw, "answer of sync_routers")
	if err != nil {
		return nil, nil, err
	}
	var routers []Router
	var bad []Malformed
	for i, e := range elems {
		r, err := decodeRouter(e)
		if err != nil {
			bad = append(bad, Malformed{ID: nameOf(e, nil, i), Err: err})
			continue
		}
		routers = append(routers, r)
	}
	return routers, bad, nil
}

// decodeRouter decodes one router. A port that cannot be understood makes the
// whole router malformed: with an internal subnet missing, its unpublished
// addresses would be let through.
func decodeRouter(raw json.RawMessage) (Router, error) {
	var w wireRouter
	if err := decode(raw, &w); err != nil {
		return Router{}, fmt.Errorf("router: %w", err)
	}
	if err := checkID(w.ID); err != nil {
		return Router{}, fmt.Errorf("router: %w", err)
	}
	if w.AdminStateUp == nil {
		return Router{}, fmt.Errorf("router %s: admin_state_up is missing", w.ID)
	}
	enabled, err := enableNDPProxy(w.EnableNDPProxy)
	if err != nil {
		return Router{}, fmt.Errorf("router %s: %w", w.ID, err)
	}
	r := Router{
		ID: w.ID, Name: amqp.Clean(w.Name), AdminStateUp: *w.AdminStateUp, EnableNDPProxy: enabled,
		HA: w.HA, Distributed: w.Distributed, HAState: amqp.Clean(w.HAState), GatewayHost: amqp.Clean(w.GatewayHost),
		Revision: w.Revision,
	}
	switch {
	case !absent(w.Gateway):
		p, err := decodePort(w.Gateway)
		if err != nil {
			return Router{}, fmt.Errorf("router %s: gw_port: %w", w.ID, err)
		}
		r.Gateway = &p
	case !absent(w.GatewayID):
		// The server adds gw_port "only if available"
		// (neutron/db/l3_gwmode_db.py): the router has a gateway all the same.
		return Router{}, fmt.Errorf("router %s: gw_port_id is set, but gw_port is missing", w.ID)
	}
	for _, l := range []struct {
		what string
		raw  json.RawMessage
		into *[]Port
	}{
		{"_interfaces", w.Interfaces, &r.Interfaces},
		{"_snat_router_interfaces", w.SNATInterfaces, &r.SNATInterfaces},
		{"_floatingip_agent_interfaces", w.FIPAgent, &r.FloatingIPAgentInterfaces},
	} {
		elems, err := optionalList(l.raw, l.what)
		if err != nil {
			return Router{}, fmt.Errorf("router %s: %w", w.ID, err)
		}
		for i, e := range elems {
			p, err := decodePort(e)
			if err != nil {
				return Router{}, fmt.Errorf("router %s: %s: port %s: %w", w.ID, l.what, nameOf(e, nil, i), err)
			}
			*l.into = append(*l.into, p)
		}
	}
	return r, nil
}

// absent tells whether a value is missing, null, or an object or a string
// without content.
func absent(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "{}", `""`:
		return true
	}
	return false
}

// enableNDPProxy is false for null. The key is there whenever the server has
// the plug-in (neutron/services/ndp_proxy/plugin.py); without it there is
// nothing to say about the router's NDP proxies.
func enableNDPProxy(raw json.RawMessage) (on bool, err error) {
	if len(raw) == 0 {
		return false, errors.New("enable_ndp_proxy is missing: is the ndp_proxy service plug-in loaded?")
	}
	if err := json.Unmarshal(raw, &on); err != nil {
		return false, fmt.Errorf("enable_ndp_proxy: %s", amqp.Clean(err.Error()))
	}
	return on, nil
}

func decodePort(raw json.RawMessage) (Port, error) {
	var w wirePort
	if err := decode(raw, &w); err != nil {
		return Port{}, err
	}
	if err := checkID(w.ID); err != nil {
		return Port{}, err
	}
	if err := checkID(w.NetworkID); err != nil {
		return Port{}, fmt.Errorf("network_id: %w", err)
	}
	mac, err := macAddress(w.MAC)
	if err != nil {
		return Port{}, err
	}
	p := Port{ID: w.ID, NetworkID: w.NetworkID, DeviceOwner: amqp.Clean(w.DeviceOwner), HostID: amqp.Clean(w.HostID), MAC: mac}
	if w.Scopes.V6 != nil && *w.Scopes.V6 != "" {
		p.ScopeV6 = *w.Scopes.V6
		if err := checkID(p.ScopeV6); err != nil {
			return Port{}, fmt.Errorf("address_scopes: %w", err)
		}
	}
	if p.Subnets, err = decodeSubnets(w.Subnets); err != nil {
		return Port{}, err
	}
	if p.ExtraSubnets, err = decodeSubnets(w.MoreSubnets); err != nil {
		return Port{}, fmt.Errorf("extra_subnets: %w", err)
	}
	for _, f := range w.FixedIPs {
		ip, err := decodeFixedIP(f, p.Subnets)
		if err != nil {
			return Port{}, err
		}
		p.FixedIPs = append(p.FixedIPs, ip)
	}
	return p, nil
}

func decodeSubnets(l []wireSubnet) (out []Subnet, err error) {
	for _, w := range l {
		s, err := decodeSubnet(w)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func decodeSubnet(w wireSubnet) (Subnet, error) {
	if err := checkID(w.ID); err != nil {
		return Subnet{}, fmt.Errorf("subnet: %w", err)
	}
	cidr, err := netip.ParsePrefix(w.CIDR)
	if err != nil || cidr.Addr().Is4In6() {
		return Subnet{}, fmt.Errorf("subnet %s: cidr: %q is not a prefix", w.ID, amqp.Clean(w.CIDR))
	}
	s := Subnet{ID: w.ID, CIDR: cidr.Masked()}
	if w.GatewayIP != nil && *w.GatewayIP != "" {
		if s.GatewayIP, err = address(*w.GatewayIP, "gateway_ip"); err != nil {
			return Subnet{}, fmt.Errorf("subnet %s: %w", w.ID, err)
		}
	}
	return s, nil
}

// decodeFixedIP takes the prefix length from the port's subnet where the
// server did not repeat it.
func decodeFixedIP(w wireFixedIP, subnets []Subnet) (FixedIP, error) {
	if err := checkID(w.SubnetID); err != nil {
		return FixedIP{}, fmt.Errorf("fixed_ips: subnet_id: %w", err)
	}
	a, err := address(w.Addr, "fixed_ips: ip_address")
	if err != nil {
		return FixedIP{}, err
	}
	ip := FixedIP{SubnetID: w.SubnetID, Addr: a}
	switch {
	case w.PrefixLen != nil:
		if *w.PrefixLen < 0 || *w.PrefixLen > a.BitLen() {
			return FixedIP{}, fmt.Errorf("fixed_ips: %s/%d: prefix length out of range", a, *w.PrefixLen)
		}
		ip.PrefixLen = *w.PrefixLen
	default:
		for _, s := range subnets {
			if s.ID == w.SubnetID && s.CIDR.Contains(a) {
				ip.PrefixLen = s.CIDR.Bits()
			}
		}
	}
	return ip, nil
}
