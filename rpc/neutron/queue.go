package neutron

import (
	"context"
	"sync"
)

// queue carries events from the subscription to the receiver of Events. It
// never blocks its writer: what comes from the broker is bounded by the
// prefetch, because messages are acknowledged only when they were received
// here, and changes of state are few and superseded by the next Subscribed.
type queue struct {
	mu    sync.Mutex
	items []item
	wake  chan struct{} // capacity 1
	out   chan Event
}

type item struct {
	event Event
	done  func() // called once the event has been received; may be nil
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), out: make(chan Event)}
}

// put appends an event.
func (q *queue) put(e Event, done func()) {
	q.mu.Lock()
	q.items = append(q.items, item{e, done})
	q.mu.Unlock()
	q.signal()
}

// restart replaces everything that waits by a Subscribed: the full sync that it
// asks for covers all of it. An event already on offer may still come first. It
// tells how many events it replaced.
func (q *queue) restart(e Subscribed) int {
	q.mu.Lock()
	n := len(q.items)
	q.items = []item{{event: e}}
	q.mu.Unlock()
	q.signal()
	return n
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes the oldest event.
func (q *queue) take() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return item{}, false
	}
	it := q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	return it, true
}

// run hands events over until ctx is done.
func (q *queue) run(ctx context.Context) {
	for {
		it, ok := q.take()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case q.out <- it.event:
			if it.done != nil {
				it.done()
			}
		case <-ctx.Done():
			return
		}
	}
}
