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
	ResourceType string `json:"resource_type"`
	// Version is what the objects are to be converted to; null for the server's
	// own. A later one than that is refused (oslo.versionedobjects,
	// InvalidTargetVersion; Neutron 21 was seen to do both).
	Version *string `json:"version"`
	// Filter selects by the values of fields; a list means any of them
	// (neutron/objects/db/api.py, _kwargs_to_filters). Never send an empty one,
	// which may mean the whole cloud's.
	Filter map[string][]string `json:"filter_kwargs"`
}

// bulkPull asks for versioned objects (q-plugin 1.1).
func (c *Client) bulkPull(ctx context.Context, m Method, a pullArgs) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.called(ctx, m, topicServer, "1.1", a, &raw)
	return raw, err
}

// NDPProxies returns the NDP proxies of the named routers, all in one
// bulk_pull (NDPProxy 1.0) unless the routers are very many. On error nothing
// is returned.
func (c *Client) NDPProxies(ctx context.Context, routerIDs []string) ([]NDPProxy, []Malformed, error) {
	version := "1.0"
	var proxies []NDPProxy
	var bad []Malformed
	for chunk := range slices.Chunk(routerIDs, c.cfg.ProxyChunk) {
		raw, err := c.bulkPull(ctx, MethodProxies, pullArgs{ndpProxyType, &version, map[string][]string{"router_id": chunk}})
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

// Ports returns the named ports, those that exist: one that is missing from
// both results is gone (bulk_pull, Port at the server's own version: 1.7 in
// Zed, 1.10 in 2026.1). Many are asked for in chunks that shrink while the
// server is too slow, and one that the server fails for loses no other, as
// with [Client.Routers]. On error nothing is returned.
func (c *Client) Ports(ctx context.Context, portIDs []string) ([]BoundPort, []Malformed, error) {
	var ports []BoundPort
	var bad []Malformed
	q := c.newQuestion("port", c.portChunk)
	q.call = func(ctx context.Context, ids []string) (json.RawMessage, error) {
		return c.bulkPull(ctx, MethodPorts, pullArgs{portType, nil, map[string][]string{"id": ids}})
	}
	q.take = func(raw json.RawMessage) error {
		elems, err := list(raw, "answer")
		if err != nil {
			return fmt.Errorf("bulk_pull: %w", err)
		}
		p, b := decodePorts(elems)
		ports, bad = append(ports, p...), append(bad, b...)
		c.noteVersion(elems)
		return nil
	}
	if err := q.ask(ctx, portIDs); err != nil {
		return nil, nil, err
	}
	return ports, append(bad, q.bad...), nil
}

// L3Agents returns the L3 agents of the named hosts, alive or not (bulk_pull,
// Agent at the server's own version: 1.1 in Zed and since). On error nothing is
// returned.
func (c *Client) L3Agents(ctx context.Context, hosts []string) ([]Agent, []Malformed, error) {
	var agents []Agent
	var bad []Malformed
	for chunk := range slices.Chunk(hosts, c.cfg.ProxyChunk) {
		raw, err := c.bulkPull(ctx, MethodAgents, pullArgs{agentType, nil, map[string][]string{"host": chunk, "agent_type": {L3AgentType}}})
		if err != nil {
			return nil, nil, err
		}
		elems, err := list(raw, "answer")
		if err != nil {
			return nil, nil, fmt.Errorf("bulk_pull: %w", err)
		}
		a, b := decodeAgents(elems)
		agents, bad = append(agents, a...), append(bad, b...)
	}
	agents = slices.DeleteFunc(agents, func(a Agent) bool { return a.Type != L3AgentType })
	return agents, bad, nil
}
