package lab

import (
	"context"
	"fmt"
	"maps"
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

	UpstreamDev string // interface of the upstream router on the external network
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
	return l.EnsureCloudOf(ctx, a, Fields{"ha": false, "distributed": false})
}

// EnsureCloudOf is EnsureCloud with another kind of router, if it has to be made: its fields "ha"
// and "distributed".
func (l *Lab) EnsureCloudOf(ctx context.Context, a *API, made Fields) (*Cloud, error) {
	c, err := l.ensureParts(ctx, a, made)
	if err != nil {
		return nil, err
	}
	if err := c.ensureRouter(ctx); err != nil {
		return nil, err
	}
	return c, c.Refresh(ctx)
}

// ensureParts finds or makes the networks and the router, not yet connected.
func (l *Lab) ensureParts(ctx context.Context, a *API, made Fields) (*Cloud, error) {
	c := &Cloud{API: a, lab: l, UpstreamDev: UpstreamDev}
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
		{&c.Router, router, RouterName, func() Fields { return maps.Clone(made) }},
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
	return c, nil
}

// ensureRouter connects the router and gives it to this host's L3 agent.
func (c *Cloud) ensureRouter(ctx context.Context) error {
	if err := c.connectRouter(ctx); err != nil {
		return err
	}
	hosts, err := c.hosts(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(hosts, Host) {
		return c.Reschedule(ctx, Host)
	}
	return nil
}

// connectRouter gives the router what the workflow does: its gateway, NDP proxying, the internal subnet.
func (c *Cloud) connectRouter(ctx context.Context) error {
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
	on, err := c.interfaces(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(on, func(p Port) bool { return p.NetworkID == c.IntNet }) {
		return c.AddInterface(ctx, c.IntSub)
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
	internal, err := c.interfaces(ctx)
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
	if c.Upstream, err = c.UpstreamAddr(ctx); err != nil {
		return err
	}
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
	out, err := nettools.IP(ctx, UpstreamNS, "-6", "-o", "addr", "show", "dev", c.UpstreamDev, "scope", "global")
	if err != nil {
		return err
	}
	if !strings.Contains(string(out), " "+address+" ") || strings.Count(string(out), "\n") != 1 {
		if _, err := nettools.IP(ctx, UpstreamNS, "-6", "addr", "flush", "dev", c.UpstreamDev, "scope", "global"); err != nil {
			return err
		}
	}
	_, err = nettools.IP(ctx, UpstreamNS, "addr", "replace", address, "dev", c.UpstreamDev, "nodad")
	if err != nil {
		return err
	}
	_, err = nettools.IP(ctx, UpstreamNS, "-6", "route", "replace", PoolPrefix, "dev", c.UpstreamDev)
	return err
}

// interfaces lists the router's ports on internal subnets; who owns them depends on the kind of router.
func (c *Cloud) interfaces(ctx context.Context) ([]Port, error) {
	return list[Port](ctx, c.API, port, url.Values{"device_id": {c.Router}, "device_owner": {
		"network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
	}})
}

func (c *Cloud) routerPorts(ctx context.Context, owner string) ([]Port, error) {
	return list[Port](ctx, c.API, port, url.Values{"device_id": {c.Router}, "device_owner": {owner}})
}
