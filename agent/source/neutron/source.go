package neutron

import (
	"context"
	"sync/atomic"
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
	// AuditRouters is the most routers that one audit reads again.
	AuditRouters int
	// FullSync is how often all routers are asked for although no message
	// said that they changed; 0: only after a new subscription, a change of the
	// L3 agent's administrative state, or a message that could not be read.
	FullSync time.Duration
	// RetryMin and RetryMax bound the back-off after a failed call.
	RetryMin, RetryMax time.Duration
	// Jitter returns a number in [0, 1).
	Jitter func() float64
}

// Source feeds the inventory from Neutron.
type Source struct {
	o Options

	notes      *notes
	complaints complaints
	garbled    atomic.Bool // since the last audit

	// Used by the asking goroutine only.
	failures    int
	turn        rotation
	unsupported once
}

// New returns a source; Run does the work.
func New(o Options) *Source {
	return &Source{
		o:           o,
		notes:       newNotes(),
		complaints:  complaints{log: o.Log, said: map[string]string{}},
		turn:        rotation{},
		unsupported: once{},
	}
}

// Resync asks the server for everything again.
func (s *Source) Resync() { s.notes.add(wanted{full: true}) }

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
		s.o.Inventory.ForgetPushes()
		s.Resync()
	case rpc.Disconnected:
		// What is published stays published; the next Subscribed asks again.
	case rpc.AgentUpdated:
		// While the L3 agent is disabled the server says that it has no
		// routers; afterwards it has them all again.
		s.Resync()
	case rpc.RoutersUpdated:
		s.wantRouters(e.RequestID, "updated", e.IDs...)
	case rpc.RouterAdded:
		s.wantRouters(e.RequestID, "added", e.IDs...)
	case rpc.RouterRemoved:
		s.wantRouters(e.RequestID, "removed", e.ID)
	case rpc.RouterDeleted:
		// To all L3 agents of the cloud: most are none of ours.
		if s.o.Inventory.Concerns(e.ID) {
			s.wantRouters(e.RequestID, "deleted", e.ID)
		}
	case rpc.ProxiesPushed:
		s.pushed(e)
	case rpc.Garbled:
		// Logged and counted where it was met. Nobody knows what it would
		// have told, so the next audit asks for everything; not at once, since
		// a broken sender sends many.
		s.garbled.Store(true)
	}
}

func (s *Source) pushed(e rpc.ProxiesPushed) {
	if s.unreadable(e.Malformed) || e.Redelivered {
		s.notes.add(wanted{audit: true})
	}
	if e.Redelivered {
		// It was on its way to a connection that died, and may be older than
		// what was pushed since: the audit tells.
		return
	}
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

// unreadable says what could not be understood of a push, and reports whether
// it may have been about a router of this host.
func (s *Source) unreadable(bad []rpc.Malformed) (ours bool) {
	for _, m := range bad {
		if m.RouterID != "" && !s.o.Inventory.Concerns(m.RouterID) {
			continue
		}
		ours = true
		s.o.Log.Error("pushed NDP proxy not understood, asking the server", zap.String("proxy", m.ID),
			zap.String("router", m.RouterID), zap.Error(m.Err))
	}
	return ours
}

// wantRouters notes routers to ask for; what happened to them is for the log.
func (s *Source) wantRouters(request, what string, ids ...string) {
	s.o.Log.Debug("router "+what, zap.Strings("routers", ids), zap.String("request", request))
	w := wanted{routers: make(map[string]bool, len(ids))}
	for _, id := range ids {
		w.routers[id] = true
	}
	s.notes.add(w)
}

// tick asks for the audits. The audit is due before the bound that the
// operator set, so that it is over by then.
func (s *Source) tick(ctx context.Context) error {
	lastFull := time.Now()
	for {
		wait := time.Duration((0.75 + 0.15*s.o.Jitter()) * float64(s.o.Audit))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		w := wanted{audit: true}
		if s.garbled.Swap(false) || s.o.FullSync > 0 && time.Since(lastFull) >= s.o.FullSync {
			w.full = true
			lastFull = time.Now()
		}
		s.notes.add(w)
	}
}
