package neutron

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Server is what the source asks of Neutron; *rpc.Client is one.
type Server interface {
	Events() <-chan rpc.Event
	RouterIDs(ctx context.Context) ([]string, error)
	Routers(ctx context.Context, ids []string) ([]rpc.Router, []rpc.Malformed, error)
	NDPProxies(ctx context.Context, routerIDs []string) ([]rpc.NDPProxy, []rpc.Malformed, error)
}

// Options of a Source.
type Options struct {
	Server    Server
	Inventory *inventory.Inventory
	Log       *zap.Logger
	// Audit bounds the time in which a change that the server told nobody
	// is found; the audits come a little more often, jittered.
	Audit time.Duration
	// FullSync is how often all routers are asked for although no message
	// said that they changed; 0: only after a new subscription.
	FullSync time.Duration
	// RetryMin and RetryMax bound the back-off after a failed call.
	RetryMin, RetryMax time.Duration
	// Jitter returns a number in [0, 1).
	Jitter func() float64
}

// Source feeds the inventory from Neutron.
type Source struct {
	o Options

	mu       sync.Mutex
	full     bool            // everything has to be asked for
	audit    bool            // the proxies of all local routers
	routers  map[string]bool // these routers
	lastFull time.Time
	wake     chan struct{} // capacity 1

	complaints  complaints
	unsupported once
}

// New returns a source; Run does the work.
func New(o Options) *Source {
	return &Source{
		o:           o,
		routers:     map[string]bool{},
		wake:        make(chan struct{}, 1),
		complaints:  complaints{log: o.Log, said: map[string]string{}},
		unsupported: once{},
	}
}

// Scope reports whether a namespace may hold what this source had published.
func Scope(ns string) bool { return inventory.NeutronNamespace(ns) }

// Run listens and asks until the context ends.
func (s *Source) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.listen(ctx) })
	g.Go(func() error { return s.ask(ctx) })
	g.Go(func() error { return s.tick(ctx) })
	return g.Wait()
}

// listen applies what is pushed and notes what has to be asked for. It never
// waits for the server, so that a push is never behind a slow call.
func (s *Source) listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-s.o.Server.Events():
			if !ok {
				return nil
			}
			s.event(e)
		}
	}
}

func (s *Source) event(e rpc.Event) {
	switch e := e.(type) {
	case rpc.Subscribed:
		s.want(func() { s.full = true })
	case rpc.Disconnected:
		// What is published stays published; the next Subscribed asks again.
	case rpc.RoutersUpdated:
		s.wantRouters(e.RequestID, "updated", e.IDs...)
	case rpc.RouterAdded:
		s.wantRouters(e.RequestID, "added", e.IDs...)
	case rpc.RouterRemoved:
		s.wantRouters(e.RequestID, "removed", e.ID)
	case rpc.RouterDeleted:
		s.wantRouters(e.RequestID, "deleted", e.ID)
	case rpc.ProxiesPushed:
		s.pushed(e)
	case rpc.Garbled:
		// Logged and counted where it was met. What it would have told is
		// found by the audit.
	}
}

func (s *Source) pushed(e rpc.ProxiesPushed) {
	s.malformed("pushed NDP proxy", e.Malformed)
	for _, p := range e.Proxies {
		var local bool
		if e.Kind == rpc.Deleted {
			local = s.o.Inventory.RemoveProxy(Proxy(p))
		} else {
			local = s.o.Inventory.SetProxy(Proxy(p))
		}
		if local {
			s.o.Log.Info("NDP proxy "+string(e.Kind), zap.String("proxy", p.ID), zap.String("router", p.RouterID),
				zap.Stringer("address", p.Addr), zap.String("request", e.RequestID))
		}
	}
}

// wantRouters notes routers to ask for. Those of other hosts come in the
// cloud-wide fanout only as deleted, and are none of ours if not known.
func (s *Source) wantRouters(request, what string, ids ...string) {
	var mine []string
	for _, id := range ids {
		if _, known := s.o.Inventory.Router(id); known || what != "deleted" {
			mine = append(mine, id)
		}
	}
	if len(mine) == 0 {
		return
	}
	s.o.Log.Debug("router "+what, zap.Strings("routers", mine), zap.String("request", request))
	s.want(func() {
		for _, id := range mine {
			s.routers[id] = true
		}
	})
}

func (s *Source) want(note func()) {
	s.mu.Lock()
	note()
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tick asks for the audits. The audit is due before the bound that the
// operator set, so that it is over by then.
func (s *Source) tick(ctx context.Context) error {
	for {
		wait := time.Duration((0.75 + 0.15*s.o.Jitter()) * float64(s.o.Audit))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		s.want(func() {
			s.audit = true
			if s.o.FullSync > 0 && time.Since(s.lastFull) >= s.o.FullSync {
				s.full = true
			}
		})
	}
}
