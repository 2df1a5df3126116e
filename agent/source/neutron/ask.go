package neutron

import (
	"context"
	"maps"
	"slices"
	"time"
)

// wait waits until there is something to ask for about routers, and reports
// whether there may be.
func (s *Source) wait(ctx context.Context) bool {
	var due <-chan time.Time
	if at, waiting := s.awaited.next(time.Now()); waiting {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.routersLane.wake:
	case <-due:
		s.routersLane.add(wanted{routers: set(s.awaited.due(time.Now())...)})
	}
	return true
}

// round asks for each kind of thing about routers. A full sync covers them all,
// unless it fails: what can be had without it is asked for all the same.
func (s *Source) round(ctx context.Context, w wanted) {
	if w.audit {
		s.renew(ctx) // before the questions: what comes after them is pushed
	}
	s.leave(w.left)
	if w.full && s.attempt(ctx, FullSync, wanted{full: true}, s.pullAll) {
		if w.audit {
			s.allPorts(true)
		}
		return
	}
	s.urgent(ctx, w)
	if w.audit && s.attempt(ctx, Audit, wanted{audit: true}, s.pullAllProxies) {
		s.allPorts(true)
		w.turn = true
		// What a message asks for does not wait for the end of the audit.
		more := s.routersLane.takeUrgent()
		s.leave(more.left)
		s.urgent(ctx, more)
	}
	if w.turn {
		s.attempt(ctx, AuditRouters, wanted{turn: true}, s.pullTurn)
	}
}

// renew looks after the bindings of our queue.
func (s *Source) renew(ctx context.Context) {
	const what = "bindings of our queue"
	switch err := s.o.Server.Renew(ctx); {
	case ctx.Err() != nil:
	case err != nil:
		s.complaints.say(what, err)
	default:
		s.complaints.clear(what)
	}
}

// urgent asks for what messages were about.
func (s *Source) urgent(ctx context.Context, w wanted) {
	if len(w.routers) > 0 {
		s.attempt(ctx, Routers, wanted{routers: w.routers, gone: w.gone},
			func(ctx context.Context) error { return s.pullRouters(ctx, w.routers, w.gone) })
	}
	if len(w.proxiesOf) > 0 {
		ids := slices.Sorted(maps.Keys(w.proxiesOf))
		s.attempt(ctx, Proxies, wanted{proxiesOf: w.proxiesOf}, func(ctx context.Context) error { return s.pullProxies(ctx, ids) })
	}
}

// attempt makes one pull of routers or proxies. A failure is said once and
// noted again for later.
func (s *Source) attempt(ctx context.Context, q Question, w wanted, pull func(context.Context) error) (ok bool) {
	start := time.Now()
	s.o.Inventory.BeginPull()
	err := pull(ctx)
	overtaken := s.o.Inventory.EndPull()
	s.asked(ctx, q, start, err)
	switch {
	case err != nil:
		s.routersLane.failed(ctx, words[q], w, err)
		return false
	case overtaken:
		s.routersLane.addOlder(w)
	default:
		s.routersLane.succeeded(words[q])
	}
	return true
}
