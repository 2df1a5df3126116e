package neutron

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

type hostArgs struct {
	Host string `json:"host"`
}

type syncArgs struct {
	Host      string   `json:"host"`
	RouterIDs []string `json:"router_ids"`
}

type pullArgs struct {
	ResourceType string     `json:"resource_type"`
	Version      string     `json:"version"`
	Filter       pullFilter `json:"filter_kwargs"`
}

type pullFilter struct {
	RouterID []string `json:"router_id"`
}

// NDPProxies returns the NDP proxies of the named routers, all in one
// bulk_pull (q-plugin 1.1, NDPProxy 1.0) unless the routers are very many. On
// error nothing is returned.
func (c *Client) NDPProxies(ctx context.Context, routerIDs []string) ([]NDPProxy, []Malformed, error) {
	var proxies []NDPProxy
	var bad []Malformed
	// An empty filter would ask for the whole cloud's.
	for chunk := range slices.Chunk(routerIDs, c.cfg.ProxyChunk) {
		var raw json.RawMessage
		err := c.rpc.Call(ctx, topicServer, "1.1", "bulk_pull",
			pullArgs{ResourceType: ndpProxyType, Version: ndpProxyVersion, Filter: pullFilter{chunk}}, &raw)
		if err != nil {
			return nil, nil, err
		}
		p, b, err := decodeProxies(raw, "answer")
		if err != nil {
			return nil, nil, fmt.Errorf("bulk_pull: %w", err)
		}
		proxies, bad = append(proxies, p...), append(bad, b...)
	}
	return proxies, bad, nil
}
