package reconcile

import (
	"context"
	"sync"
	"time"
)

// Backoff bounds the waiting time between tries of a failing key.
type Backoff struct {
	// Min is the wait after the first failure; it doubles with each further
	// one, up to Max.
	Min, Max time.Duration
	// Jitter returns a number in [0, 1): the waits are spread over
	// [wait/2, wait), so that what failed together is not retried together.
	Jitter func() float64
}

// delay is the wait after that many failures in a row.
func (b Backoff) delay(failures int) time.Duration {
	d := b.Min
	for range failures - 1 {
		if d *= 2; d >= b.Max {
			d = b.Max
			break
		}
	}
	return d/2 + time.Duration(b.Jitter()*float64(d/2))
}

// Item is one piece of work taken from the queue.
type Item struct {
	Key string
	// Deep asks for a look at everything, not only at what is cheap.
	Deep bool
	// Since is when the oldest event that this look answers came.
	Since time.Time
	// Failures counts the failed tries in a row.
	Failures int
}

type entry struct {
	// quick and deep are the looks that are wanted, with the time of the
	// oldest wish for each.
	quick, deep           bool
	quickSince, deepSince time.Time
	failures              int
	running               bool
	timer                 *time.Timer // a retry to come
	retry                 Item
}

// Queue is safe for concurrent use. The zero value is not usable: [NewQueue].
//
// It has two lanes. A look that an event asks for goes before the deep ones:
// those come for all keys at once, from audits, and what just happened must
// not wait for their end. Now and then a deep one goes first, so that events
// without end don't keep them from being made.
type Queue struct {
	backoff Backoff

	mu      sync.Mutex
	entries map[string]*entry
	// urgent and audits are the keys that want a quick or a deep look and
	// don't run. A key may be in them in vain, when another look was enough.
	urgent, audits []string
	overtaken      int           // how many quick looks went before the first of the audits
	moved          time.Time     // when work was last taken
	wake           chan struct{} // closed and replaced whenever they grow
	closed         bool
}

// overtakings is how many quick looks in a row may go before a deep one that is
// wanted: few enough that keys whose events don't end can't keep the audits
// from being made, many enough that an audit of all keys is no wait for events.
const overtakings = 16

// NewQueue returns an empty queue.
func NewQueue(b Backoff) *Queue {
	return &Queue{backoff: b, entries: map[string]*entry{}, wake: make(chan struct{})}
}

// Add asks for a look at the key now; a retry that is under way for later is
// overtaken by it.
func (q *Queue) Add(key string, deep bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(key, deep)
}

func (q *Queue) add(key string, deep bool) {
	if q.closed {
		return
	}
	e := q.entries[key]
	if e == nil {
		e = &entry{}
		q.entries[key] = e
	}
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
		if e.retry.Deep {
			q.want(key, e, true)
		}
	}
	q.want(key, e, deep)
}

// want notes one wish and queues the key for it.
func (q *Queue) want(key string, e *entry, deep bool) {
	wanted, since := &e.quick, &e.quickSince
	if deep {
		wanted, since = &e.deep, &e.deepSince
	}
	if *wanted {
		return
	}
	*wanted, *since = true, time.Now()
	if !e.running {
		q.push(key, deep)
	}
}

func (q *Queue) push(key string, deep bool) {
	if deep {
		q.audits = append(q.audits, key)
	} else {
		q.urgent = append(q.urgent, key)
	}
	close(q.wake)
	q.wake = make(chan struct{})
}

// Get waits for work. ok is false when the context ended or the queue was
// closed. Every item must be given back with Done or Retry.
func (q *Queue) Get(ctx context.Context) (item Item, ok bool) {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return Item{}, false
		}
		if item, ok = q.take(); ok {
			q.moved = time.Now()
		}
		wake := q.wake
		q.mu.Unlock()
		if ok {
			return item, true
		}
		select {
		case <-ctx.Done():
			return Item{}, false
		case <-wake:
		}
	}
}

// take returns the next item, if there is one. A deep look does for a quick
// one too; after a quick one the deep one is still wanted.
func (q *Queue) take() (Item, bool) {
	if q.overtaken >= overtakings {
		if item, ok := q.takeDeep(); ok {
			return item, true
		}
	}
	if item, ok := q.takeQuick(); ok {
		if len(q.audits) > 0 {
			q.overtaken++
		}
		return item, true
	}
	return q.takeDeep()
}

func (q *Queue) takeQuick() (Item, bool) {
	for len(q.urgent) > 0 {
		key := q.urgent[0]
		q.urgent = q.urgent[1:]
		if e := q.entries[key]; e != nil && e.quick && !e.running {
			e.quick, e.running = false, true
			return Item{Key: key, Since: e.quickSince, Failures: e.failures}, true
		}
	}
	return Item{}, false
}

func (q *Queue) takeDeep() (Item, bool) {
	q.overtaken = 0
	for len(q.audits) > 0 {
		key := q.audits[0]
		q.audits = q.audits[1:]
		if e := q.entries[key]; e != nil && e.deep && !e.running {
			item := Item{Key: key, Deep: true, Since: e.deepSince, Failures: e.failures}
			if e.quick && e.quickSince.Before(item.Since) {
				item.Since = e.quickSince
			}
			e.quick, e.deep, e.running = false, false, true
			return item, true
		}
	}
	return Item{}, false
}

// again queues a key that ran for what was wanted meanwhile.
func (q *Queue) again(key string, e *entry) {
	if e.quick {
		q.push(key, false)
	}
	if e.deep {
		q.push(key, true)
	}
}

// Done gives an item back that was worked off: its failures are forgotten.
func (q *Queue) Done(item Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[item.Key]
	if e == nil || q.closed {
		return
	}
	e.running = false
	e.failures = 0
	if e.quick || e.deep {
		q.again(item.Key, e)
		return
	}
	delete(q.entries, item.Key)
}

// Retry gives an item back that failed, and returns when it comes again
// unless an event comes first.
func (q *Queue) Retry(item Item) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[item.Key]
	if e == nil || q.closed {
		return 0
	}
	e.running = false
	e.failures++
	if e.quick || e.deep {
		// What is wanted now does for the retry; a deep one stays deep.
		e.deep = e.deep || item.Deep
		q.again(item.Key, e)
		return 0
	}
	wait := q.backoff.delay(e.failures)
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		// A timer that fired while Add was overtaking it must not fire twice.
		if e.timer == t && !q.closed {
			e.timer = nil
			q.want(item.Key, e, item.Deep)
		}
	})
	e.timer, e.retry = t, item
	return wait
}

// Close ends all waits and forgets what was queued.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	for _, e := range q.entries {
		if e.timer != nil {
			e.timer.Stop()
		}
	}
	close(q.wake)
}
