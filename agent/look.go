package agent

import (
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Outcome is how a look at a namespace ended.
type Outcome string

// The outcomes of a look.
const (
	// Settled: it is as it should be, or waits for something that has an event.
	Settled Outcome = "settled"
	// Troubled: something failed, and is tried again.
	Troubled Outcome = "troubled"
	// Forbidden: the machine does not let us (a capability, a limit); tried again.
	Forbidden Outcome = "forbidden"
)

// Outcomes lists them all, for metrics that should show zeros.
func Outcomes() []Outcome { return []Outcome{Settled, Troubled, Forbidden} }

func (e ending) outcome() Outcome {
	switch e {
	case troubled:
		return Troubled
	case forbidden:
		return Forbidden
	default:
		return Settled
	}
}

// Queue is how many namespaces wait for a look, are looked at, and come again after
// a failure.
func (a *Agent) Queue() (waiting, running, retrying int) { return a.queue.Lengths() }

// Look is one look at a namespace, for counts.
type Look struct {
	// Deep: at everything, as audits ask for.
	Deep bool
	End  Outcome
	// Waited in the queue, from the oldest reason for the look on; Took from then on.
	Waited, Took time.Duration
	// Applied: something was to be written. Writes were tried, for Applying, and
	// Failures of them remained.
	Applied          bool
	Writes, Failures int
	Applying         time.Duration
	// Message is the time from when the oldest message that the look made true left
	// the broker's socket until all of it was in the kernel; 0: no message was the
	// reason, nothing was written, or not all could be.
	Message time.Duration

	record *record // for those who ordered it
}

// wrote adds what an Apply of changes did. What was known to fail without writing is none
// of the failures of writes, and what is gone waits: the look may be settled for all that.
func (l *Look) wrote(start time.Time, c dataplane.Changes, result dataplane.Result, err error, because inventory.Causes) {
	now := time.Now()
	l.Applied, l.Applying, l.Writes, l.Failures = true, now.Sub(start), result.Writes, max(len(result.Failures)-len(c.Failures), 0)
	if err != nil {
		l.Failures++
	}
	if received := because.Received(); l.Failures == 0 && !received.IsZero() {
		l.Message = now.Sub(received)
	}
}

// ended notes how the look ended. What is not settled has not made the messages true: they
// count with the look that does.
func (l *Look) ended(took time.Duration, end ending) {
	l.Took, l.End = took, end.outcome()
	if end != settled {
		l.Message = 0
	}
}
