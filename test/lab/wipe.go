package lab

import (
	"context"
	"net/url"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/test/nettools"
)

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
	if err := l.wipeNetworks(ctx, a); err != nil {
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
	interfaces, err := c.interfaces(ctx)
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
func (l *Lab) wipeNetworks(ctx context.Context, a *API) error {
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
		if err := l.wipeNetwork(ctx, a, id); err != nil {
			return err
		}
	}
	return nil
}

// wipeNetwork deletes the instances and ports of a network, and the network with its subnets.
func (l *Lab) wipeNetwork(ctx context.Context, a *API, id string) error {
	ports, err := list[Port](ctx, a, port, url.Values{"network_id": {id}, "device_owner": {computeOwner}})
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := l.unplug(ctx, p.Name); err != nil {
			return err
		}
		if err := a.remove(ctx, port, p.ID); err != nil {
			return err
		}
	}
	return a.remove(ctx, network, id)
}
