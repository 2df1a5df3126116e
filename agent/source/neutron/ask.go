package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// wanted is what one round asks for.
type wanted struct {
	full, audit bool
	routers     []string
}

// take removes all notes; put brings those of a failed round back.
func (s *Source) take() wanted {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := wanted{full: s.full, audit: s.audit, routers: slices.Sorted(maps.Keys(s.routers))}
	s.full, s.audit, s.routers = false, false, map[string]bool{}
	return w
}

func (s *Source) put(w wanted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.audit = s.full || w.full, s.audit || w.audit
	for _, id := range w.routers {
		s.routers[id] = true
	}
}

// ask works off the notes, one call at a time. Whatever came while a call was
// under way is asked for in the next round, so the answer is never older than
// the message. A failure is said once and tried again with back-off.
func (s *Source) ask(ctx context.Context) error {
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
		for w := s.take(); w.full || w.audit || len(w.routers) > 0; w = s.take() {
			err := s.round(ctx, w)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				s.complaints.clear("server")
				failures = 0
				continue
			}
			s.put(w)
			failures++
			s.complaints.say("server", err)
			wait := min(s.o.RetryMin<<min(failures-1, 16), s.o.RetryMax)
			wait = wait/2 + time.Duration(s.o.Jitter()*float64(wait/2))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
		}
	}
}

func (s *Source) round(ctx context.Context, w wanted) error {
	s.o.Inventory.BeginPull()
	err := s.pull(ctx, w)
	if s.o.Inventory.EndPull() && err == nil {
		s.put(w)
	}
	return err
}

func (s *Source) pull(ctx context.Context, w wanted) error {
	switch {
	case w.full:
		start := time.Now()
		ids, err := s.o.Server.RouterIDs(ctx)
		if err != nil {
			return fmt.Errorf("router ids of this host: %w", err)
		}
		snap, err := s.routersAndProxies(ctx, ids)
		if err != nil {
			return err
		}
		s.o.Inventory.Replace(snap)
		s.mu.Lock()
		s.lastFull = start
		s.mu.Unlock()
		c := s.o.Inventory.Counts()
		s.o.Log.Info("in sync with the server", zap.Int("routers", c.Routers), zap.Int("enabled", c.Enabled),
			zap.Int("proxies", c.Proxies), zap.Duration("took", time.Since(start)))
		return nil
	case len(w.routers) > 0:
		snap, err := s.routersAndProxies(ctx, w.routers)
		if err != nil {
			return err
		}
		s.o.Inventory.ReplaceRouters(w.routers, snap)
		if w.audit {
			s.put(wanted{audit: true})
		}
		return nil
	default:
		ids := s.o.Inventory.RouterIDs()
		a := answer{asked: ids}
		if err := s.proxies(ctx, ids, &a); err != nil {
			return err
		}
		s.o.Inventory.ReplaceProxies(ids, a.snapshot())
		return nil
	}
}

// routersAndProxies asks for routers and then for their proxies: a proxy that
// is made between the two calls is in the second answer or pushed after it.
func (s *Source) routersAndProxies(ctx context.Context, ids []string) (inventory.Snapshot, error) {
	a := answer{asked: ids}
	var err error
	if len(ids) > 0 {
		if a.routers, a.badRouters, err = s.o.Server.Routers(ctx, ids); err != nil {
			return inventory.Snapshot{}, fmt.Errorf("%d routers: %w", len(ids), err)
		}
		s.malformed("router", a.badRouters)
	}
	have := make([]string, 0, len(a.routers))
	for _, r := range a.routers {
		have = append(have, r.ID)
	}
	if err := s.proxies(ctx, have, &a); err != nil {
		return inventory.Snapshot{}, err
	}
	snap := a.snapshot()
	for _, r := range snap.Routers {
		if r.Enabled && r.Unsupported != "" && s.unsupported.note(r.ID) {
			s.o.Log.Warn("router is not served", zap.String("router", r.ID), zap.String("reason", r.Unsupported))
		}
	}
	return snap, nil
}

func (s *Source) proxies(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.proxies, a.badProxies, err = s.o.Server.NDPProxies(ctx, ids); err != nil {
		return fmt.Errorf("NDP proxies of %d routers: %w", len(ids), err)
	}
	s.malformed("NDP proxy", a.badProxies)
	return nil
}

func (s *Source) malformed(kind string, bad []rpc.Malformed) {
	for _, m := range bad {
		s.complaints.say(kind+" "+m.ID, fmt.Errorf("%s %s in the server's answer: %w", kind, m.ID, m.Err))
	}
}
