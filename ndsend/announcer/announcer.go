package announcer

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"neutron-ndp-proxy-agent/ndsend"
)

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
	a.add(target, addrs, func(l *ledger, addr netip.Addr, now time.Time) { l.owe(addr, a.options.Count, now) })
}

// OweTold is Owe, and tells once of each address whether a copy has left since: false
// when what is owed is taken back or given up before, or cannot be announced. told is
// called with the announcer locked, so it must neither wait nor call it. Nobody is told
// once ctx has ended, and who asked is forgotten; what is owed stays owed. After Close,
// or the end of the announcer's own context, told may never hear.
func (a *Announcer) OweTold(ctx context.Context, target Target, told func(addr netip.Addr, sent bool), addrs ...netip.Addr) {
	for _, addr := range addrs {
		if ndsend.CheckTarget(addr) != nil {
			told(addr, false)
		}
	}
	a.add(target, addrs, func(l *ledger, addr netip.Addr, now time.Time) {
		l.owe(addr, a.options.Count, now)
		l.tell(addr, asker{ctx, func(sent bool) { told(addr, sent) }})
	})
}

// Trouble returns why the last attempt on the target failed while something is owed
// there; nil if it succeeded, or there was none.
func (a *Announcer) Trouble(target Target) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[target]; w != nil && w.ledger.len() > 0 {
		return w.err
	}
	return nil
}

// Refresh makes a single copy owed for each address on the target that owes
// nothing, for switches and neighbours that forget. Otherwise it is as Owe.
func (a *Announcer) Refresh(target Target, addrs ...netip.Addr) {
	a.add(target, addrs, func(l *ledger, addr netip.Addr, _ time.Time) { l.refresh(addr) })
}

func (a *Announcer) add(target Target, addrs []netip.Addr, enter func(*ledger, netip.Addr, time.Time)) {
	now := time.Now()
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
		enter(w.ledger, addr, now)
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
