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
	// Since is when the oldest event of this item came.
	Since time.Time
	// Failures counts the failed tries in a row.
	Failures int
}

type entry struct {
	item    Item
	waiting bool // in ready, or to be put there when the running one ends
	running bool
	timer   *time.Timer // a retry to come
}

// Queue is safe for concurrent use. The zero value is not usable: [NewQueue].
type Queue struct {
	backoff Backoff

	mu      sync.Mutex
	entries map[string]*entry
	ready   []string
	wake    chan struct{} // closed and replaced whenever ready grows
	closed  bool
}

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
		e = &entry{item: Item{Key: key}}
		q.entries[key] = e
	}
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.item.Deep = e.item.Deep || deep
	if e.waiting {
		return
	}
	e.waiting = true
	e.item.Since = time.Now()
	if !e.running {
		q.push(key)
	}
}

func (q *Queue) push(key string) {
	q.ready = append(q.ready, key)
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
		if len(q.ready) > 0 {
			key := q.ready[0]
			q.ready = q.ready[1:]
			e := q.entries[key]
			item = e.item
			e.waiting, e.running = false, true
			e.item.Deep = false
			q.mu.Unlock()
			return item, true
		}
		wake := q.wake
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return Item{}, false
		case <-wake:
		}
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
	e.item.Failures = 0
	if e.waiting {
		q.push(item.Key)
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
	e.item.Failures++
	e.item.Deep = e.item.Deep || item.Deep
	if e.waiting {
		q.push(item.Key)
		return 0
	}
	wait := q.backoff.delay(e.item.Failures)
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		// A timer that fired while Add was overtaking it must not fire twice.
		if e.timer == t {
			e.timer = nil
			q.add(item.Key, false)
		}
	})
	e.timer = t
	return wait
}

// Idle reports whether nothing waits or runs; retries to come do not count.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if e.waiting || e.running {
			return false
		}
	}
	return true
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
