package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// divisible tells whether a failure may be due to one router among others.
func divisible(err error) bool {
	var remote *oslo.RemoteError
	return errors.As(err, &remote) && remote.Class != noAgent
}

// maxParts bounds the calls for parts of chunks in one Routers. Finding one
// router in 256 takes 16 of them, six in as many chunks of 64 take 72.
const maxParts = 128

// routerSync gathers the answers of one Routers.
type routerSync struct {
	c       *Client
	routers []Router
	bad     []Malformed
	failed  []part // to be divided, the largest first
	parts   int    // calls for parts so far
}

// part is some of the routers asked for, which the server failed for.
type part struct {
	ids []string
	err error
}

func (s *routerSync) take(raw json.RawMessage) error {
	r, b, err := decodeRouters(raw)
	if err != nil {
		return fmt.Errorf("sync_routers: %w", err)
	}
	s.routers, s.bad = append(s.routers, r...), append(s.bad, b...)
	return nil
}

// chunkFailed puts a chunk aside, to be divided when all were asked for. On
// the first, a call that names no router tells a sick server from a sick
// router; its failure is returned.
func (s *routerSync) chunkFailed(ctx context.Context, ids []string, why error) error {
	if len(s.failed) == 0 {
		if _, err := s.c.sync(ctx, []string{noRouter}); err != nil {
			// The server's trouble; what it said of the routers comes from it.
			s.c.log.Debug("the server fails with and without routers", zap.NamedError("with", why), zap.NamedError("without", err))
			return err
		}
	}
	s.failed = append(s.failed, part{ids, why})
	return nil
}

// divide asks for the halves of what failed, and for theirs. It goes through
// all chunks level by level, so that a chunk with many sick routers does not
// use up the calls that the others need.
func (s *routerSync) divide(ctx context.Context) error {
	for ; len(s.failed) > 0; s.failed = s.failed[1:] {
		p := s.failed[0]
		halves := halve(p.ids)
		if s.parts+len(halves) > maxParts {
			s.giveUp(p)
			continue
		}
		for _, ids := range halves {
			if err := s.ask(ctx, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// halve splits a part. A chunk of one router is asked for again as it is: it
// was asked for only once, and its failure may have been a passing one.
func halve(ids []string) [][]string {
	if len(ids) == 1 {
		return [][]string{ids}
	}
	return [][]string{ids[:len(ids)/2], ids[len(ids)/2:]}
}

// ask asks for a part. It returns what is no single router's fault.
func (s *routerSync) ask(ctx context.Context, ids []string) error {
	s.parts++
	raw, err := s.c.sync(ctx, ids)
	switch {
	case err == nil:
		return s.take(raw)
	case !divisible(err):
		if ctx.Err() == nil {
			s.c.chunk.tooSlow(len(ids), err) // for the next Routers
		}
		return err
	case len(ids) == 1:
		s.giveUp(part{ids, err})
	default:
		s.failed = append(s.failed, part{ids, err})
	}
	return nil
}

// giveUp reports the routers of a part as malformed. The text does not tell
// how many were asked for: it would change while the trouble stays the same.
func (s *routerSync) giveUp(p part) {
	for _, id := range p.ids {
		err := fmt.Errorf("router %s: %w", id, p.err)
		if len(p.ids) > 1 {
			err = fmt.Errorf("router %s or another asked for together with it: %w", id, p.err)
		}
		s.bad = append(s.bad, Malformed{ID: id, Err: err})
	}
}
