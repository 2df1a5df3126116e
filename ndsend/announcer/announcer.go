package announcer

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"neutron-ndp-proxy-agent/ndsend"
)

// Defaults of [Options].
const (
	// DefaultRate is in advertisements per second and device. Sending costs
	// us 5 us each; the pace spares the receivers, routers that police what
	// reaches their control plane.
	DefaultRate = 500
	// DefaultBurst is how many may leave at once after a quiet time.
	DefaultBurst = 100
	// DefaultCount is MAX_NEIGHBOR_ADVERTISEMENT and DefaultInterval is
	// RETRANS_TIMER of RFC 4861 section 10.
	DefaultCount    = 3
	DefaultInterval = time.Second
	// DefaultMaxBackoff bounds the pause between two attempts.
	DefaultMaxBackoff = 3 * time.Second
	// DefaultGoneAfter is how long a namespace or device may stay away
	// before what it owes is dropped.
	DefaultGoneAfter = time.Minute
	// DefaultConcurrency is how many devices are served at the same moment:
	// each takes a thread while it enters a namespace.
	DefaultConcurrency = 8
)

// Unpaced as [Options].Rate sends as fast as the device takes it.
const Unpaced = -1

// Target is one device of one namespace, both by name, because both may vanish
// and come back as something else under the same name.
type Target struct {
	// Namespace is the name that [Options].Enter gets; empty: the
	// namespace of this process.
	Namespace string
	Device    string
}

// SendFunc sends one burst; [ndsend.Burst] says what it returns.
type SendFunc func(ctx context.Context, target Target, addrs []netip.Addr) (sent []netip.Addr, err error)

// Options of [New]. The zero value of a field means its default.
type Options struct {
	Logger *zap.Logger
	// Enter runs fn on a thread inside the named namespace. Needed unless
	// every Target's Namespace is empty or Send is given.
	Enter func(namespace string, fn func() error) error
	// Gone tells whether an error of Enter means that the namespace does not
	// exist. Default: errors.Is(err, fs.ErrNotExist).
	Gone func(error) bool
	// Router sets the Router flag of each advertisement.
	Router bool
	// Count is how many copies of each announcement leave, the first at once;
	// a receiver that missed one learns from the next. RFC 4861 section 7.2.6
	// allows three.
	Count int
	// Interval is the least time between two copies, the section's
	// RetransTimer. Each pause is up to a quarter longer, at random.
	Interval time.Duration
	// Rate and Burst pace each device, in advertisements per second, or
	// [Unpaced], and in advertisements.
	Rate  float64
	Burst int
	// MaxBackoff bounds the pause between two failing attempts.
	MaxBackoff time.Duration
	// GoneAfter bounds how long a missing namespace or device is waited for.
	GoneAfter time.Duration
	// Concurrency bounds how many devices are served at the same moment.
	Concurrency int
	// Random is in [0, 1) and spreads retries; safe for concurrent use.
	Random func() float64
	// Send replaces [ndsend.Burst].
	Send SendFunc
	// Settled, if not nil, is called when a target owes nothing any more. It
	// may call no method of the Announcer but Owing, and is called by whoever
	// made it so: a worker, or a caller of Forget, Retain and Drop.
	Settled func(Target)
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Gone == nil {
		o.Gone = func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	}
	if o.Count <= 0 {
		o.Count = DefaultCount
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Burst <= 0 {
		o.Burst = DefaultBurst
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	if o.GoneAfter <= 0 {
		o.GoneAfter = DefaultGoneAfter
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Send == nil {
		o.Send = burst(o.Enter, o.Router)
	}
}

// burst opens a new socket each time: one that is kept would keep a deleted
// namespace, with its devices, alive and on the link.
func burst(enter func(string, func() error) error, router bool) SendFunc {
	return func(ctx context.Context, target Target, addrs []netip.Addr) ([]netip.Addr, error) {
		config := ndsend.Config{Interface: target.Device, Flags: ndsend.Flags{Router: router}}
		if target.Namespace != "" {
			config.Enter = func(fn func() error) error { return enter(target.Namespace, fn) }
		}
		return ndsend.Burst(ctx, config, addrs)
	}
}

// Announcer sends what is owed. Its methods never wait for the kernel or for
// the pace, and are safe for concurrent use.
type Announcer struct {
	options Options
	slots   *semaphore.Weighted
	ctx     context.Context // ends the workers; theirs alone
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	workers  map[Target]*worker
	counters Stats
}

// New returns an Announcer that works until ctx is done or Close is called.
func New(ctx context.Context, options Options) *Announcer {
	options.setDefaults()
	ctx, cancel := context.WithCancel(ctx)
	return &Announcer{
		options:  options,
		slots:    semaphore.NewWeighted(int64(options.Concurrency)),
		ctx:      ctx,
		cancel:   cancel,
		workers:  make(map[Target]*worker),
		counters: Stats{Failed: make(map[ndsend.Reason]uint64)},
	}
}

// Owe makes a series of [Options].Count copies owed for each address on the
// target. A series that waits for its first copy already stays as it is, one
// that has begun begins anew: there is a new reason. An address that cannot be
// announced ([ndsend.CheckTarget]) is logged and counted as rejected, and the
// others are owed. After Close or the end of the context nothing is owed any
// more.
func (a *Announcer) Owe(target Target, addrs ...netip.Addr) {
	a.add(target, addrs, func(l *ledger, addr netip.Addr) { l.owe(addr, a.options.Count) })
}

// Refresh makes a single copy owed for each address on the target that owes
// nothing, for switches and neighbours that forget. Otherwise it is as Owe.
func (a *Announcer) Refresh(target Target, addrs ...netip.Addr) {
	a.add(target, addrs, (*ledger).refresh)
}

func (a *Announcer) add(target Target, addrs []netip.Addr, enter func(*ledger, netip.Addr)) {
	good := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		if err := ndsend.CheckTarget(addr); err != nil {
			a.logger(target).Error("cannot announce an address", zap.Error(err))
			continue
		}
		good = append(good, addr)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counters.Rejected += uint64(len(addrs) - len(good))
	if len(good) == 0 || a.ctx.Err() != nil {
		return
	}
	w := a.workers[target]
	if w == nil {
		w = a.start(target)
	}
	for _, addr := range good {
		enter(w.ledger, addr)
	}
	w.signal(w.owed)
}

// Owing tells whether anything is owed on any device of a namespace. After the
// end it says so of every namespace: what was owed then is not known any more.
func (a *Announcer) Owing(namespace string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		return true
	}
	for target, w := range a.workers {
		if target.Namespace == namespace && w.ledger.len() > 0 {
			return true
		}
	}
	return false
}

// Forget takes back what is owed for the addresses on the target. When it
// returns, none of them will leave, except in a burst that is on its way at
// this moment: 50 ms worth of addresses at most, or 1,000 where there is no pace,
// sent within a few.
func (a *Announcer) Forget(target Target, addrs ...netip.Addr) {
	a.takeBack(target, func(l *ledger) {
		for _, addr := range addrs {
			l.forget(addr)
		}
	})
}

// Retain takes back what is owed on the target for any other address, as Forget
// does: these are all that are still ours there.
func (a *Announcer) Retain(target Target, addrs ...netip.Addr) {
	a.takeBack(target, func(l *ledger) {
		ours := make(map[netip.Addr]bool, len(addrs))
		for _, addr := range addrs {
			ours[addr] = true
		}
		for addr := range l.debts {
			if !ours[addr] {
				l.forget(addr)
			}
		}
	})
}

// Drop takes back all that is owed on the target, as Forget does: the device
// is no longer ours to announce on.
func (a *Announcer) Drop(target Target) {
	a.takeBack(target, (*ledger).clear)
}

func (a *Announcer) takeBack(target Target, from func(*ledger)) {
	a.mu.Lock()
	w := a.workers[target]
	settled := false
	if w != nil && w.ledger.len() > 0 {
		from(w.ledger)
		if settled = w.ledger.len() == 0; settled {
			// Wake it, lest it sleeps through a pause with nothing to do.
			w.signal(w.kicked)
		}
	}
	a.mu.Unlock()
	if settled {
		a.settled(target)
	}
}

// settled tells who wants to know; without a.mu.
func (a *Announcer) settled(target Target) {
	if a.options.Settled != nil {
		a.options.Settled(target)
	}
}

// Kick says that the target's device or namespace changed: what is owed there
// is tried now, and the back-off starts anew.
func (a *Announcer) Kick(target Target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[target]; w != nil {
		w.signal(w.kicked)
	}
}

// Close stops sending, waits for the burst that is being sent, and drops what
// is still owed: the next run of the daemon observes, and owes again.
func (a *Announcer) Close() {
	// Under the lock, so that no Owe starts a worker once we wait for them.
	a.mu.Lock()
	a.cancel()
	a.mu.Unlock()
	a.running.Wait()
}

// start runs a worker for the target; a.mu is held.
func (a *Announcer) start(target Target) *worker {
	w := &worker{
		announcer: a,
		target:    target,
		log:       a.logger(target),
		pace:      newPace(a.options.Rate, a.options.Burst),
		backoff:   backoff{limit: a.options.MaxBackoff, random: a.options.Random},
		kicked:    make(chan struct{}, 1),
		owed:      make(chan struct{}, 1),
		ledger:    newLedger(),
	}
	a.workers[target] = w
	a.running.Go(w.run)
	return w
}

func (a *Announcer) logger(target Target) *zap.Logger {
	return a.options.Logger.With(zap.String("namespace", target.Namespace), zap.String("device", target.Device))
}
