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
// A router that makes the server fail (a RemoteError, such as one that it
// cannot serialise) is looked for by asking for parts of its chunk, and comes
// back as [Malformed] beside the others. A server that fails for all of them
// is given up soon.
//
// On error nothing is returned: half a list would look like routers that are
// gone. A single router's RemoteError is the error.
func (c *Client) Routers(ctx context.Context, routerIDs []string) ([]Router, []Malformed, error) {
	s := routerSync{c: c}
	for rest := routerIDs; len(rest) > 0; {
		n := min(c.chunk.size(), len(rest))
		raw, err := c.sync(ctx, rest[:n])
		switch {
		case err == nil:
			c.chunk.answered(n)
			err = s.take(raw)
		case ctx.Err() == nil && c.chunk.tooSlow(n, err):
			continue
		case divisible(err) && len(routerIDs) > 1:
			err = s.divide(ctx, rest[:n], err)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w (%d of %d routers asked for, first %s)", err, n, len(routerIDs), rest[0])
		}
		rest = rest[n:]
	}
	if s.answers == 0 && s.failure != nil {
		return nil, nil, fmt.Errorf("%w (each of %d routers asked for)", s.failure, len(routerIDs))
	}
	return s.routers, s.bad, nil
}

// sync is one sync_routers (q-l3-plugin 1.0). An empty list would ask for all
// routers of the host.
func (c *Client) sync(ctx context.Context, routerIDs []string) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.rpc.Call(ctx, topicL3Server, "1.0", "sync_routers", syncArgs{c.cfg.Host, routerIDs}, &raw)
	return raw, err
}
