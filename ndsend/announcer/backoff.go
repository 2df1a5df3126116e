package announcer

import (
	"errors"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
)

// The mean of the first pause after a failure. A full queue empties at the
// speed of the link, so it is tried again soon, and seldom said to be full for
// long.
const (
	firstBackoff     = 100 * time.Millisecond
	congestedBackoff = 5 * time.Millisecond
)

// backoff doubles the pause from failure to failure up to a bound. Half of
// each pause is random, so that a thousand devices that failed together do not
// come back together.
type backoff struct {
	limit  time.Duration
	random func() float64 // in [0, 1)
	next   time.Duration
}

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) pause(err error) time.Duration {
	first := firstBackoff
	if errors.Is(err, ndsend.ErrCongested) {
		first = congestedBackoff
	}
	b.next = min(max(2*b.next, first), b.limit)
	return b.next/2 + time.Duration(b.random()*float64(b.next/2))
}
