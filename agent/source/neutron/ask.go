package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// ask works off the notes, one call at a time. Whatever came while a call was
// under way is asked for in the next round, so an answer is never older than
// the message. What fails is noted again after a back-off of its own, and holds
// up nothing else.
func (s *Source) ask(ctx context.Context) error {
	defer s.notes.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.notes.wake:
		}
		for w := s.notes.take(); !w.nothing() && ctx.Err() == nil; w = s.notes.take() {
			s.round(ctx, w)
		}
	}
}

// round asks for each kind of thing. A full sync covers them all, unless it
// fails: what can be had without it is asked for all the same.
func (s *Source) round(ctx context.Context, w wanted) {
	if w.full && s.attempt(ctx, "full sync", wanted{full: true}, s.pullAll) {
		return
	}
	if len(w.routers) > 0 {
		ids := slices.Sorted(maps.Keys(w.routers))
		s.attempt(ctx, "routers", wanted{routers: w.routers}, func(ctx context.Context) error { return s.pullRouters(ctx, ids) })
	}
	if w.audit {
		s.attempt(ctx, "audit", wanted{audit: true}, s.pullAudit)
	}
}

// attempt makes one pull. A failure is said once and noted again for later.
func (s *Source) attempt(ctx context.Context, what string, w wanted, pull func(context.Context) error) (ok bool) {
	s.o.Inventory.BeginPull()
	err := pull(ctx)
	overtaken := s.o.Inventory.EndPull()
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		s.failures++
		s.complaints.say(what, err)
		wait := min(s.o.RetryMin<<min(s.failures-1, 16), s.o.RetryMax)
		wait = wait/2 + time.Duration(s.o.Jitter()*float64(wait/2))
		s.notes.addLater(w, wait)
		return false
	case overtaken:
		s.notes.add(w)
	default:
		s.failures = 0
		s.complaints.clear(what)
	}
	return true
}

// pullAll makes the inventory equal to what the server says of this host.
func (s *Source) pullAll(ctx context.Context) error {
	start := time.Now()
	ids, err := s.o.Server.RouterIDs(ctx)
	if err != nil {
		return fmt.Errorf("router ids of this host: %w", err)
	}
	a := answer{asked: ids}
	if err := s.routers(ctx, ids, &a); err != nil {
		return err
	}
	if err := s.proxies(ctx, a.ids(), &a); err != nil {
		return err
	}
	snap := a.snapshot()
	s.o.Inventory.Replace(snap)
	c := s.o.Inventory.Counts()
	s.o.Log.Info("in sync with the server", zap.Int("routers", c.Routers), zap.Int("enabled", c.Enabled),
		zap.Int("proxies", c.Proxies), zap.Int("unreadable", len(snap.Held)), zap.Duration("took", time.Since(start)))
	return nil
}

// pullRouters asks for routers, then for their proxies: a proxy that is made
// between the two calls is in the second answer, or pushed after it.
func (s *Source) pullRouters(ctx context.Context, ids []string) error {
	a := answer{asked: ids}
	if err := s.routers(ctx, ids, &a); err != nil {
		return err
	}
	if err := s.proxies(ctx, a.ids(), &a); err != nil {
		return err
	}
	s.o.Inventory.ReplaceRouters(ids, a.snapshot())
	return nil
}

// pullAudit asks for what may have changed without a word: the proxies of all
// routers in one call, as many enabled routers as fit into another, and those
// that could not be read the last time. It
// does not ask which routers there are: get_router_ids schedules routers that
// have no host, and may undo what an operator is about to do.
func (s *Source) pullAudit(ctx context.Context) error {
	all := s.o.Inventory.RouterIDs()
	var a answer
	if err := s.proxies(ctx, all, &a); err != nil {
		return err
	}
	s.o.Inventory.ReplaceProxies(all, a.snapshot())
	// The proxies count whatever the server makes of the routers.
	turn := s.turn.pick(s.o.Inventory.EnabledIDs(), s.o.AuditRouters)
	held := s.o.Inventory.HeldIDs()
	a.asked = slices.Compact(slices.Sorted(slices.Values(slices.Concat(turn, held[:min(len(held), s.o.AuditRouters)]))))
	if err := s.routers(ctx, a.asked, &a); err != nil {
		return err
	}
	// Proxies of routers that can be read only now.
	unasked := slices.DeleteFunc(a.ids(), func(id string) bool { return slices.Contains(all, id) })
	var more answer
	if err := s.proxies(ctx, unasked, &more); err != nil {
		return err
	}
	a.proxies, a.badProxies = append(a.proxies, more.proxies...), append(a.badProxies, more.badProxies...)
	s.o.Inventory.ReplaceRouters(a.asked, a.snapshot())
	s.turn.done(turn, time.Now())
	return nil
}

func (s *Source) routers(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.routers, a.badRouters, err = s.o.Server.Routers(ctx, ids); err != nil {
		return fmt.Errorf("%d routers: %w", len(ids), err)
	}
	s.malformed("router", a.badRouters)
	for _, r := range a.routers {
		s.complaints.clear("router " + r.ID)
		if translated := Router(r); translated.Enabled && translated.Unsupported != "" && s.unsupported.note(r.ID) {
			s.o.Log.Warn("router is not served", zap.String("router", r.ID), zap.String("reason", translated.Unsupported))
		}
	}
	return nil
}

func (s *Source) proxies(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.proxies, a.badProxies, err = s.o.Server.NDPProxies(ctx, ids); err != nil {
		return fmt.Errorf("NDP proxies of %d routers: %w", len(ids), err)
	}
	s.malformed("NDP proxy", a.badProxies)
	for _, p := range a.proxies {
		s.complaints.clear("NDP proxy " + p.ID)
	}
	return nil
}

func (s *Source) malformed(kind string, bad []rpc.Malformed) {
	for _, m := range bad {
		s.complaints.say(kind+" "+m.ID, fmt.Errorf("%s %s in the server's answer: %w", kind, m.ID, m.Err))
	}
}
