package neutron

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// ask works off the notes, one call at a time. Whatever came while a call was
// under way is asked for in the next round, so an answer is never older than
// the message. What fails is noted again after a back-off of its own, and holds
// up nothing else.
func (s *Source) ask(ctx context.Context) error {
	defer s.notes.stop()
	for {
		if !s.wait(ctx) {
			return nil
		}
		for w := s.notes.take(); !w.nothing() && ctx.Err() == nil; w = s.notes.take() {
			s.round(ctx, w)
		}
	}
}

// wait waits until there is something to ask for, and reports whether there may
// be.
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
	case <-s.notes.wake:
	case <-due:
		s.notes.add(wanted{routers: set(s.awaited.due(time.Now())...)})
	}
	return true
}

// round asks for each kind of thing. A full sync covers them all, unless it
// fails: what can be had without it is asked for all the same.
func (s *Source) round(ctx context.Context, w wanted) {
	if w.full && s.attempt(ctx, "full sync", wanted{full: true}, s.pullAll) {
		return
	}
	for _, q := range []struct {
		what string
		want wanted
		ids  map[string]bool
		pull func(context.Context, []string) error
	}{
		{"routers", wanted{routers: w.routers}, w.routers, s.pullRouters},
		{"NDP proxies", wanted{proxiesOf: w.proxiesOf}, w.proxiesOf, s.pullProxies},
		{"ports", wanted{ports: w.ports}, w.ports, s.pullPorts},
		{"L3 agents", wanted{hosts: w.hosts}, w.hosts, s.pullHosts},
	} {
		if len(q.ids) > 0 {
			ids := slices.Sorted(maps.Keys(q.ids))
			s.attempt(ctx, q.what, q.want, func(ctx context.Context) error { return q.pull(ctx, ids) })
		}
	}
	if w.audit {
		s.attempt(ctx, "audit", wanted{audit: true}, s.pullAudit)
	}
}

// partly is the error of a pull that got what it was for, but for a part.
type partly struct {
	what string
	want wanted
	err  error
}

func (p *partly) Error() string { return p.err.Error() }
func (p *partly) Unwrap() error { return p.err }

// attempt makes one pull. A failure is said once and noted again for later.
func (s *Source) attempt(ctx context.Context, what string, w wanted, pull func(context.Context) error) (ok bool) {
	s.o.Inventory.BeginPull()
	err := pull(ctx)
	overtaken := s.o.Inventory.EndPull()
	var part *partly
	switch {
	case ctx.Err() != nil:
		return false
	case errors.As(err, &part):
		s.failed(part.what, part.want, part.err)
		s.complaints.clear(what)
		if overtaken {
			s.notes.add(w)
		}
	case err != nil:
		s.failed(what, w, err)
		return false
	case overtaken:
		s.notes.add(w)
	default:
		s.failures = 0
		s.complaints.clear(what)
	}
	s.wantUnknown()
	return true
}

func (s *Source) failed(what string, w wanted, err error) {
	s.failures++
	s.complaints.say(what, err)
	wait := min(s.o.RetryMin<<min(s.failures-1, 16), s.o.RetryMax)
	wait = wait/2 + time.Duration(s.o.Jitter()*float64(wait/2))
	s.notes.addLater(w, wait)
}
