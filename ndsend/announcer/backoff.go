package announcer

import "time"

// firstBackoff is the mean of the first pause after a failure.
const firstBackoff = 100 * time.Millisecond

// backoff doubles the pause from failure to failure up to a bound. Half of
// each pause is random, so that a thousand devices that failed together do not
// come back together.
type backoff struct {
	limit  time.Duration
	random func() float64 // in [0, 1)
	next   time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) pause() time.Duration {
	b.next = min(max(2*b.next, firstBackoff), b.limit)
	return b.next/2 + time.Duration(b.random()*float64(b.next/2))
}
