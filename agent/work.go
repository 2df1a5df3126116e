package agent

import (
	"context"
	"errors"
	"net/netip"
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
		end := a.look(ctx, item)
		kept()
		if ctx.Err() != nil {
			return nil
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
func (a *Agent) look(ctx context.Context, item reconcile.Item) ending {
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
	if len(view.Entries) > 0 {
		a.following.set(ns, plan.PeerNamespaces(ns, view.Entries))
		return a.equalize(ctx, item, view)
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
		end = a.equalize(ctx, item, view)
	}
	if end == settled && (alias || len(a.knownBefore(ns)) == 0) {
		a.release(ns)
	}
	return end
}

// equalize observes, plans, compares, writes the difference and announces.
func (a *Agent) equalize(ctx context.Context, item reconcile.Item, view inventory.View) ending {
	ns, entries := item.Key, view.Entries
	st := status{counts: tally(ns, entries), idle: idle(ns, entries)}
	depth := dataplane.Quick
	if item.Deep {
		depth = dataplane.Deep
	}
	found, err := a.preview(ctx, ns, view, depth)
	if err != nil {
		return a.unobserved(ctx, item, st, err)
	}
	p, have, changes, known := found.Plan, found.Seen.Observation, found.Changes, plan.Claims(ns, entries)
	if found.Untouchable != "" {
		a.know(ns, slices.Concat(known, a.knownBefore(ns)))
		st.wait(found.Untouchable)
		a.report(ns, item, st, dataplane.Result{})
		return settled
	}
	result := dataplane.Result{Failures: changes.Failures}
	a.silence(ns, p.State)
	if !changes.Empty() {
		if changes.Publish() {
			// Before, not after: we may be killed between the two.
			a.debts.Mark(ns)
		}
		result, err = a.o.Dataplane.Apply(ctx, changes)
		if ctx.Err() != nil {
			return settled
		}
		if dataplane.Classify(err) == dataplane.ClassGone {
			return a.unobserved(ctx, item, st, err)
		}
	}
	if !errors.Is(err, dataplane.ErrStale) { // of which nothing is known but that it is another
		a.announce(ns, p.State, have, result)
	}
	st.notice = notice(p.State, have)
	st.judge(p, have, result, err)
	st.blame(found.Unreadable)
	a.report(ns, item, st, result)
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
func (a *Agent) unobserved(ctx context.Context, item reconcile.Item, st status, err error) ending {
	if ctx.Err() != nil {
		return settled
	}
	if dataplane.Classify(err) == dataplane.ClassGone {
		a.forgetAll(item.Key)
		a.know(item.Key, nil)
		if st.idle { // another host's, if anybody's
			st.counts.Elsewhere = st.counts.Proxies
		} else if st.counts.Routers > 0 {
			st.wait("namespace does not exist yet")
		}
		a.report(item.Key, item, st, dataplane.Result{})
		return settled
	}
	st.fail(err)
	a.report(item.Key, item, st, dataplane.Result{})
	return st.ending(dataplane.Result{}, err)
}

// release ends the work in a namespace in which nothing of ours is left, or
// which is worked in under another name.
func (a *Agent) release(ns string) {
	a.following.end(ns)
	a.damper.forget(ns)
	a.drift.forget(ns)
	a.forgetAll(ns)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.statuses, ns)
	delete(a.known, ns)
}

// quietTries is how often a trouble of the passing kind may fail unsaid.
const quietTries = 3

// report logs what changed, and keeps the outcome for the counts. A trouble is
// said when it comes, changes or goes, not on each try.
func (a *Agent) report(ns string, item reconcile.Item, st status, result dataplane.Result) {
	// While the L3 agent builds or removes a namespace, things vanish between
	// two system calls. What passes with the next try is not worth a word.
	a.mu.Lock()
	before := a.statuses[ns]
	st.said = st.trouble != "" && (!st.passing || item.Failures >= quietTries || before.said)
	if st.counts.Routers == 0 && st.trouble == "" {
		delete(a.statuses, ns)
	} else {
		a.statuses[ns] = st
	}
	a.mu.Unlock()

	log := a.o.Log.With(zap.String("namespace", ns))
	took := time.Since(item.Since)
	for device, addrs := range result.Answerable {
		log.Info("answering", zap.String("device", device), addresses(addrs), zap.Int("count", len(addrs)), zap.Duration("after", took))
	}
	for device, addrs := range result.Withdrawn {
		log.Info("withdrawn", zap.String("device", device), addresses(addrs), zap.Int("count", len(addrs)), zap.Duration("after", took))
	}
	for device, addrs := range result.Removed {
		log.Info("removed the entries of somebody else that nobody publishes", zap.String("device", device), addresses(addrs), zap.Int("count", len(addrs)))
	}
	if n := len(result.RemovedRoutes); n > 0 {
		log.Info("removed the routes of somebody else to addresses that nobody publishes", zap.Stringers("routes", result.RemovedRoutes[:min(n, logged)]), zap.Int("count", n))
	}
	a.drift.repaired(ns, log, result.Drift)
	if st.notice != "" && st.notice != before.notice {
		log.Warn("found beside ours, and left alone", zap.String("what", st.notice))
	}
	refused := st.refused(before)
	for _, r := range refused[:min(len(refused), logged)] {
		log.Warn("not published", zap.Stringer("address", r.Proxy.Addr), zap.String("router", r.Proxy.RouterID),
			zap.String("proxy", r.Proxy.ID), zap.String("reason", r.Reason))
	}
	if n := len(refused) - logged; n > 0 {
		log.Warn("not published, and not named", zap.Int("count", n), zap.String("reason_of_the_first", refused[logged].Reason))
	}
	switch {
	case st.excess > 0 && before.excess == 0:
		log.Warn("more addresses than a device may publish: what is published stays, the rest is not published",
			zap.Int("max_addresses", a.o.Plan.Most), zap.Int("not_published", st.excess))
	case st.excess == 0 && before.excess > 0:
		log.Info("there is room for every address again")
	}
	switch {
	case st.trouble != "" && !st.said:
		log.Debug("not yet", zap.String("error", st.trouble))
	case st.trouble != "" && before.said && st.trouble == before.trouble:
	case st.trouble != "" && st.failed:
		log.Warn("can't be made what it should be, trying again", zap.String("error", st.trouble))
	case st.trouble != "":
		log.Info("waiting", zap.String("for", st.trouble))
	case before.said:
		log.Info("as it should be")
	}
}

// logged bounds the addresses on one line.
const logged = 16

func addresses(addrs []netip.Addr) zap.Field {
	texts := make([]string, 0, min(len(addrs), logged))
	for _, addr := range addrs[:min(len(addrs), logged)] {
		texts = append(texts, addr.String())
	}
	return zap.Strings("addresses", texts)
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
