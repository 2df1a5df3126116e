package announcer

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
)

// Stats is a snapshot of the announcer's counters and of what is owed.
type Stats struct {
	// Sent counts advertisements that were handed to a device, each copy.
	Sent uint64
	// Failed counts attempts to send a burst that failed, by the reason.
	// Retries count again; the announcements stay owed.
	Failed map[ndsend.Reason]uint64
	// Rejected counts addresses that cannot be announced and never were owed.
	Rejected uint64
	// GivenUp counts announcements that were dropped because the namespace or
	// device stayed away for [Options].GoneAfter.
	GivenUp uint64
	// Owed is the number of announcements of which no copy has left, over all
	// devices; Repeating is that of those with further copies to come.
	Owed, Repeating int
	// Pending describes each device that owes something, sorted.
	Pending []Pending
}

// Pending is what one device owes that has not begun to leave, or why it can't
// go on.
type Pending struct {
	Target Target
	Owed   int
	// Err is why the last attempt failed; nil if there was none yet or it
	// succeeded. Since is when the failures in a row began.
	Err   error
	Since time.Time
}

// Stats returns the counters. Cheap enough for every scrape of metrics.
func (a *Announcer) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.counters
	s.Failed = maps.Clone(a.counters.Failed)
	for target, w := range a.workers {
		owed := w.ledger.unannounced()
		s.Repeating += w.ledger.len() - owed
		if owed > 0 || w.err != nil && w.ledger.len() > 0 {
			s.Owed += owed
			s.Pending = append(s.Pending, Pending{Target: target, Owed: owed, Err: w.err, Since: w.since})
		}
	}
	slices.SortFunc(s.Pending, func(a, b Pending) int {
		return cmp.Or(strings.Compare(a.Target.Namespace, b.Target.Namespace), strings.Compare(a.Target.Device, b.Target.Device))
	})
	return s
}

// Debt is what one address owes on a device.
type Debt struct {
	// Owed: a first copy has not left. Repeating: further ones are to come.
	Owed, Repeating bool
	// Err is why the device's last attempt failed; nil if it did not. Since is when
	// the failures in a row began.
	Err   error
	Since time.Time
}

// Debt returns what an address owes on a target.
func (a *Announcer) Debt(target Target, addr netip.Addr) Debt {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.workers[target]
	if w == nil || w.ledger.debts[addr] == nil {
		return Debt{}
	}
	begun := w.ledger.debts[addr].begun
	return Debt{Owed: !begun, Repeating: begun, Err: w.err, Since: w.since}
}
