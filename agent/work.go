package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/agent/reconcile"
	"neutron-ndp-proxy-agent/dataplane"
)

// work takes one namespace after the other.
func (a *Agent) work(ctx context.Context) error {
	for {
		item, ok := a.queue.Get(ctx)
		if !ok {
			return nil
		}
		kept := a.o.Pulse.Work("look at " + item.Key)
		seen := &Look{Deep: item.Deep, Waited: time.Since(item.Since), record: newRecord(a.ordered(item.Key))}
		start := time.Now()
		end := a.look(ctx, item, seen)
		kept()
		if ctx.Err() != nil {
			return nil
		}
		a.answer(item.Key, item.Deep, end, seen.record)
		if a.o.Looked != nil {
			seen.ended(time.Since(start), end)
			a.o.Looked(*seen)
		}
		if end == settled {
			a.queue.Done(item)
		} else {
			a.queue.Retry(item)
		}
		if end == settled || end == troubled && item.Failures >= quietTries {
			a.looked(item.Key, item.Deep)
		}
	}
}

// ending is how a look ended.
type ending int

const (
	// settled: as it should be, or waiting for something that has its own event.
	settled ending = iota
	// troubled: to be tried again although no event may come.
	troubled
	// forbidden: the machine does not let us (a capability, a limit). It is
	// tried again, and nothing is called ready meanwhile.
	forbidden
)

// look makes one namespace what it should be.
func (a *Agent) look(ctx context.Context, item reconcile.Item, seen *Look) ending {
	ns := item.Key
	a.debts.Begin(ns)
	defer func() {
		// Asked to stop in the middle: what was written may not be owed yet.
		if ctx.Err() == nil {
			a.debts.End(ns)
		}
	}()
	// One view for the whole look: what is known of the namespace now must not
	// be mixed with what will be when the kernel was read.
	view := a.inventory.View(ns)
	end := a.lookAt(ctx, item, view, seen)
	if end == settled && ctx.Err() == nil {
		a.inventory.Answered(ns, view)
	}
	return end
}

func (a *Agent) lookAt(ctx context.Context, item reconcile.Item, view inventory.View, seen *Look) ending {
	ns := item.Key
	if len(view.Entries) > 0 {
		a.following.set(ns, plan.PeerNamespaces(ns, view.Entries))
		return a.equalize(ctx, item, view, seen)
	}
	view.Unread = view.Unread || !view.Synced
	if a.untouchable(ns, view) {
		return settled
	}
	alias, err := a.isAlias(ns)
	if err != nil {
		a.o.Log.Debug("not removed before it is known what else the namespace is called", zap.String("namespace", ns), zap.Error(err))
		return troubled
	}
	end := settled
	if !alias {
		end = a.equalize(ctx, item, view, seen)
	}
	if end == settled && (alias || len(a.knownBefore(ns)) == 0) {
		a.release(ns)
	}
	return end
}

// equalize observes, plans, compares, writes the difference and announces.
func (a *Agent) equalize(ctx context.Context, item reconcile.Item, view inventory.View, look *Look) ending {
	ns, entries := item.Key, view.Entries
	st := status{counts: tally(ns, entries), idle: idle(ns, entries), outcome: a.lastOutcome(ns)}
	depth := dataplane.Quick
	if item.Deep {
		depth = dataplane.Deep
	}
	found, err := a.preview(ctx, ns, view, depth)
	if err != nil {
		return a.unobserved(ctx, item, view, st, err)
	}
	p, have, changes, known := found.Plan, found.Seen.Observation, found.Changes, plan.Claims(ns, entries)
	if found.Untouchable != "" {
		a.know(ns, slices.Concat(known, a.knownBefore(ns)))
		st.wait(found.Untouchable)
		a.report(item, view, st, dataplane.Result{})
		return settled
	}
	result := dataplane.Result{Failures: changes.Failures}
	a.silence(ns, p.State)
	if !changes.Empty() {
		if changes.Publish() {
			// Before, not after: we may be killed between the two.
			a.debts.Mark(ns)
		}
		start := time.Now()
		result, err = a.o.Dataplane.Apply(ctx, changes)
		look.wrote(start, changes, result, err, view.Because)
		if ctx.Err() != nil {
			return settled
		}
		if dataplane.Classify(err) == dataplane.ClassGone {
			return a.unobserved(ctx, item, view, st, err)
		}
	}
	if !errors.Is(err, dataplane.ErrStale) { // of which nothing is known but that it is another
		a.announce(ns, p.State, have, result)
		a.announceOrdered(look.record, ns, p, have, result)
	}
	look.record.wrote(have, changes, result, err)
	st.notice = notice(p.State, have)
	st.judge(p, have, result, err)
	st.blame(found.Unreadable)
	a.report(item, view, st, result)
	if item.Deep {
		a.readDiscovery(ctx, ns, p.State, have)
	}
	end := st.ending(result, err)
	if end == settled {
		a.know(ns, known)
	} else {
		a.know(ns, slices.Concat(known, a.knownBefore(ns)))
	}
	if end == settled && found.Unreadable != nil {
		return troubled
	}
	return end
}

// unobserved handles a namespace that could not be looked at. One that is not
// there is nothing to worry about: the L3 agent makes it in its own time, and
// the watcher tells.
func (a *Agent) unobserved(ctx context.Context, item reconcile.Item, view inventory.View, st status, err error) ending {
	if ctx.Err() != nil {
		return settled
	}
	if dataplane.Classify(err) == dataplane.ClassGone {
		a.forgetAll(item.Key)
		a.know(item.Key, nil)
		st.gone()
		a.report(item, view, st, dataplane.Result{})
		return settled
	}
	st.fail(err)
	a.report(item, view, st, dataplane.Result{})
	return st.ending(dataplane.Result{}, err)
}

// release ends the work in a namespace in which nothing of ours is left, or
// which is worked in under another name.
func (a *Agent) release(ns string) {
	a.following.end(ns)
	a.damper.forget(ns)
	a.drift.forget(ns)
	a.discovery.forget(ns)
	a.forgetAll(ns)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.statuses, ns)
	delete(a.known, ns)
}

// tally counts the routers of a namespace, and the proxies that are served in it.
func tally(ns string, entries []inventory.Entry) counts {
	c := counts{Routers: len(entries)}
	for _, e := range entries {
		if e.Router.Enabled {
			c.Proxies += len(plan.Served(ns, e))
		}
	}
	return c
}

// idle reports whether a namespace may be missing for good. A shared one is of
// use only once something is published in it, and the L3 agent may make it in
// its own time, or never; one that is elective ([inventory.Attachment]) may be
// on other hosts only.
func idle(ns string, entries []inventory.Entry) bool {
	for _, e := range entries {
		for _, at := range e.Router.External {
			if at.Namespace != ns || at.Elective {
				continue
			}
			if at.Inner == nil || e.Router.Enabled && len(plan.Served(ns, e)) > 0 {
				return false
			}
		}
	}
	return true
}
