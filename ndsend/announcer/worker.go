package announcer

import (
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/ndsend"
)

// worker serves one device while something is owed there.
type worker struct {
	announcer *Announcer
	target    Target
	log       *zap.Logger
	pace      pace
	backoff   backoff
	kicked    chan struct{} // the device changed: end a pause
	owed      chan struct{} // something new is owed: end the idle time

	// Guarded by announcer.mu.
	ledger *ledger
	err    error     // of the last attempt
	since  time.Time // when the failures in a row began; zero after success
	gone   time.Time // when the device was first missed; zero when it is there
}

// signal wakes the worker; one wake-up covers all that came before it.
func (w *worker) signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run works until nothing is owed and the pace is made up for, or until the
// announcer ends.
func (w *worker) run() {
	for {
		if w.announcer.ctx.Err() != nil {
			w.leave()
			return
		}
		n, next := w.ready()
		switch {
		case n > 0:
			if err := w.attempt(n); err != nil {
				w.sleep(w.backoff.pause(err))
			}
		case !next.IsZero():
			w.rest(time.Until(next))
		default:
			if !w.idle() {
				return
			}
		}
	}
}

func (w *worker) ready() (n int, next time.Time) {
	w.announcer.mu.Lock()
	defer w.announcer.mu.Unlock()
	return w.ledger.ready(time.Now(), w.pace.most)
}

// attempt sends one burst of n of what is owed, in its turn and at the device's
// pace, and books the result.
func (w *worker) attempt(n int) error {
	a := w.announcer
	if err := w.pace.wait(a.ctx, n); err != nil {
		return err
	}
	if err := a.slots.Acquire(a.ctx, 1); err != nil {
		return err
	}
	defer a.slots.Release(1)

	// Only now, after the waits: what was forgotten meanwhile must not leave.
	a.mu.Lock()
	batch := w.ledger.take(time.Now(), n)
	a.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	addrs := make([]netip.Addr, len(batch))
	for i, d := range batch {
		addrs[i] = d.addr
	}
	sent, err := a.options.Send(a.ctx, w.target, addrs)
	if len(sent) > 0 {
		w.backoff.reset()
	}
	w.book(batch, sent, err)
	return err
}

// book enters what a burst did, and gives up on a device that stayed away.
func (w *worker) book(batch []*debt, sent []netip.Addr, err error) {
	a := w.announcer
	now, isGone := time.Now(), w.isGone(err)

	a.mu.Lock()
	before, since, givenUp := w.err, w.since, 0
	a.counters.Sent += uint64(len(sent))
	waited := w.ledger.settle(batch, sent, now, a.nextCopy(), errors.Is(err, ndsend.ErrFiltered))
	w.err = err
	if err == nil {
		w.since = time.Time{}
	} else {
		a.counters.Failed[ndsend.ReasonOf(err)]++
		if before == nil {
			w.since = now
		}
	}
	switch {
	case !isGone:
		w.gone = time.Time{}
	case w.gone.IsZero():
		w.gone = now
	case now.Sub(w.gone) >= a.options.GoneAfter:
		givenUp = w.ledger.len()
		a.counters.GivenUp += uint64(givenUp)
		w.ledger.clear()
		w.err, w.since, w.gone = nil, time.Time{}, time.Time{}
	}
	left, settled := w.ledger.unannounced(), w.ledger.len() == 0
	a.mu.Unlock()
	if settled {
		a.settled(w.target)
	}
	if a.options.Left != nil && len(waited) > 0 {
		a.options.Left(waited)
	}

	counts := []zap.Field{zap.Int("sent", len(sent)), zap.Int("owed", left)}
	switch {
	case givenUp > 0:
		w.log.Warn("gave up announcing: the device stayed away", zap.Int("given_up", givenUp), zap.Error(err))
	case err == nil && before != nil:
		w.log.Info("announced after waiting", append(counts, zap.Duration("waited", now.Sub(since)))...)
	case err == nil:
		w.log.Debug("announced", counts...)
	default:
		w.log.Log(level(before, err), "cannot announce yet, will retry", append(counts, zap.Error(err))...)
	}
}

// nextCopy is the time to the next copy: never less than the interval, and not
// the same for all devices. One for each burst, so that what left together
// leaves together again.
func (a *Announcer) nextCopy() time.Duration {
	return a.options.Interval + time.Duration(a.options.Random()*float64(a.options.Interval)/4)
}

// level makes a failure loud when it is new, and only if waiting may not help.
func level(before, err error) zapcore.Level {
	reason := ndsend.ReasonOf(err)
	if reason == ndsend.ReasonOf(before) {
		return zapcore.DebugLevel
	}
	switch reason {
	case ndsend.ReasonNotReady, ndsend.ReasonNoInterface, ndsend.ReasonNamespace, ndsend.ReasonCongested:
		return zapcore.InfoLevel
	default:
		return zapcore.WarnLevel
	}
}

// isGone tells whether err means that there is nothing to announce on.
func (w *worker) isGone(err error) bool {
	switch ndsend.ReasonOf(err) {
	case ndsend.ReasonNoInterface:
		return true
	case ndsend.ReasonNamespace:
		return w.announcer.options.Gone(err)
	default:
		return false
	}
}

// idle waits, with nothing owed, until the pace allows a full burst again: a
// worker that left earlier would take its debt of time with it, and whoever
// owes one address after the other would never be paced. It reports whether
// there is work again; if not, the worker has left.
func (w *worker) idle() bool {
	timer := time.NewTimer(w.pace.full())
	defer timer.Stop()
	select {
	case <-w.announcer.ctx.Done():
		w.leave()
		return false
	case <-w.owed:
		return true
	case <-timer.C:
		return !w.leaveIfPaid()
	}
}

// rest waits until the next copy is due, something new is owed, or nothing is
// any more.
func (w *worker) rest(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-w.announcer.ctx.Done():
	case <-timer.C:
	case <-w.owed:
	case <-w.kicked:
	}
}

// sleep is one pause after a failure; a kick ends it.
func (w *worker) sleep(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-w.announcer.ctx.Done():
	case <-timer.C:
	case <-w.kicked:
		w.backoff.reset()
	}
}

// leaveIfPaid ends the worker's term unless something is owed by now; under
// the lock, so that an Owe finds either this worker or none.
func (w *worker) leaveIfPaid() bool {
	w.announcer.mu.Lock()
	defer w.announcer.mu.Unlock()
	if w.ledger.len() > 0 {
		return false
	}
	delete(w.announcer.workers, w.target)
	return true
}

// leave ends the worker's term whatever is owed.
func (w *worker) leave() {
	w.announcer.mu.Lock()
	defer w.announcer.mu.Unlock()
	delete(w.announcer.workers, w.target)
}
