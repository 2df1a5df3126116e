package neutron

import (
	"context"
	"encoding/json"
	"fmt"
)

// Routers returns the named routers (sync_routers, q-l3-plugin 1.0), those
// that the server still has for this host: one that is missing from both
// results is gone. Many are asked for in chunks, which shrink while the server
// does not answer in time (down to one router) and grow again when it does.
//
// A server that answers with a failure (a RemoteError) is asked for no router
// at all. If that fails, too, it is the server, and that failure is the error.
// If it is answered, some router is to blame, such as one that the server
// cannot serialise: it is looked for by asking for parts of its chunk, and
// comes back as [Malformed] beside the others, also when it is the only one.
// The calls for that are bounded, in number and time; routers that they did not
// suffice for are Malformed, too. A server that is too slow also for smaller
// chunks is asked again when the next call is made, for the size come to.
//
// On error nothing is returned: half a list would look like routers that are
// gone. The error's text does not depend on how the routers were asked for.
func (c *Client) Routers(ctx context.Context, routerIDs []string) ([]Router, []Malformed, error) {
	var routers []Router
	var bad []Malformed
	q := c.newQuestion("router", c.routerChunk)
	q.call = c.sync
	q.take = func(raw json.RawMessage) error {
		r, b, err := decodeRouters(raw)
		if err != nil {
			return fmt.Errorf("sync_routers: %w", err)
		}
		routers, bad = append(routers, r...), append(bad, b...)
		return nil
	}
	if err := q.ask(ctx, routerIDs); err != nil {
		return nil, nil, err
	}
	return routers, append(bad, q.bad...), nil
}

// sync is one sync_routers (q-l3-plugin 1.0). An empty list would ask for all
// routers of the host.
func (c *Client) sync(ctx context.Context, routerIDs []string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.called(ctx, MethodRouters, topicL3Server, "1.0", syncArgs{c.cfg.Host, routerIDs}, &raw)
	return raw, err
}
