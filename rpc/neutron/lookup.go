package neutron

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// gatewayOwner is the device_owner of a router's port in the external network.
const gatewayOwner = "network:router_gateway"

// NDPProxiesOf returns the NDP proxies of the whole cloud with an address: one at
// most, as far as Neutron's database goes. On error nothing is returned.
func (c *Client) NDPProxiesOf(ctx context.Context, addr netip.Addr) ([]NDPProxy, error) {
	version := "1.0"
	raw, err := c.bulkPull(ctx, MethodProxies, pullArgs{ndpProxyType, &version, map[string][]string{"ip_address": {addr.String()}}})
	if err != nil {
		return nil, err
	}
	proxies, bad, err := decodeProxies(raw, "answer")
	switch {
	case err != nil:
		return nil, fmt.Errorf("bulk_pull: %w", err)
	case len(bad) > 0:
		return nil, fmt.Errorf("bulk_pull: %w", bad[0].Err)
	}
	// A server that knows no such filter may answer with all there are.
	return slices.DeleteFunc(proxies, func(p NDPProxy) bool { return p.Addr != addr }), nil
}

// GatewayHost returns the host to which a router's gateway port is bound: that of a
// legacy router, the one that was active last of a highly available one. "": none.
func (c *Client) GatewayHost(ctx context.Context, routerID string) (string, error) {
	raw, err := c.bulkPull(ctx, MethodPorts, pullArgs{portType, nil, map[string][]string{"device_id": {routerID}, "device_owner": {gatewayOwner}}})
	if err != nil {
		return "", err
	}
	elems, err := list(raw, "answer")
	if err != nil {
		return "", fmt.Errorf("bulk_pull: %w", err)
	}
	ports, _ := decodePorts(elems) // one that can't be understood names no host
	for _, p := range ports {
		if p.Host != "" && p.DeviceOwner == gatewayOwner {
			return p.Host, nil
		}
	}
	return "", nil
}
