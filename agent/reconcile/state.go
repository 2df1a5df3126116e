package reconcile

import "time"

// Stalled is for how long work has been waiting while nobody took any; 0 when
// none waits. What runs, and retries to come, do not count.
func (q *Queue) Stalled() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var oldest time.Time
	for _, e := range q.entries {
		if e.running {
			continue
		}
		if e.quick && (oldest.IsZero() || e.quickSince.Before(oldest)) {
			oldest = e.quickSince
		}
		if e.deep && (oldest.IsZero() || e.deepSince.Before(oldest)) {
			oldest = e.deepSince
		}
	}
	if oldest.IsZero() {
		return 0
	}
	if q.moved.After(oldest) {
		oldest = q.moved
	}
	return time.Since(oldest)
}

// Lengths are how many keys wait for a look, are looked at, and come again after a
// failure.
func (q *Queue) Lengths() (waiting, running, retrying int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		switch {
		case e.running:
			running++
		case e.quick || e.deep:
			waiting++
		case e.timer != nil:
			retrying++
		}
	}
	return waiting, running, retrying
}

// Idle reports whether nothing waits or runs; retries to come do not count.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if e.quick || e.deep || e.running {
			return false
		}
	}
	return true
}
