package neutron

import (
	"context"
	"encoding/json"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// noAgent is the exception of a server that knows no L3 agent of a host.
const noAgent = "AgentNotFoundByTypeHost"

// RouterIDs returns the ids of the routers that the server has scheduled to
// this host (get_router_ids, q-l3-plugin 1.9). None are a valid answer for a
// host whose L3 agent has none or is administratively down.
//
// For a host of which it knows no L3 agent, the server answers get_router_ids
// with an empty list, too (list_router_ids_on_host in
// neutron/db/l3_agentschedulers_db.py), which must not pass for "all routers
// are gone": an empty list is confirmed by a sync_routers that asks for no
// router, which such a server refuses (a RemoteError AgentNotFoundByTypeHost).
func (c *Client) RouterIDs(ctx context.Context) ([]string, error) {
	var raw json.RawMessage
	if err := c.called(ctx, MethodRouterIDs, topicL3Server, "1.9", hostArgs{c.cfg.Host}, &raw); err != nil {
		return nil, err
	}
	l, err := ids(raw, "answer")
	if err != nil {
		return nil, fmt.Errorf("get_router_ids: %w", err)
	}
	if len(l) > 0 {
		return l, nil
	}
	_, err = c.sync(ctx, []string{nothing})
	switch {
	case oslo.IsRemote(err, noAgent):
		return nil, fmt.Errorf("no L3 agent is known for host %q (is it `host` in neutron.conf?): %w", c.cfg.Host, err)
	case err != nil:
		return nil, fmt.Errorf("host %q has no routers, which could not be confirmed: %w", c.cfg.Host, err)
	}
	return l, nil
}
