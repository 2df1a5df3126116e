package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/test/nettools"
)

// The names of the guide's user workflow; a Cloud is found and completed by them.
const (
	ScopeName    = "test-ipv6-as"
	PoolName     = "test-subnetpool"
	PoolPrefix   = "2001:db8::/96"
	ExtNetName   = "public"
	ExtSubName   = "ext-sub"
	RouterName   = "test-router"
	IntNetName   = "int-net"
	IntSubName   = "int-sub"
	InstanceName = "test-server"
)

// Cloud is what the guide's workflow makes: an external and an internal IPv6 subnet of one address
// scope, and a router between them.
type Cloud struct {
	API *API
	lab *Lab

	Scope, Pool, ExtNet, ExtSub, Router, IntNet, IntSub string

	Namespace   string     // the router's
	GatewayDev  string     // qg-...
	InternalDev string     // qr-...
	Gateway     netip.Addr // of the router on the external network
	Upstream    netip.Addr // gateway of the external subnet: the upstream router
	Internal    netip.Addr // gateway of the internal subnet: the router
}

// poll calls check until it says true or fails, or ctx ends.
func poll(ctx context.Context, what string, check func() (bool, error)) error {
	for {
		ok, err := check()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// find returns the id of a resource by its name; "" if there is none.
func (a *API) find(ctx context.Context, k kind, name string) (string, error) {
	found, err := list[Named](ctx, a, k, url.Values{"name": {name}})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].ID, nil
}

func (a *API) ensure(ctx context.Context, k kind, name string, f Fields) (string, error) {
	id, err := a.find(ctx, k, name)
	if err != nil || id != "" {
		return id, err
	}
	f["name"] = name
	made, err := create[Named](ctx, a, k, f)
	return made.ID, err
}

// EnsureCloud finds or makes the guide's networks and router, puts right what an earlier test left
// (router down, NDP proxy off, another gateway address is fine), and waits until the L3 agent has
// built the router.
func (l *Lab) EnsureCloud(ctx context.Context, a *API) (*Cloud, error) {
	c := &Cloud{API: a, lab: l}
	for _, name := range []string{"rabbitmq", "neutron-server", "l2-agent", "l3-agent"} {
		if !l.ServiceAlive(ctx, name) {
			if err := l.Service(ctx, "start", name); err != nil {
				return nil, err
			}
		}
	}
	steps := []struct {
		id   *string
		kind kind
		name string
		f    func() Fields
	}{
		{&c.Scope, addressScope, ScopeName, func() Fields { return Fields{"ip_version": 6, "shared": true} }},
		{&c.Pool, subnetPool, PoolName, func() Fields {
			return Fields{"address_scope_id": c.Scope, "prefixes": []string{PoolPrefix}, "default_prefixlen": 112, "shared": true}
		}},
		{&c.ExtNet, network, ExtNetName, func() Fields {
			return Fields{"router:external": true, "provider:network_type": "flat", "provider:physical_network": "public"}
		}},
		{&c.ExtSub, subnet, ExtSubName, func() Fields {
			return Fields{"network_id": c.ExtNet, "subnetpool_id": c.Pool, "prefixlen": 112, "ip_version": 6, "enable_dhcp": false}
		}},
		{&c.Router, router, RouterName, func() Fields { return Fields{"ha": false, "distributed": false} }},
		{&c.IntNet, network, IntNetName, func() Fields { return Fields{"port_security_enabled": false} }},
		{&c.IntSub, subnet, IntSubName, func() Fields {
			return Fields{"network_id": c.IntNet, "subnetpool_id": c.Pool, "prefixlen": 112, "ip_version": 6,
				"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
		}},
	}
	for _, s := range steps {
		id, err := a.ensure(ctx, s.kind, s.name, s.f())
		if err != nil {
			return nil, err
		}
		*s.id = id
	}
	if err := c.ensureRouter(ctx); err != nil {
		return nil, err
	}
	return c, c.Refresh(ctx)
}

func (c *Cloud) ensureRouter(ctx context.Context) error {
	r, err := show[Router](ctx, c.API, router, c.Router)
	if err != nil {
		return err
	}
	want := Fields{}
	if !r.AdminUp {
		want["admin_state_up"] = true
	}
	if r.Gateway == nil {
		want["external_gateway_info"] = Fields{"network_id": c.ExtNet}
	}
	if len(want) > 0 {
		if err := c.UpdateRouter(ctx, want); err != nil {
			return err
		}
	}
	// the server refuses it before there is a gateway in an address scope
	if !r.NDP {
		if err := c.UpdateRouter(ctx, Fields{"enable_ndp_proxy": true}); err != nil {
			return err
		}
	}
	on, err := c.routerPorts(ctx, "network:router_interface")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(on, func(p Port) bool { return p.NetworkID == c.IntNet }) {
		if err := c.AddInterface(ctx, c.IntSub); err != nil {
			return err
		}
	}
	hosts, err := c.hosts(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(hosts, Host) {
		return c.AddToAgent(ctx)
	}
	return nil
}

// Refresh reads the names and addresses that follow from the router's ports, and waits until the
// router is built: its gateway answers the upstream router.
func (c *Cloud) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	gateway, err := c.routerPorts(ctx, "network:router_gateway")
	if err != nil {
		return err
	}
	internal, err := c.routerPorts(ctx, "network:router_interface")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(internal, func(p Port) bool { return p.NetworkID == c.IntNet })
	if len(gateway) != 1 || i < 0 {
		return fmt.Errorf("router %s: %d gateway ports, interface on %s at %d", c.Router, len(gateway), IntNetName, i)
	}
	c.Namespace = "qrouter-" + c.Router
	c.GatewayDev = "qg-" + gateway[0].ID[:11]
	c.InternalDev = "qr-" + internal[i].ID[:11]
	c.Gateway = gateway[0].FixedIPs[0].Addr
	c.Internal = internal[i].FixedIPs[0].Addr
	ext, err := show[struct {
		Gateway netip.Addr `json:"gateway_ip"`
	}](ctx, c.API, subnet, c.ExtSub)
	if err != nil {
		return err
	}
	c.Upstream = ext.Gateway
	if err := c.ensureUpstream(ctx); err != nil {
		return err
	}
	if err := poll(ctx, "device "+c.InternalDev, func() (bool, error) {
		devices, err := nettools.Devices(ctx, c.Namespace)
		return err == nil && slices.Contains(devices, c.InternalDev), nil
	}); err != nil {
		return err
	}
	_, err = nettools.AwaitReachable(ctx, UpstreamNS, c.Gateway)
	return err
}

// ensureUpstream is the guide's part "On the upstream router": the gateway address of the external
// subnet, and a direct route for the whole pool.
func (c *Cloud) ensureUpstream(ctx context.Context) error {
	address := c.Upstream.String() + "/112"
	out, err := nettools.IP(ctx, UpstreamNS, "-6", "-o", "addr", "show", "dev", UpstreamDev, "scope", "global")
	if err != nil {
		return err
	}
	if !strings.Contains(string(out), " "+address+" ") || strings.Count(string(out), "\n") != 1 {
		if _, err := nettools.IP(ctx, UpstreamNS, "-6", "addr", "flush", "dev", UpstreamDev, "scope", "global"); err != nil {
			return err
		}
	}
	_, err = nettools.IP(ctx, UpstreamNS, "addr", "replace", address, "dev", UpstreamDev, "nodad")
	if err != nil {
		return err
	}
	_, err = nettools.IP(ctx, UpstreamNS, "-6", "route", "replace", PoolPrefix, "dev", UpstreamDev)
	return err
}

func (c *Cloud) routerPorts(ctx context.Context, owner string) ([]Port, error) {
	return list[Port](ctx, c.API, port, url.Values{"device_id": {c.Router}, "device_owner": {owner}})
}

// UpdateRouter changes attributes of the router.
func (c *Cloud) UpdateRouter(ctx context.Context, f Fields) error {
	return c.API.update(ctx, router, c.Router, f)
}

// MoveGateway gives the router another address on the external network.
func (c *Cloud) MoveGateway(ctx context.Context, a netip.Addr) error {
	return c.UpdateRouter(ctx, Fields{"external_gateway_info": Fields{
		"network_id":         c.ExtNet,
		"external_fixed_ips": []Fields{{"subnet_id": c.ExtSub, "ip_address": a}},
	}})
}

// AddInterface and RemoveInterface attach and detach an internal subnet.
func (c *Cloud) AddInterface(ctx context.Context, subnetID string) error {
	return c.API.do(ctx, http.MethodPut, "routers/"+c.Router+"/add_router_interface", Fields{"subnet_id": subnetID}, nil)
}

// RemoveInterface detaches an internal subnet.
func (c *Cloud) RemoveInterface(ctx context.Context, subnetID string) error {
	return c.API.do(ctx, http.MethodPut, "routers/"+c.Router+"/remove_router_interface", Fields{"subnet_id": subnetID}, nil)
}

// MakeSubnet makes another internal network with a subnet of the pool and returns a function that
// deletes both.
func (c *Cloud) MakeSubnet(ctx context.Context, name string) (subnetID string, remove func(context.Context) error, err error) {
	n, err := create[Named](ctx, c.API, network, Fields{"name": name, "port_security_enabled": false})
	if err != nil {
		return "", nil, err
	}
	remove = func(ctx context.Context) error { return c.API.remove(ctx, network, n.ID) }
	s, err := create[Named](ctx, c.API, subnet, Fields{"name": name, "network_id": n.ID, "subnetpool_id": c.Pool,
		"prefixlen": 112, "ip_version": 6, "enable_dhcp": false})
	if err != nil {
		return "", nil, errors.Join(err, remove(ctx))
	}
	return s.ID, remove, nil
}

// l3Agent is the id of this host's L3 agent.
func (c *Cloud) l3Agent(ctx context.Context) (string, error) {
	found, err := list[Agent](ctx, c.API, agent, url.Values{"agent_type": {"L3 agent"}, "host": {Host}})
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d L3 agents on %s", len(found), Host)
	}
	return found[0].ID, nil
}

func (c *Cloud) hosts(ctx context.Context) ([]string, error) {
	var doc struct {
		Agents []Agent `json:"agents"`
	}
	err := c.API.do(ctx, http.MethodGet, "routers/"+c.Router+"/l3-agents", nil, &doc)
	var hosts []string
	for _, a := range doc.Agents {
		hosts = append(hosts, a.Host)
	}
	return hosts, err
}

// RemoveFromAgent takes the router off this host's L3 agent; AddToAgent gives it back.
func (c *Cloud) RemoveFromAgent(ctx context.Context) error {
	id, err := c.l3Agent(ctx)
	if err != nil {
		return err
	}
	return c.API.do(ctx, http.MethodDelete, "agents/"+id+"/l3-routers/"+c.Router, nil, nil)
}

// AddToAgent schedules the router to this host's L3 agent.
func (c *Cloud) AddToAgent(ctx context.Context) error {
	id, err := c.l3Agent(ctx)
	if err != nil {
		return err
	}
	return c.API.do(ctx, http.MethodPost, "agents/"+id+"/l3-routers", Fields{"router_id": c.Router}, nil)
}

// Publish makes an NDP proxy for the instance unless it has one, and returns it.
func (c *Cloud) Publish(ctx context.Context, i *Instance) (NDPProxy, error) {
	all, err := c.Proxies(ctx)
	if err != nil {
		return NDPProxy{}, err
	}
	for _, p := range all {
		if p.PortID == i.Port.ID && p.Addr == i.Addr {
			return p, nil
		}
	}
	return create[NDPProxy](ctx, c.API, ndpProxy, Fields{"name": "test-np", "router_id": c.Router, "port_id": i.Port.ID})
}

// PublishOnly makes the instance's the only NDP proxy of the router.
func (c *Cloud) PublishOnly(ctx context.Context, i *Instance) error {
	all, err := c.Proxies(ctx)
	for _, p := range all {
		if p.PortID != i.Port.ID {
			err = errors.Join(err, c.API.remove(ctx, ndpProxy, p.ID))
		}
	}
	if err != nil {
		return err
	}
	_, err = c.Publish(ctx, i)
	return err
}

// Unpublish deletes the NDP proxies of the instance.
func (c *Cloud) Unpublish(ctx context.Context, i *Instance) error {
	all, err := c.Proxies(ctx)
	for _, p := range all {
		if p.PortID == i.Port.ID {
			err = errors.Join(err, c.API.remove(ctx, ndpProxy, p.ID))
		}
	}
	return err
}

// Proxies lists the NDP proxies of the router (the API refuses router_id as a filter).
func (c *Cloud) Proxies(ctx context.Context) ([]NDPProxy, error) {
	all, err := list[NDPProxy](ctx, c.API, ndpProxy, nil)
	return slices.DeleteFunc(all, func(p NDPProxy) bool { return p.RouterID != c.Router }), err
}

// WipeCloud deletes everything of the guide's workflow, whoever made it, and waits until the router's
// namespace is gone.
func (l *Lab) WipeCloud(ctx context.Context, a *API) error {
	c := &Cloud{API: a, lab: l}
	var err error
	if c.Router, err = a.find(ctx, router, RouterName); err != nil {
		return err
	}
	if c.Router != "" {
		if err := c.wipeRouter(ctx); err != nil {
			return err
		}
	}
	if err := wipeNetworks(ctx, a); err != nil {
		return err
	}
	for _, k := range []struct {
		kind kind
		name string
	}{{subnetPool, PoolName}, {addressScope, ScopeName}} {
		id, err := a.find(ctx, k.kind, k.name)
		if err != nil {
			return err
		}
		if id != "" {
			if err := a.remove(ctx, k.kind, id); err != nil {
				return err
			}
		}
	}
	_, err = nettools.IP(ctx, UpstreamNS, "-6", "addr", "flush", "dev", UpstreamDev, "scope", "global")
	return err
}

func (c *Cloud) wipeRouter(ctx context.Context) error {
	proxies, err := c.Proxies(ctx)
	if err != nil {
		return err
	}
	for _, p := range proxies {
		if err := c.API.remove(ctx, ndpProxy, p.ID); err != nil {
			return err
		}
	}
	interfaces, err := c.routerPorts(ctx, "network:router_interface")
	if err != nil {
		return err
	}
	for _, p := range interfaces {
		if err := c.RemoveInterface(ctx, p.FixedIPs[0].SubnetID); err != nil {
			return err
		}
	}
	for _, f := range []Fields{{"enable_ndp_proxy": false}, {"external_gateway_info": nil}} {
		if err := c.UpdateRouter(ctx, f); err != nil {
			return err
		}
	}
	if err := c.API.remove(ctx, router, c.Router); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return poll(ctx, "end of namespace qrouter-"+c.Router, func() (bool, error) {
		return !nettools.Exists("qrouter-" + c.Router), nil
	})
}

// wipeNetworks deletes the networks of the workflow and whatever else has a subnet of its pool, with
// their instances.
func wipeNetworks(ctx context.Context, a *API) error {
	var ids []string
	for _, name := range []string{IntNetName, ExtNetName} {
		id, err := a.find(ctx, network, name)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	pool, err := a.find(ctx, subnetPool, PoolName)
	if err != nil {
		return err
	}
	subnets, err := list[struct {
		NetworkID string `json:"network_id"`
		PoolID    string `json:"subnetpool_id"`
	}](ctx, a, subnet, nil)
	if err != nil {
		return err
	}
	for _, s := range subnets {
		if pool != "" && s.PoolID == pool {
			ids = append(ids, s.NetworkID)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if id == "" {
			continue
		}
		if err := wipeNetwork(ctx, a, id); err != nil {
			return err
		}
	}
	return nil
}

// wipeNetwork deletes the instances and ports of a network, and the network with its subnets.
func wipeNetwork(ctx context.Context, a *API, id string) error {
	ports, err := list[Port](ctx, a, port, url.Values{"network_id": {id}, "device_owner": {computeOwner}})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := unplug(ctx, p.Name); err != nil {
			return err
		}
		if err := a.remove(ctx, port, p.ID); err != nil {
			return err
		}
	}
	return a.remove(ctx, network, id)
}
