package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"neutron-ndp-proxy-agent/agent/debts"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/agent/reconcile"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Dataplane is what the loop asks of the kernel side; *dataplane.Dataplane is
// one.
type Dataplane interface {
	Namespaces(ctx context.Context) ([]string, error)
	Owned(ctx context.Context, namespace string) (bool, error)
	// Interfaces are those of a namespace in which nothing is ours.
	Interfaces(ctx context.Context, namespace string) ([]dataplane.Interface, error)
	Observe(ctx context.Context, namespace string, depth dataplane.Depth) (dataplane.Observation, error)
	Apply(ctx context.Context, changes dataplane.Changes) (dataplane.Result, error)
	// Identify tells two names of one namespace.
	Identify(namespace string) (dataplane.ID, error)
}

// Watcher tells of kernel events; *dataplane.Watcher is one.
type Watcher interface {
	Run(ctx context.Context) error
	Events() <-chan dataplane.Event
	Follow(namespace string)
	Unfollow(namespace string)
}

// Announcer owes and sends the advertisements; *announcer.Announcer is one.
// None of its calls waits.
type Announcer interface {
	// Owe announces addresses that became answerable; Refresh tells once more
	// of those that were told of long ago.
	Owe(target announcer.Target, addrs ...netip.Addr)
	Refresh(target announcer.Target, addrs ...netip.Addr)
	// Owing reports whether anything is owed in a namespace.
	Owing(namespace string) bool
	// Retain drops what is owed for any other address of the device: these
	// are ours. Drop drops all.
	Retain(target announcer.Target, addrs ...netip.Addr)
	Drop(target announcer.Target)
	// Kick tries what is owed on the device now: something changed there.
	Kick(target announcer.Target)
}

// Source feeds the inventory until the context ends.
type Source interface {
	Run(ctx context.Context) error
}

// Options of an Agent.
type Options struct {
	// Scope reports whether a namespace may hold leftovers of this source.
	Scope     func(namespace string) bool
	Dataplane Dataplane
	Watcher   Watcher
	Announcer Announcer
	// Carrier, if not nil, tells that a device of the host itself got a
	// carrier: what is behind it may have learned meanwhile that our addresses
	// are elsewhere, while in the namespaces nothing changed.
	Carrier <-chan struct{}
	// CarrierWait is how long after that two primaries of an HA router need to
	// agree on one: Neutron's ha_vrrp_advert_int, and a little.
	CarrierWait time.Duration
	// Refresh is how often everything that is answered for is announced once
	// more; 0: never.
	Refresh time.Duration
	// Debts is the directory that remembers across restarts where announcements
	// are owed; "": nothing does. See package debts.
	Debts string
	// Pulse, if not nil, is promised progress.
	Pulse *pulse.Monitor
	// Discovery, if not nil, reads the counters of devices; *dataplane.Dataplane has it.
	Discovery func(ctx context.Context, namespace string, devices []string) (map[string]dataplane.Discovery, error)
	// Looked, if not nil, hears of each look; from the workers. It must not wait.
	Looked func(Look)
	Log    *zap.Logger

	Workers int
	Plan    plan.Options
	// Audit is how often the kernel is compared, jittered downwards.
	Audit time.Duration
	// RetryMin and RetryMax bound the back-off of a failing namespace.
	RetryMin, RetryMax time.Duration
	// Jitter returns a number in [0, 1); safe for concurrent use.
	Jitter func() float64
}

// Agent is the loop.
type Agent struct {
	o         Options
	inventory *inventory.Inventory
	queue     *reconcile.Queue
	following *following
	damper    *damper
	drift     *drift
	discovery discovery
	debts     *debts.Markers
	ready     chan struct{}

	synced     chan struct{}
	syncedOnce sync.Once

	mu       sync.Mutex
	awaited  map[string]bool // namespaces of the first sync that were not looked at yet; nil before it
	statuses map[string]status
	known    map[string][]plan.Claim         // what this run knew to be of the routers in a namespace
	waiting  map[string]string               // what routers wait for, as it was said
	retell   map[string]telling              // namespaces whose answered addresses are to be announced again
	devices  map[string]map[string]linkLayer // of the last plan, by namespace and name
	orders   map[*order]bool
}

// New returns an agent with an empty inventory ([Agent.Inventory]), which a
// source has to be made for; Run does the work.
func New(o Options) *Agent {
	a := &Agent{
		o: o,
		queue: reconcile.NewQueue(reconcile.Backoff{
			Min: o.RetryMin, Max: o.RetryMax, Jitter: o.Jitter,
		}),
		following: newFollowing(o.Watcher),
		drift:     newDrift(),
		ready:     make(chan struct{}),
		synced:    make(chan struct{}),
		statuses:  map[string]status{},
		known:     map[string][]plan.Claim{},
		waiting:   map[string]string{},
		retell:    map[string]telling{},
		devices:   map[string]map[string]linkLayer{},
		orders:    map[*order]bool{},
	}
	a.inventory = inventory.New(a.changed)
	a.debts = debts.Open(debts.Options{Dir: o.Debts, Owing: a.owing, Log: o.Log})
	for _, ns := range a.debts.Marked() {
		a.retell[ns] = tellAll
	}
	o.Pulse.Check(func(limit time.Duration) string {
		if stalled := a.queue.Stalled(); stalled > limit {
			return fmt.Sprintf("the queue of namespaces, of which nobody took any for %v", stalled.Round(time.Millisecond))
		}
		return ""
	})
	a.damper = newDamper(o.Log, func(ns string) { a.queue.Add(ns, false) })
	return a
}

// Inventory is what the agent makes true; a source writes it.
func (a *Agent) Inventory() *inventory.Inventory { return a.inventory }

// Ready is closed once everything that the source's first sync named has been
// applied, or is waiting for something outside (a namespace that the L3 agent
// has not made yet), or has failed so often that waiting for it would keep the
// rest from being called ready.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run makes true what the source tells, until the context ends, and leaves the
// dataplane as it is then.
func (a *Agent) Run(ctx context.Context, source Source) error {
	defer a.queue.Close()
	outer := ctx
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return source.Run(ctx) })
	g.Go(func() error { return a.o.Watcher.Run(ctx) })
	g.Go(func() error { return a.watch(ctx) })
	g.Go(func() error { return a.audit(ctx) })
	g.Go(func() error { return a.carriers(ctx) })
	g.Go(func() error { return a.refresh(ctx) })
	for range a.o.Workers {
		g.Go(func() error { return a.work(ctx) })
	}
	if err := g.Wait(); outer.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // asked to stop
}

// changed takes the inventory's word that namespaces changed.
func (a *Agent) changed(namespaces []string) {
	for _, ns := range namespaces {
		a.queue.Add(ns, false)
	}
	a.tellWaiting()
	if a.inventory.Synced() {
		a.syncedOnce.Do(func() { close(a.synced) })
	}
}

// watch turns kernel events into looks.
func (a *Agent) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-a.o.Watcher.Events():
			if !ok {
				return errors.New("the watcher of the kernel's events ended")
			}
			kept := a.o.Pulse.Turn("kernel events", 0)
			a.event(e)
			kept()
		}
	}
}

func (a *Agent) event(e dataplane.Event) {
	concerned := a.concerned(e.Namespace)
	if len(concerned) == 0 {
		return // somebody else's, or a leftover for the next sweep
	}
	a.o.Log.Debug("kernel event", zap.String("namespace", e.Namespace), zap.String("cause", e.Cause))
	for _, ns := range concerned {
		a.damper.event(ns, e.Cause)
	}
}

// LookAgain makes the next look at everything a thorough one, now.
func (a *Agent) LookAgain() {
	for _, ns := range a.inventory.Namespaces() {
		a.queue.Add(ns, true)
	}
}

// audit waits for the first sync, then sweeps and looks at everything from
// time to time: entries vanish without an event (facts.md).
func (a *Agent) audit(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.synced:
	}
	a.placed(ctx)
	kept := a.o.Pulse.Work("first look for leftovers")
	a.firstSync(ctx)
	kept()
	for {
		wait := time.Duration((0.75 + 0.2*a.o.Jitter()) * float64(a.o.Audit))
		kept := a.o.Pulse.Turn("audit of the kernel", wait)
		select {
		case <-ctx.Done():
			kept()
			return nil
		case <-time.After(wait):
		}
		a.LookAgain()
		kept()
		kept = a.o.Pulse.Work("look for leftovers")
		a.sweep(ctx)
		kept()
	}
}

// sweep looks at the namespaces that hold something of ours but that nobody
// names any more: deleted while we were not running, or moved away.
func (a *Agent) sweep(ctx context.Context) {
	left, err := a.leftovers(ctx)
	if err != nil && ctx.Err() == nil {
		a.o.Log.Warn("looking for leftovers", zap.Error(err))
	}
	for _, ns := range left {
		a.queue.Add(ns, true)
	}
}

// leftovers returns those that could be found; the error says what could not be
// looked at.
func (a *Agent) leftovers(ctx context.Context) (left []string, err error) {
	names, err := a.o.Dataplane.Namespaces(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the named namespaces: %w", err)
	}
	var errs []error
	for _, ns := range names {
		if !a.o.Scope(ns) {
			continue
		}
		if entries, held := a.inventory.Namespace(ns); held || len(entries) > 0 {
			continue
		}
		owned, err := a.o.Dataplane.Owned(ctx, ns)
		if err != nil && dataplane.Classify(err) != dataplane.ClassGone {
			errs = append(errs, err)
		}
		if owned {
			left = append(left, ns)
		}
	}
	return left, errors.Join(errs...)
}
