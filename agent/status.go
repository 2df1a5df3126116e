package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

// counts of one namespace.
type counts struct {
	// Routers in the namespace, and proxies of the enabled ones that are
	// served in it.
	Routers, Proxies int
	// Pending proxies are wanted but not answered for, with nothing wrong
	// that we could mend: the namespace or device is not there, another node
	// holds the gateway's address. Failed ones were refused, by the plan or
	// by the kernel.
	Pending, Failed int
	// Standing proxies are among Proxies although nobody knows whether they
	// belong here: they are published as they were. Elsewhere ones are not
	// pending but another host's, since the namespace is not here.
	Standing, Elsewhere int
}

// status is the outcome of the last look at one namespace.
type status struct {
	counts   counts
	rejected []plan.Rejection
	// excess counts the proxies that their device has no room for.
	excess int
	// trouble is what is in the way, in a stable form; failed says that it
	// is an error rather than something to wait for.
	trouble string
	failed  bool
	// passing: the trouble is of the kind that the next try finds gone; said:
	// it was logged.
	passing, said bool
	// idle: nothing is published in the namespace, and nothing of ours need be
	// there, so that it may be missing.
	idle bool
	// notice is what somebody else made and the operator should know of.
	notice string
	// outcome is of each address; before the look, that of the one before it.
	outcome *outcome
}

func (s *status) wait(why string) {
	s.counts.Pending = s.counts.Proxies
	s.trouble = why
	s.overall(outcome{whole: verdict{state: Pending, why: why}})
}

// overall keeps an outcome of a look that saw nothing of the namespace.
func (s *status) overall(o outcome) {
	s.outcome = o.since(time.Now(), s.outcome, dataplane.Observation{}, nil)
}

// gone notes that the namespace is not there.
func (s *status) gone() {
	switch {
	case s.idle: // another host's, if anybody's
		s.counts.Elsewhere = s.counts.Proxies
		s.overall(outcome{missing: true, whole: verdict{state: Elsewhere, why: "the namespace is not on this host"}})
	case s.counts.Routers > 0:
		s.wait("namespace does not exist yet")
		s.outcome.missing, s.outcome.devices, s.outcome.special = true, nil, nil
	}
}

func (s *status) fail(err error) {
	s.counts.Failed = s.counts.Proxies
	s.trouble, s.failed = err.Error(), true
	s.passing = dataplane.Classify(err) == dataplane.ClassRetry
	s.overall(outcome{whole: verdict{state: Failed, why: s.trouble}})
}

// judge counts what the plan and its application came to.
func (s *status) judge(p plan.Plan, have dataplane.Observation, result dataplane.Result, err error) {
	s.rejected = p.Rejected
	s.counts.Proxies += p.Standing
	s.counts.Standing = p.Standing
	s.counts.Failed = len(p.Rejected) + p.Excess
	s.excess = p.Excess
	var why []string
	for _, d := range p.State.Devices {
		if reason := p.Standby[d.Name]; reason != "" {
			s.counts.Pending += len(d.Published)
			why = append(why, reason)
		}
	}
	s.counts.Pending += len(p.Waiting)
	for _, w := range p.Waiting {
		why = append(why, w.Reason)
	}
	if p.Unplaced > 0 { // counted with the inventory: they are in no namespace yet
		why = append(why, fmt.Sprintf("the server's word where the ports of %d proxies are", p.Unplaced))
	}
	var errs []error
	var gone []dataplane.Failure
	for _, f := range result.Failures {
		switch {
		case f.Class() != dataplane.ClassGone:
			errs = append(errs, f)
		case f.Addr.IsValid() && p.Standby[f.Device] == "":
			gone = append(gone, f)
		}
	}
	if n := len(gone); n > 0 {
		// Something that one address needs vanished since it was planned, or
		// can't be used. An event will tell when that ends; until then it waits.
		s.counts.Pending += countAddrs(gone)
		text := gone[0].Error()
		if n > 1 {
			text += fmt.Sprintf(" (and %d more)", n-1)
		}
		why = append(why, text)
	}
	found := observed(p, have, result)
	for _, d := range found.devices {
		s.counts.Failed += d.failed()
	}
	s.outcome = found.since(time.Now(), s.outcome, have, result.Answerable)
	if err != nil {
		errs = append(errs, err)
		s.counts.Failed = s.counts.Proxies
		s.counts.Pending = 0
	}
	if len(errs) > 0 {
		s.failed = true
		s.trouble = firstFew(errs)
		if err != nil {
			s.overall(outcome{whole: verdict{state: Failed, why: s.trouble}})
		}
		s.passing = !slices.ContainsFunc(errs, func(err error) bool { return dataplane.Classify(err) != dataplane.ClassRetry })
		return
	}
	slices.Sort(why)
	s.trouble = strings.Join(slices.Compact(why), "; ")
}

func countAddrs(failures []dataplane.Failure) int {
	addrs := map[netip.Addr]bool{}
	for _, f := range failures {
		addrs[f.Addr] = true
	}
	return len(addrs)
}

// blame adds what kept a part of the namespace from being looked at. What stood
// there stands.
func (s *status) blame(err error) {
	if err == nil {
		return
	}
	passing := dataplane.Classify(err) == dataplane.ClassRetry
	s.passing = passing && (s.passing || !s.failed)
	s.failed = true
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if s.trouble != "" {
		text = s.trouble + "; " + text
	}
	s.trouble = text
}

// ending says how the look ended. That something vanished has its own event.
func (s *status) ending(result dataplane.Result, err error) ending {
	errs := []error{err}
	for _, f := range result.Failures {
		errs = append(errs, f)
	}
	end := settled
	for _, err := range errs {
		switch class := dataplane.Classify(err); {
		case class == dataplane.ClassNone, class == dataplane.ClassGone:
		case class == dataplane.ClassOperator && !errors.Is(err, dataplane.ErrTaken):
			return forbidden
		default: // that somebody else's route is in a place of ours keeps nobody from being ready
			end = troubled
		}
	}
	return end
}

// refused returns what is rejected now and was not before.
func (s *status) refused(before status) []plan.Rejection {
	known := make(map[plan.Rejection]bool, len(before.rejected))
	for _, r := range before.rejected {
		known[r] = true
	}
	var out []plan.Rejection
	for _, r := range s.rejected {
		if !known[r] {
			out = append(out, r)
		}
	}
	return out
}

// firstFew bounds one log line.
func firstFew(errs []error) string {
	const most = 3
	text := errors.Join(errs[:min(len(errs), most)]...).Error()
	text = strings.ReplaceAll(text, "\n", "; ")
	if len(errs) > most {
		text += fmt.Sprintf("; and %d more", len(errs)-most)
	}
	return text
}

// Totals are sums over all namespaces, for the state report and for people.
type Totals struct {
	// Routers on this host; Enabled ones have NDP proxying on.
	Routers, Enabled int
	// Proxies of all routers on this host; those of routers that are not
	// enabled are neither pending nor failed, nor are the ones that other
	// hosts serve, which are Elsewhere.
	Proxies, Pending, Failed, Elsewhere int
	// Disabled are the proxies of routers that are not enabled. Answered are those
	// that the kernel answered for after the last look at their namespace; what was
	// not looked at yet is not among them.
	Disabled, Answered int
}

// Wanted are the proxies that are this host's to answer for, now or as the backup.
func (t Totals) Wanted() int { return max(t.Proxies-t.Disabled-t.Elsewhere, 0) }

// Totals returns the sums as of the last look at each namespace.
func (a *Agent) Totals() Totals {
	c := a.inventory.Counts()
	t := Totals{Routers: c.Routers, Enabled: c.Enabled, Proxies: c.Proxies, Pending: c.Unserved, Elsewhere: c.Elsewhere, Disabled: c.Disabled}
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range maps.Values(a.statuses) {
		// The inventory counts the standing ones as unserved.
		t.Pending += s.counts.Pending - s.counts.Standing
		t.Failed += s.counts.Failed
		t.Elsewhere += s.counts.Elsewhere
		t.Answered += max(s.counts.Proxies-s.counts.Pending-s.counts.Failed-s.counts.Elsewhere, 0)
	}
	t.Pending = max(t.Pending, 0) // the inventory may be ahead of the last looks
	return t
}

// tellWaiting says once what a router waits for of which no attachment is known
// yet: there is no namespace whose status could say so.
func (a *Agent) tellWaiting() {
	now := a.inventory.Awaited()
	a.mu.Lock()
	before := a.waiting
	a.waiting = now
	a.mu.Unlock()
	for id, what := range now {
		if before[id] != what {
			a.o.Log.Info("router is waiting", zap.String("router", id), zap.String("for", what))
		}
	}
}
