package neutron

import (
	"context"
	"time"
)

// lane works off its notes, one question at a time. Whatever came while a call
// was under way is asked for in the next round, so an answer is never older than
// the message that was the reason. What fails is noted again after a back-off of
// the lane's own, and holds up nothing else.
type lane struct {
	*notes
	o          *Options
	complaints *complaints

	// Used by the lane's goroutine only.
	failures int
}

// run makes rounds until the context ends; wait reports whether there may be
// something to ask for.
func (l *lane) run(ctx context.Context, wait func(context.Context) bool, round func(context.Context, wanted)) error {
	defer l.stop()
	for wait(ctx) {
		for w := l.take(); !w.nothing() && ctx.Err() == nil; w = l.take() {
			round(ctx, w)
		}
	}
	return nil
}

// wait waits for a note.
func (l *lane) wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-l.wake:
		return true
	}
}

func (l *lane) succeeded(what string) {
	l.failures = 0
	l.complaints.clear(what)
}

// failed says a failure once, and notes what was wanted for later.
func (l *lane) failed(ctx context.Context, what string, w wanted, err error) {
	if ctx.Err() != nil {
		return
	}
	l.failures++
	l.complaints.say(what, err)
	wait := min(l.o.RetryMin<<min(l.failures-1, 16), l.o.RetryMax)
	wait = wait/2 + time.Duration(l.o.Jitter()*float64(wait/2))
	l.addLater(w, wait)
}
