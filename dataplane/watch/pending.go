package watch

import (
	"context"
	"sync"
)

// pending is the set of namespaces to look at, in the order in which they were
// marked. Marking never blocks.
type pending struct {
	mu    sync.Mutex
	order []string
	cause map[string]string
	wake  chan struct{}
	out   chan Event
}

func newPending() *pending {
	return &pending{cause: map[string]string{}, wake: make(chan struct{}, 1), out: make(chan Event)}
}

func (p *pending) mark(ns, cause string) {
	p.mu.Lock()
	if _, waits := p.cause[ns]; !waits {
		p.cause[ns] = cause
		p.order = append(p.order, ns)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next removes the namespace that waits longest. It does so before the event is
// handed over: what happens from then on is news, and may repeat it.
func (p *pending) next() (Event, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) == 0 {
		return Event{}, false
	}
	ns := p.order[0]
	e := Event{Namespace: ns, Cause: p.cause[ns]}
	p.order = p.order[1:]
	delete(p.cause, ns)
	return e, true
}

func (p *pending) run(ctx context.Context) error {
	for {
		e, ok := p.next()
		if !ok {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.wake:
			}
			continue
		}
		select {
		case <-ctx.Done():
			p.mark(e.Namespace, e.Cause)
			return ctx.Err()
		case p.out <- e:
		}
	}
}
