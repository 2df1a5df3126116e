package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"neutron-ndp-proxy-agent/test/nettools"
)

// External is an external network beside the flat one. It is of type local, hence of host 1 only: a
// bridge, on which the upstream router has a further interface.
type External struct {
	Net string
	Dev string // the upstream router's interface on it
}

// MakeExternal makes an external network and joins the upstream router to it by an interface of that
// name; the returned function takes both away.
func (c *Cloud) MakeExternal(ctx context.Context, name, dev string) (e *External, remove func(context.Context) error, err error) {
	n, err := create[Named](ctx, c.API, network, Fields{"name": name, "router:external": true, "provider:network_type": "local"})
	if err != nil {
		return nil, nil, err
	}
	e = &External{Net: n.ID, Dev: dev}
	remove = func(ctx context.Context) error {
		// the interface first: the L2 agent takes what is on the bridge of a network that is deleted
		var down error
		if !hasNoDevice(ctx, UpstreamNS, dev) {
			_, down = nettools.IP(ctx, UpstreamNS, "link", "del", dev)
		}
		return errors.Join(down, c.API.remove(ctx, network, e.Net))
	}
	if err := e.join(ctx); err != nil {
		return nil, nil, errors.Join(err, remove(ctx))
	}
	return e, remove, nil
}

// join is the wiring of a datacenter; the L2 agent finds the bridge there and uses it.
func (e *External) join(ctx context.Context) error {
	bridge, far := "brq"+e.Net[:11], e.Dev+"-far"
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge", "mcast_snooping", "0"},
		{"link", "set", bridge, "up"},
		{"link", "add", far, "type", "veth", "peer", "name", e.Dev, "netns", UpstreamNS},
		{"link", "set", far, "master", bridge, "up"},
		{"-n", UpstreamNS, "link", "set", e.Dev, "up"},
	} {
		if _, err := nettools.Run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// MakeSubnetOn makes a subnet of a network.
func (c *Cloud) MakeSubnetOn(ctx context.Context, netID string, f Fields) (id string, err error) {
	f["network_id"] = netID
	made, err := create[Named](ctx, c.API, subnet, f)
	return made.ID, err
}

// V6 is a subnet of 112 bits of a pool, as MakeSubnetOn wants it.
func V6(pool string) Fields {
	return Fields{"subnetpool_id": pool, "prefixlen": 112, "ip_version": 6, "enable_dhcp": false}
}

// MakePool makes an address scope and a pool of its own in it; the returned function deletes both.
func (c *Cloud) MakePool(ctx context.Context, name, prefix string) (scope, pool string, remove func(context.Context) error, err error) {
	s, err := create[Named](ctx, c.API, addressScope, Fields{"name": name, "ip_version": 6, "shared": true})
	if err != nil {
		return "", "", nil, err
	}
	p, err := create[Named](ctx, c.API, subnetPool, Fields{"name": name, "address_scope_id": s.ID, "prefixes": []string{prefix},
		"default_prefixlen": 112, "shared": true})
	remove = func(ctx context.Context) error {
		var gone error
		if p.ID != "" {
			gone = c.API.remove(ctx, subnetPool, p.ID)
		}
		return errors.Join(gone, c.API.remove(ctx, addressScope, s.ID))
	}
	if err != nil {
		return "", "", nil, errors.Join(err, remove(ctx))
	}
	return s.ID, p.ID, remove, nil
}

// SetPoolScope moves a pool, and with it every subnet made of it, into another address scope.
func (c *Cloud) SetPoolScope(ctx context.Context, pool, scope string) error {
	return c.API.update(ctx, subnetPool, pool, Fields{"address_scope_id": scope})
}

// MakeNetwork makes an internal network without a subnet; the returned function deletes it with the
// instances and subnets that it has by then.
func (c *Cloud) MakeNetwork(ctx context.Context, name string) (id string, remove func(context.Context) error, err error) {
	n, err := create[Named](ctx, c.API, network, Fields{"name": name, "port_security_enabled": false})
	return n.ID, func(ctx context.Context) error { return c.lab.wipeNetwork(ctx, c.API, n.ID) }, err
}

// On is the same cloud with the router's gateway on another external network.
func (c *Cloud) On(e *External, subnetID string) *Cloud {
	moved := *c
	moved.ExtNet, moved.ExtSub, moved.UpstreamDev = e.Net, subnetID, e.Dev
	return &moved
}

// Inside is the same cloud with another internal network, on which instances are made.
func (c *Cloud) Inside(ctx context.Context, netID, subnetID string) (*Cloud, error) {
	inside := *c
	inside.IntNet, inside.IntSub = netID, subnetID
	ports, err := inside.routerPorts(ctx, "network:router_interface")
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		if p.NetworkID == netID {
			inside.Internal, inside.InternalDev = p.FixedIPs[0].Addr, "qr-"+p.ID[:11]
			return &inside, nil
		}
	}
	return nil, fmt.Errorf("router %s has no interface on network %s", c.Router, netID)
}

// GatewayPort returns the router's port on its external network; ok is false if it has none.
func (c *Cloud) GatewayPort(ctx context.Context) (p Port, ok bool, err error) {
	found, err := c.routerPorts(ctx, "network:router_gateway")
	if err != nil || len(found) == 0 {
		return Port{}, false, err
	}
	return found[0], true, nil
}

// UpstreamAddr is the address that the upstream router has on the external subnet: its gateway_ip.
func (c *Cloud) UpstreamAddr(ctx context.Context) (netip.Addr, error) {
	sub, err := show[struct {
		Gateway netip.Addr `json:"gateway_ip"`
	}](ctx, c.API, subnet, c.ExtSub)
	return sub.Gateway, err
}

// MakeRouter makes a router and returns the cloud with it in the place of the other.
func (c *Cloud) MakeRouter(ctx context.Context, f Fields) (*Cloud, error) {
	made, err := create[Named](ctx, c.API, router, f)
	other := *c
	other.Router, other.Namespace = made.ID, "qrouter-"+made.ID
	return &other, err
}

// ShowRouter reads the router.
func (c *Cloud) ShowRouter(ctx context.Context) (Router, error) {
	return show[Router](ctx, c.API, router, c.Router)
}

// DeleteRouter asks for the end of the router, whatever it still has.
func (c *Cloud) DeleteRouter(ctx context.Context) error {
	return c.API.do(ctx, http.MethodDelete, "routers/"+c.Router, nil, nil)
}

// WipeRouter takes everything off the router, deletes it and waits for the end of its namespace on
// this host.
func (c *Cloud) WipeRouter(ctx context.Context) error { return c.wipeRouter(ctx) }

// Reschedule takes the router off the L3 agents that have it and gives it to that host's.
func (c *Cloud) Reschedule(ctx context.Context, host string) error {
	agents, err := list[Agent](ctx, c.API, agent, url.Values{"agent_type": {"L3 agent"}})
	if err != nil {
		return err
	}
	hosts, err := c.hosts(ctx)
	if err != nil {
		return err
	}
	to := ""
	for _, a := range agents {
		if a.Host == host {
			to = a.ID
			continue
		}
		for _, h := range hosts {
			if h != a.Host {
				continue
			}
			if err := c.API.do(ctx, http.MethodDelete, "agents/"+a.ID+"/l3-routers/"+c.Router, nil, nil); err != nil {
				return err
			}
		}
	}
	if to == "" {
		return fmt.Errorf("no L3 agent on %s", host)
	}
	return c.API.do(ctx, http.MethodPost, "agents/"+to+"/l3-routers", Fields{"router_id": c.Router}, nil)
}

// StatusOf is the status of Neutron's refusal, 0 if err is none.
func StatusOf(err error) int {
	var e *APIError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Reroute gives the instance the default route of a router that was made anew.
func (i *Instance) Reroute(ctx context.Context, c *Cloud) error {
	i.cloud = c
	lladdr, err := i.routerLinkLocal(ctx)
	if err != nil {
		return err
	}
	// the better one that the old router has advertised
	if _, err := nettools.IP(ctx, i.Namespace, "-6", "route", "flush", "proto", "ra"); err != nil {
		return err
	}
	_, err = nettools.IP(ctx, i.Namespace, "-6", "route", "replace", "default", "via", lladdr.String(), "dev", "eth0", "metric", "4096")
	return err
}
