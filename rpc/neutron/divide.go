package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// divisible tells whether a failure may be due to one router among others.
func divisible(err error) bool {
	var remote *oslo.RemoteError
	return errors.As(err, &remote) && remote.Class != noAgent
}

// Limits of the search for routers that make the server fail.
const (
	// maxFailures calls that fail before any part was answered: it is the
	// server, not a router.
	maxFailures = 6
	// maxParts bounds the calls for parts of chunks, in all. Finding one router
	// in 256 takes 16 of them, finding five about 60.
	maxParts = 64
)

// routerSync gathers the answers of one Routers.
type routerSync struct {
	c       *Client
	routers []Router
	bad     []Malformed
	answers int   // calls that were answered
	parts   int   // calls for parts so far
	failure error // the first RemoteError
}

func (s *routerSync) take(raw json.RawMessage) error {
	r, b, err := decodeRouters(raw)
	if err != nil {
		return fmt.Errorf("sync_routers: %w", err)
	}
	s.answers++
	s.routers, s.bad = append(s.routers, r...), append(s.bad, b...)
	return nil
}

// part is some of the routers of a chunk that the server failed for.
type part struct {
	ids []string
	err error
}

// divide asks for the parts of a chunk that the server failed for, level by
// level: the large parts first, so that a few calls tell a sick server from a
// sick router.
func (s *routerSync) divide(ctx context.Context, ids []string, why error) error {
	if s.failure == nil {
		s.failure = why
	}
	if s.parts++; s.parts >= maxParts || s.answers == 0 && s.parts > maxFailures {
		return why
	}
	before, asked := s.answers, 0
	for level := []part{{ids, why}}; len(level) > 0; {
		var failed []part
		for _, p := range level {
			if len(p.ids) == 1 || s.parts >= maxParts {
				s.giveUp(p)
				continue
			}
			for _, half := range [][]string{p.ids[:len(p.ids)/2], p.ids[len(p.ids)/2:]} {
				s.parts++
				asked++
				raw, err := s.c.sync(ctx, half)
				switch {
				case err == nil:
					err = s.take(raw)
				case divisible(err):
					failed = append(failed, part{half, err})
					err = nil
				case ctx.Err() == nil:
					s.c.chunk.tooSlow(len(half), err) // for the next Routers
				}
				if err != nil {
					return err
				}
				if s.answers == before && asked == maxFailures {
					return why
				}
			}
		}
		level = failed
	}
	if asked > 0 && s.answers == before {
		return why
	}
	return nil
}

// giveUp reports the routers of a part as malformed.
func (s *routerSync) giveUp(p part) {
	for _, id := range p.ids {
		err := fmt.Errorf("router %s: %w", id, p.err)
		if n := len(p.ids); n > 1 {
			err = fmt.Errorf("router %s or another of %d asked for together: %w", id, n, p.err)
		}
		s.bad = append(s.bad, Malformed{ID: id, Err: err})
	}
}
