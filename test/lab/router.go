package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
)

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
