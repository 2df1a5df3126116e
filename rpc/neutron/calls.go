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

// Routers returns the named routers (sync_routers, q-l3-plugin 1.0), those
// that the server still has for this host: one that is missing from both
// results is gone. Many are asked for in chunks, which shrink while the server
// does not answer in time (down to one router) and grow again when it does. On
// error nothing is returned: half a list would look like routers that are gone.
func (c *Client) Routers(ctx context.Context, routerIDs []string) ([]Router, []Malformed, error) {
	var routers []Router
	var bad []Malformed
	for rest := routerIDs; len(rest) > 0; {
		n := min(c.chunk.size(), len(rest))
		raw, err := c.sync(ctx, rest[:n])
		if err != nil {
			if ctx.Err() == nil && c.chunk.tooSlow(n, err) {
				continue
			}
			return nil, nil, fmt.Errorf("%w (%d of %d routers asked for, first %s)", err, n, len(routerIDs), rest[0])
		}
		r, b, err := decodeRouters(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("sync_routers: %w", err)
		}
		c.chunk.answered(n)
		routers, bad, rest = append(routers, r...), append(bad, b...), rest[n:]
	}
	return routers, bad, nil
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
			return nil, nil, fmt.Errorf("%w (NDP proxies of %d routers)", err, len(chunk))
		}
		p, b, err := decodeProxies(raw, "answer")
		if err != nil {
			return nil, nil, fmt.Errorf("bulk_pull: %w", err)
		}
		proxies, bad = append(proxies, p...), append(bad, b...)
	}
	return proxies, bad, nil
}
