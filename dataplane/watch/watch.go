package watch

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

// Defaults of [Options].
const (
	DefaultRescan        = 5 * time.Second
	DefaultReceiveBuffer = 1 << 20
)

// Causes of an [Event].
const (
	CauseAppeared = "namespace appeared"
	CauseVanished = "namespace vanished"
	CauseReplaced = "namespace was made again"
	CauseFollowed = "now followed"
	CauseLink     = "link changed"
	CauseAddress  = "address changed"
	CauseSetting  = "setting changed"
	CauseIPv6     = "IPv6 switched on or off"
	CauseRoute    = "route changed"
	CauseRule     = "rule changed"
	CauseLost     = "events were lost"
)

// Event asks to look at a namespace again.
type Event struct {
	Namespace string
	// Cause is the first cause since the last event of this namespace was
	// taken: for logs, not for decisions.
	Cause string
}

// Options of [New]. The zero value of each field is its default.
type Options struct {
	Logger   *zap.Logger
	NetnsDir string
	// Rescan is how often the directory is read although nothing was heard,
	// and the longest pause between attempts to subscribe.
	Rescan time.Duration
	// ReceiveBuffer is the size of each followed namespace's socket buffer.
	// The kernel charges only what is queued in it.
	ReceiveBuffer int
	// Protocol of the routes and rules that are ours: an event follows when one
	// is deleted, or another takes a route's place. 0: no one's.
	Protocol uint8
	// Turn, if not nil, is told that a loop will be back when it has waited that
	// long and gone round once, and then that it is.
	Turn func(what string, wait time.Duration) (back func())
}

// Watcher watches. Make it with [New], then [Watcher.Run] it; Follow and
// Unfollow work before, during and after.
type Watcher struct {
	opts    Options
	log     *zap.Logger
	pending *pending
	table   *table
}

// New returns a Watcher that does nothing until it is run.
func New(o Options) *Watcher {
	o.NetnsDir = cmp.Or(o.NetnsDir, netns.DefaultDir)
	o.Rescan = cmp.Or(o.Rescan, DefaultRescan)
	o.ReceiveBuffer = cmp.Or(o.ReceiveBuffer, DefaultReceiveBuffer)
	w := &Watcher{opts: o, log: o.Logger, pending: newPending()}
	if w.log == nil {
		w.log = zap.NewNop()
	}
	w.table = newTable(tableOptions{
		log: w.log, mark: w.pending.mark, rescan: o.Rescan, turn: o.Turn,
		open:     func(ns string) (source, netns.ID, error) { return open(o.NetnsDir, ns, o.ReceiveBuffer, o.Protocol) },
		identify: func(ns string) (netns.ID, error) { return netns.Identify(o.NetnsDir, ns) },
		list:     func() ([]string, error) { return netns.List(o.NetnsDir) },
	})
	return w
}

// Events delivers one event at a time. Events of a namespace that come while
// one waits to be taken are merged with it, so a slow reader holds up nobody
// and misses nothing. The channel is never closed.
func (w *Watcher) Events() <-chan Event { return w.pending.out }

// Follow asks for events from inside the namespace, whether it exists now or
// appears later. An event follows once the subscription stands: what was
// observed before it may be out of date.
func (w *Watcher) Follow(ns string) { w.table.follow(ns) }

// Unfollow ends it; the namespace's appearing and vanishing still makes events.
func (w *Watcher) Unfollow(ns string) { w.table.unfollow(ns) }

// Run watches until the context ends and returns its error. It leaves no
// goroutine or socket behind.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.pending.run(ctx) })
	g.Go(func() error { return w.table.run(ctx) })
	g.Go(func() error { return w.directory(ctx) })
	return g.Wait()
}
