package agent

import (
	"context"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

// Preview is what a look at a namespace finds, and what it would do about it.
type Preview struct {
	Namespace string
	// Entries are its routers. Without any, what is ours in it would be removed; and
	// nothing would be done if nobody may say that yet (Untouchable).
	Entries []inventory.Entry
	// Untouchable is why nothing may be done here at all, "" if something may.
	Untouchable string
	// Seen is the kernel's side, that of the routers' own namespaces included.
	Seen plan.Seen
	// Unreadable is why a part of it is missing.
	Unreadable error
	Plan       plan.Plan
	Changes    dataplane.Changes
}

// Why a namespace is left alone.
const (
	untouchedUnread  = "a router that may be in the namespace is not known yet, and what is there of it has no filter"
	untouchedNobodys = "no router of this host is known to be in it"
)

// Preview finds out what a thorough look at a namespace would do now. Nothing is
// written, neither there nor in what is remembered.
func (a *Agent) Preview(ctx context.Context, ns string) (Preview, error) {
	view := a.inventory.View(ns)
	if len(view.Entries) == 0 {
		view.Unread = view.Unread || !view.Synced
		if a.untouchable(ns, view) {
			return Preview{Namespace: ns, Untouchable: untouchedNobodys}, nil
		}
		alias, err := a.isAlias(ns)
		if err != nil {
			return Preview{Namespace: ns}, err
		}
		if alias {
			return Preview{Namespace: ns, Untouchable: "it is another name of a namespace with a router"}, nil
		}
	}
	return a.preview(ctx, ns, view, dataplane.Deep)
}

// untouchable: nothing is known of a namespace without routers for sure, or it is
// none of our business, so nothing may be removed.
func (a *Agent) untouchable(ns string, view inventory.View) bool {
	return view.Unread && len(a.knownBefore(ns)) == 0 || !a.o.Scope(ns) && !a.following.worksIn(ns)
}

// preview observes, plans and compares.
func (a *Agent) preview(ctx context.Context, ns string, view inventory.View, depth dataplane.Depth) (Preview, error) {
	p := Preview{Namespace: ns, Entries: view.Entries}
	have, err := a.o.Dataplane.Observe(ctx, ns, depth)
	if err != nil {
		return p, err
	}
	p.Seen, p.Unreadable = a.seen(ctx, ns, view.Entries, have)
	p.Plan = plan.Namespace(ns, view.Entries, p.Seen, a.o.Plan)
	if view.Unread {
		known := slices.Concat(plan.Claims(ns, view.Entries), a.knownBefore(ns))
		var ok bool
		if p.Plan.State, ok = plan.Hold(p.Plan.State, known, have); !ok {
			p.Untouchable = untouchedUnread
			return p, nil
		}
	}
	p.Changes = dataplane.Diff(p.Plan.State, have)
	return p, nil
}
