package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

type tableOptions struct {
	log      *zap.Logger
	mark     func(ns, cause string)
	open     func(ns string) (source, netns.ID, error)
	identify func(ns string) (netns.ID, error)
	list     func() ([]string, error)
	rescan   time.Duration
	turn     func(what string, wait time.Duration) (back func())
}

// table knows the names that exist and the subscriptions that stand. Only run
// opens subscriptions; follow and unfollow only note what is wanted.
type table struct {
	tableOptions
	// wake asks run for a scan.
	wake chan struct{}
	// readers are the goroutines that read subscriptions.
	readers sync.WaitGroup

	mu       sync.Mutex
	followed map[string]*follower
	// known names; nil before the first scan, which announces nobody.
	known map[string]bool
	// failure as follower.failure, of the directory.
	failure string
}

// follower is a namespace that the caller follows.
type follower struct {
	src source // nil: not subscribed
	id  netns.ID
	// failure is the text of what keeps the subscription from standing, as it
	// was logged; "" if nothing does.
	failure string
}

func newTable(o tableOptions) *table {
	if o.turn == nil {
		o.turn = func(string, time.Duration) func() { return func() {} }
	}
	return &table{tableOptions: o, wake: make(chan struct{}, 1), followed: map[string]*follower{}}
}

func (t *table) follow(ns string) {
	t.mu.Lock()
	if t.followed[ns] == nil {
		t.followed[ns] = &follower{}
	}
	t.mu.Unlock()
	t.poke()
}

func (t *table) unfollow(ns string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.followed[ns]; f != nil {
		t.drop(ns, f)
		delete(t.followed, ns)
	}
}

func (t *table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

const (
	// minPause between scans: a burst of new namespaces is one scan.
	minPause = 20 * time.Millisecond
	// firstRetry is the first pause before looking again at what was half
	// made or could not be subscribed; it doubles up to the rescan interval.
	firstRetry = 10 * time.Millisecond
)

// run scans when poked, at the interval, and soon again while something is not
// as it should be.
func (t *table) run(ctx context.Context) error {
	defer t.stop()
	retry := firstRetry
	for {
		// The scan needs the lock that the readers of events take, too.
		back := t.turn("scan of the namespaces", t.rescan)
		pause := t.rescan
		if t.scan() {
			retry = firstRetry
		} else {
			pause = min(retry, t.rescan)
			retry = min(2*retry, t.rescan)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.wake:
		}
		timer.Stop()
		back()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(minPause):
		}
	}
}

// stop closes all subscriptions and waits for their readers.
func (t *table) stop() {
	t.mu.Lock()
	for ns, f := range t.followed {
		t.drop(ns, f)
	}
	t.mu.Unlock()
	t.readers.Wait()
}

// scan compares the directory with what is known. It returns false if it must
// be repeated soon.
func (t *table) scan() (settled bool) {
	names, err := t.list()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.say(&t.failure, err, "listing namespaces failed", "listing namespaces works again")
	if err != nil {
		return false
	}
	settled = true
	first := t.known == nil
	known := make(map[string]bool, len(names))
	for _, ns := range names {
		f := t.followed[ns]
		if f == nil && t.known[ns] {
			known[ns] = true
			continue
		}
		id, err := t.identify(ns)
		if err != nil {
			// Half made, or gone since it was listed.
			settled = settled && errors.Is(err, netns.ErrGone)
			if f != nil {
				t.failed(ns, f, err)
			}
			continue
		}
		known[ns] = true
		if !t.known[ns] && !first {
			t.mark(ns, CauseAppeared)
		}
		if f != nil && !t.subscribe(ns, f, id) {
			settled = false
		}
	}
	t.vanished(known)
	t.known = known
	return settled
}

func (t *table) vanished(known map[string]bool) {
	var gone []string
	for ns := range t.known {
		if !known[ns] {
			gone = append(gone, ns)
		}
	}
	slices.Sort(gone)
	for _, ns := range gone {
		t.mark(ns, CauseVanished)
	}
	for ns, f := range t.followed {
		if !known[ns] {
			t.drop(ns, f)
		}
	}
}

// subscribe makes the follower's subscription stand in the namespace of that
// ID.
func (t *table) subscribe(ns string, f *follower, id netns.ID) bool {
	cause := CauseFollowed
	if f.src != nil {
		if f.id == id {
			return true
		}
		cause = CauseReplaced
		t.drop(ns, f)
	}
	src, id, err := t.open(ns)
	t.failed(ns, f, err)
	if err != nil {
		return false
	}
	f.src, f.id = src, id
	t.readers.Go(func() { t.read(ns, f, src) })
	// What was observed before the subscription stood may be out of date.
	t.mark(ns, cause)
	return true
}

// failed notes the outcome of an attempt to subscribe.
func (t *table) failed(ns string, f *follower, err error) {
	if errors.Is(err, netns.ErrGone) || errors.Is(err, netns.ErrNotReady) {
		return // normal, and soon over
	}
	t.say(&f.failure, err, "subscribing to a namespace's events failed",
		"subscribed to a namespace's events after all", zap.String("namespace", ns))
}

// say logs a failure when it comes, when its text changes and when it ends:
// not with every attempt.
func (t *table) say(last *string, err error, failed, ended string, fields ...zap.Field) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now == *last {
		return
	}
	*last = now
	if err == nil {
		t.log.Info(ended, fields...)
		return
	}
	t.log.Warn(failed, append(fields, zap.Error(err))...)
}

// read marks the namespace for every event until the subscription ends.
func (t *table) read(ns string, f *follower, src source) {
	for {
		cause, err := src.Receive()
		if err == nil {
			t.mark(ns, cause)
			continue
		}
		t.mu.Lock()
		// A source that was dropped was closed by us, and nothing is lost.
		lost := f.src == src
		if lost {
			t.drop(ns, f)
		}
		t.mu.Unlock()
		if lost {
			t.log.Info("events of a namespace were lost", zap.String("namespace", ns), zap.Error(err))
			t.mark(ns, CauseLost)
			t.poke()
		}
		return
	}
}

// drop closes the follower's subscription; t.mu is held.
func (t *table) drop(ns string, f *follower) {
	if f.src == nil {
		return
	}
	if err := f.src.Close(); err != nil {
		t.log.Warn("closing a subscription failed", zap.String("namespace", ns), zap.Error(err))
	}
	f.src = nil
}
