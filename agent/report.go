package agent

import (
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/reconcile"
	"neutron-ndp-proxy-agent/dataplane"
)

// quietTries is how often a trouble of the passing kind may fail unsaid.
const quietTries = 3

// report logs what changed, and keeps the outcome for the counts. A trouble is
// said when it comes, changes or goes, not on each try.
func (a *Agent) report(item reconcile.Item, view inventory.View, st status, result dataplane.Result) {
	ns := item.Key
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
		log.Info("answering", append(because(view, addrs), zap.String("device", device), addresses(addrs), zap.Int("count", len(addrs)), zap.Duration("after", took))...)
	}
	for device, addrs := range result.Withdrawn {
		log.Info("withdrawn", append(because(view, addrs), zap.String("device", device), addresses(addrs), zap.Int("count", len(addrs)), zap.Duration("after", took))...)
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

// named bounds the routers and requests on one line.
const named = 4

// because says whose addresses these are, and which requests were the reason.
func because(view inventory.View, addrs []netip.Addr) []zap.Field {
	fields := make([]zap.Field, 0, 8) // the caller adds to it
	fields = few(fields, "router", routersOf(view, addrs))
	return few(fields, "request", view.Because.Requests())
}

// routersOf are the routers of addresses, as far as they are known: a withdrawn one
// is nobody's any more, but where there is one router it was that one's.
func routersOf(view inventory.View, addrs []netip.Addr) []string {
	if len(view.Entries) == 1 {
		return []string{view.Entries[0].Router.ID}
	}
	ours := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		ours[a] = true
	}
	var ids []string
	for _, e := range view.Entries {
		if slices.ContainsFunc(e.Proxies, func(p inventory.Proxy) bool { return ours[p.Addr] }) {
			ids = append(ids, e.Router.ID)
		}
	}
	return ids
}

func few(fields []zap.Field, key string, ids []string) []zap.Field {
	switch n := len(ids); {
	case n == 0:
		return fields
	case n == 1:
		return append(fields, zap.String(key, ids[0]))
	case n > named:
		fields = append(fields, zap.Int("more_"+key+"s", n-named))
	}
	return append(fields, zap.Strings(key+"s", ids[:min(len(ids), named)]))
}
