package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// ErrNotHere: a router is not among those that the source told this host of, or a
// namespace has none of them, and nothing of ours.
var ErrNotHere = errors.New("no router of this host, as far as the source has told")

// Selection names namespaces; the zero value all that concern this host.
type Selection struct {
	// Router and Namespaces limit it to those of one router, or to these.
	Router     string
	Namespaces []string
}

// Select returns the selected namespaces, sorted. Of all these are the ones that
// routers are in, and those in which something may be left of routers. Errors:
// [ErrNotHere], or why the namespaces can't be listed, with those that are known.
func (a *Agent) Select(ctx context.Context, s Selection) ([]string, error) {
	names, err := slices.Clone(s.Namespaces), error(nil)
	switch {
	case s.Router != "":
		e, known := a.inventory.Router(s.Router)
		if !known {
			return nil, fmt.Errorf("router %s: %w", s.Router, ErrNotHere)
		}
		names = namespacesOf(e)
	case len(names) == 0:
		if names, err = a.o.Dataplane.Namespaces(ctx); err != nil {
			err = fmt.Errorf("list the named namespaces: %w", err)
		}
		names = slices.DeleteFunc(names, func(ns string) bool { return !a.o.Scope(ns) })
		names = append(names, a.inventory.Namespaces()...)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// namespacesOf are those in which a router is published here.
func namespacesOf(e inventory.Entry) []string {
	var names []string
	for _, at := range e.Router.External {
		names = append(names, at.Namespace)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Difference is what a thorough look at a namespace would write now.
type Difference struct {
	Namespace string
	Routers   []string
	// Lines are [dataplane.Lines]; none: it is as it should be.
	Lines []string
	// Notes are what is in the way, or why the namespace is left alone.
	Notes []string
	// Absent: the namespace does not exist (yet). Nobodys: no router is in it, and
	// nothing of ours.
	Absent, Nobodys bool
}

// Compare returns a [Difference]. The error says why nothing is known, or not all:
// then there is what is known.
func (a *Agent) Compare(ctx context.Context, ns string) (Difference, error) {
	d := Difference{Namespace: ns}
	if entries, unread := a.inventory.Namespace(ns); len(entries) == 0 && !unread {
		owned, err := a.o.Dataplane.Owned(ctx, ns)
		if !owned && (err == nil || dataplane.Classify(err) == dataplane.ClassGone) {
			d.Nobodys = true
			return d, nil
		}
	}
	p, err := a.Preview(ctx, ns)
	for _, e := range p.Entries {
		d.Routers = append(d.Routers, e.Router.ID)
	}
	if dataplane.Classify(err) == dataplane.ClassGone {
		d.Absent = true
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if p.Untouchable != "" {
		d.Notes = append(d.Notes, p.Untouchable)
		return d, nil
	}
	d.Lines = dataplane.Lines(p.Seen.Observation, p.Changes)
	for _, f := range p.Changes.Failures {
		d.Notes = append(d.Notes, f.Error())
	}
	return d, p.Unreadable
}
