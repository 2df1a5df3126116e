package neutron

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/pulse"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Server is what the source asks of Neutron; *rpc.Client is one.
type Server interface {
	Events() <-chan rpc.Event
	RouterIDs(ctx context.Context) ([]string, error)
	Routers(ctx context.Context, ids []string) ([]rpc.Router, []rpc.Malformed, error)
	NDPProxies(ctx context.Context, routerIDs []string) ([]rpc.NDPProxy, []rpc.Malformed, error)
	Ports(ctx context.Context, portIDs []string) ([]rpc.BoundPort, []rpc.Malformed, error)
	L3Agents(ctx context.Context, hosts []string) ([]rpc.Agent, []rpc.Malformed, error)
	Reprobe(ctx context.Context) error
	Renew(ctx context.Context) error
}

// Options of a Source.
type Options struct {
	Server    Server
	Inventory *inventory.Inventory
	Log       *zap.Logger
	// Pulse, if not nil, is promised progress. Waiting for the server is none of it.
	Pulse *pulse.Monitor
	// Stands, if not nil, reports whether an earlier run left something published,
	// or may have: then the first answers are confirmed before they count.
	Stands func(ctx context.Context) bool
	// Host and Mode are those of [Host]. Unless [WantsPorts] of the mode, the
	// server is asked for no port, no agent and no exchange of ports.
	Host, Mode string
	// Audit bounds the time in which a change that the server told nobody
	// is found; the audits come a little more often, jittered.
	Audit time.Duration
	// AuditRouters is the most routers that one audit reads again.
	AuditRouters int
	// FullSync is how often all routers are asked for although no message
	// said that they changed; 0: only after a new subscription, a change of the
	// L3 agent's administrative state, or a message that could not be read.
	FullSync time.Duration
	// Asked, if not nil, hears of each question to the server that was answered or
	// failed, which may be several calls, and how long it took. It must not wait.
	Asked func(q Question, took time.Duration, err error)
	// RetryMin and RetryMax bound the back-off after a failed call.
	RetryMin, RetryMax time.Duration
	// Jitter returns a number in [0, 1).
	Jitter func() float64
}

// Source feeds the inventory from Neutron.
type Source struct {
	o    Options
	here Host

	complaints *complaints
	atlas      *atlas
	garbled    atomic.Bool               // since the last audit
	stood      atomic.Bool               // an earlier run left something
	pulled     atomic.Pointer[time.Time] // when the last full pull that ended well began

	// routersLane asks for routers and proxies. In a DVR mode, quick asks for
	// the ports (and hosts) that somebody waits for, bulk for all of them.
	routersLane *lane
	quick, bulk *portsLane

	// Used by the goroutine of routersLane only.
	turn, heldTurn rotation
	unsupported    once
	awaited        awaited
	departed       departed

	relisting relisting
	reasons   reasons

	// added is used by the goroutine that listens only.
	added added
}

// New returns a source; Run does the work.
func New(o Options) *Source {
	here := Host{Name: o.Host, Mode: o.Mode}
	s := &Source{
		o:           o,
		here:        here,
		complaints:  &complaints{log: o.Log, said: map[string]string{}},
		atlas:       newAtlas(here, o.Inventory),
		turn:        rotation{},
		heldTurn:    rotation{},
		unsupported: once{},
		departed:    departed{},
		added:       added{},
		awaited:     awaited{inventory: o.Inventory, most: max(o.Audit, firstAwaited), routers: map[string]*again{}},
	}
	s.routersLane = s.newLane()
	s.quick = &portsLane{lane: s.newLane(), what: "ports that are waited for"}
	s.bulk = &portsLane{lane: s.newLane(), what: "ports", again: true}
	return s
}

func (s *Source) newLane() *lane {
	return &lane{notes: newNotes(), o: &s.o, complaints: s.complaints}
}

// Resync asks the server for everything again.
func (s *Source) Resync() { s.routersLane.add(wanted{full: true}) }

// PulledSince reports whether all that stood at the server at that time is in the
// inventory: a full pull began after it, and has ended well.
func (s *Source) PulledSince(t time.Time) bool {
	began := s.pulled.Load()
	return began != nil && began.After(t)
}

// Scope reports whether a namespace may hold what this source had published.
func Scope(ns string) bool { return inventory.NeutronNamespace(ns) }

// Run listens and asks until the context ends.
func (s *Source) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.listen(ctx) })
	g.Go(func() error { return s.routersLane.run(ctx, s.wait, s.round) })
	for _, l := range []*portsLane{s.quick, s.bulk} {
		g.Go(func() error {
			return l.run(ctx, l.wait, func(ctx context.Context, w wanted) { s.portsRound(ctx, l, w) })
		})
	}
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
			kept := s.o.Pulse.Turn("messages of neutron-server", 0)
			s.event(e)
			kept()
		}
	}
}

func (s *Source) event(e rpc.Event) {
	switch e := e.(type) {
	case rpc.Subscribed:
		s.o.Inventory.ForgetPushes()
		s.atlas.restart()
		s.Resync()
	case rpc.Disconnected:
		// What is published stays published; the next Subscribed asks again.
	case rpc.AgentUpdated:
		// While the L3 agent is disabled the server says that it has no
		// routers; afterwards it has them all again.
		s.Resync()
	case rpc.RoutersUpdated:
		s.wantRouters(e.Header, "updated", e.IDs...)
	case rpc.RouterAdded:
		s.added.note(e.IDs, time.Now())
		s.wantRouters(e.Header, "added", e.IDs...)
	case rpc.RouterRemoved:
		s.routerGone(e.Header, "removed", e.ID)
	case rpc.RouterDeleted:
		// To all L3 agents of the cloud: most are none of ours.
		if s.o.Inventory.Concerns(e.ID) {
			s.routerGone(e.Header, "deleted", e.ID)
		}
	case rpc.ProxiesPushed:
		s.pushed(e)
	case rpc.PortsPushed:
		s.portsPushed(e)
	case rpc.Garbled:
		// Logged and counted where it was met. Nobody knows what it would
		// have told, so the next audit asks for everything; not at once, since
		// a broken sender sends many.
		s.garbled.Store(true)
	}
}

// wantRouters notes routers to ask for; what happened to them is for the log.
func (s *Source) wantRouters(h rpc.Header, what string, ids ...string) {
	s.o.Log.Debug("router "+what, zap.Strings("routers", ids), zap.String("request", h.RequestID))
	s.reasons.note(h, ids...)
	s.routersLane.add(wanted{routers: set(ids...)})
}

// routerGone notes a router that went: the server is to confirm it, where it may
// be asked.
func (s *Source) routerGone(h rpc.Header, what, id string) {
	s.o.Log.Debug("router "+what, zap.String("router", id), zap.String("request", h.RequestID))
	s.reasons.note(h, id)
	if s.mustBeListed(id) && !h.Redelivered && !s.added.lately(id, time.Now()) {
		s.routersLane.add(wanted{left: set(id)})
		return
	}
	s.routersLane.add(wanted{routers: set(id), gone: set(id)})
}

// tick asks for the audits. The audit is due before the bound that the
// operator set, so that it is over by then.
func (s *Source) tick(ctx context.Context) error {
	lastFull := time.Now()
	for {
		wait := time.Duration((0.75 + 0.15*s.o.Jitter()) * float64(s.o.Audit))
		kept := s.o.Pulse.Turn("audit of the server", wait)
		select {
		case <-ctx.Done():
			kept()
			return nil
		case <-time.After(wait):
		}
		w := wanted{audit: true}
		again := s.relisting.due(time.Now())
		if s.garbled.Swap(false) || again || s.o.FullSync > 0 && time.Since(lastFull) >= s.o.FullSync {
			w.full = true
			lastFull = time.Now()
		}
		s.routersLane.add(w)
		kept()
	}
}
