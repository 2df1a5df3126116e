package announcer

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// How large one burst of sending is. At full pace: small enough that a forgotten
// address, a new link-layer address or a replaced namespace counts within 50 ms,
// large enough that opening a socket for each costs nothing. Without a pace: some
// milliseconds' worth.
const (
	burstsPerSecond = 20
	unpacedBurst    = 1000
)

// pace is the token bucket of one device.
type pace struct {
	limiter *rate.Limiter // nil: no pace
	most    int
}

func newPace(perSecond float64, burst int) pace {
	if perSecond < 0 {
		return pace{most: unpacedBurst}
	}
	return pace{
		limiter: rate.NewLimiter(rate.Limit(perSecond), burst),
		most:    min(burst, max(1, int(perSecond/burstsPerSecond))),
	}
}

// wait waits until n may leave; n is at most p.most.
func (p pace) wait(ctx context.Context, n int) error {
	if p.limiter == nil {
		return ctx.Err()
	}
	return p.limiter.WaitN(ctx, n)
}

// full is how long it takes, with nothing sent, until a whole burst may leave.
func (p pace) full() time.Duration {
	if p.limiter == nil {
		return 0
	}
	missing := float64(p.limiter.Burst()) - p.limiter.Tokens()
	return time.Duration(missing / float64(p.limiter.Limit()) * float64(time.Second))
}
