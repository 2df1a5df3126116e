package pulse

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// worksPerTurn is how much longer than a turn of a loop a piece of work may take: one
// look at a namespace with 50,000 entries takes two minutes (facts in
// docs/architecture.md), where a turn is one.
const worksPerTurn = 5

// Monitor keeps the promises. The nil Monitor takes them and is never overdue.
type Monitor struct {
	turn time.Duration

	mu       sync.Mutex
	last     uint64
	promises map[uint64]promise
	checks   []func(limit time.Duration) string
}

type promise struct {
	what         string
	since, until time.Time
}

// New returns a monitor: a loop that does not come back within turn is stuck.
func New(turn time.Duration) *Monitor {
	return &Monitor{turn: turn, promises: map[uint64]promise{}}
}

// Turn promises that a loop, which may wait that long, is back by then and one turn.
// kept takes the promise back; it may be called twice.
func (m *Monitor) Turn(what string, wait time.Duration) (kept func()) {
	if m == nil {
		return func() {}
	}
	return m.promise(what, wait+m.turn)
}

// Work promises that a piece of work ends within a few turns.
func (m *Monitor) Work(what string) (kept func()) {
	if m == nil {
		return func() {}
	}
	return m.promise(what, m.limit())
}

func (m *Monitor) limit() time.Duration { return worksPerTurn * m.turn }

func (m *Monitor) promise(what string, within time.Duration) func() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	id := m.last
	m.promises[id] = promise{what: what, since: now, until: now.Add(within)}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.promises, id)
	}
}

// Check adds a question that is asked with every [Monitor.Overdue]: it returns what
// has made no progress for longer than the limit, "" if all is well. It is asked
// without a lock of the monitor's.
func (m *Monitor) Check(ask func(limit time.Duration) string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks = append(m.checks, ask)
}

// most bounds what is named.
const most = 8

// Overdue names what is stuck, the longest first, and since when.
func (m *Monitor) Overdue() []string {
	if m == nil {
		return nil
	}
	now := time.Now()
	m.mu.Lock()
	var late []promise
	for _, p := range m.promises {
		if now.After(p.until) {
			late = append(late, p)
		}
	}
	checks := m.checks
	m.mu.Unlock()
	slices.SortFunc(late, func(a, b promise) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.what, b.what))
	})
	var out []string
	for _, ask := range checks {
		if what := ask(m.limit()); what != "" {
			out = append(out, what)
		}
	}
	for _, p := range late[:min(len(late), most)] {
		out = append(out, fmt.Sprintf("%s, for %v", p.what, now.Sub(p.since).Round(time.Millisecond)))
	}
	if n := len(late) - most; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return out
}
