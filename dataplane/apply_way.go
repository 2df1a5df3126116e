package dataplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/neigh"
)

// errStuck keeps a way.
var errStuck = fmt.Errorf("%w: what it serves could not be withdrawn", ErrHeldBack)

// way makes rules and routes. What cannot be made costs the addresses it leads
// to, and nobody else: a missing way back leaves the neighbours on the link.
func (a *applier) way(ctx context.Context) {
	routes, rules := a.changes.Routes.Set, a.changes.Rules.Add
	if len(routes)+len(rules) == 0 {
		return
	}
	defer a.learnDropped()
	if a.closed {
		a.fail("", netip.Addr{}, opRouteSet, fmt.Errorf("%w: the filter could not be written", ErrHeldBack))
		for _, s := range routes {
			a.unroute(ctx, s)
		}
		return
	}
	defer a.learnWays()
	for _, r := range rules {
		if ctx.Err() != nil {
			return
		}
		err := a.attempt(ctx, func() error { return a.s.AddRule(ctx, r.kernel(a.d.protocol)) })
		if err != nil {
			a.fail("", netip.Addr{}, opRuleAdd, fmt.Errorf("%s: %w", r, err))
			continue
		}
		a.ways.rules[r] = true
	}
	for _, s := range routes {
		if ctx.Err() != nil {
			return
		}
		if err := a.setRoute(ctx, s); err != nil {
			a.res.Failures = append(a.res.Failures, routeFailure(s.Route, opRouteSet, err))
			a.unroute(ctx, s)
			continue
		}
		a.ways.routes[s.Route] = s.Index
	}
}

func (a *applier) setRoute(ctx context.Context, s RouteSet) error {
	switch now, ok := a.index[s.Route.Device]; {
	case !ok:
		return ErrDeviceGone
	case now != s.Index:
		return fmt.Errorf("%s made again: %w", s.Route.Device, ErrStale)
	}
	want := s.Route.kernel(s.Index, a.d.protocol)
	// A replacement takes the place of one; with several, some would stay.
	if len(s.Replaces) > 1 || s.Present {
		for _, f := range s.Replaces {
			same := f.Kernel
			same.OnLink, same.Type, same.Other = want.OnLink, want.Type, false
			if same == want { // deleting it would delete ours, and it is replaced
				continue
			}
			if err := a.attempt(ctx, func() error { return a.s.DeleteRoute(ctx, f.Kernel) }); err != nil {
				return err
			}
		}
	}
	return a.attempt(ctx, func() error {
		err := a.s.SetRoute(ctx, want)
		switch {
		case errors.Is(err, unix.ENETDOWN):
			return fmt.Errorf("%w for routes: it is down: %w", ErrDeviceGone, err)
		case errors.Is(err, unix.EACCES): // without the capability it is EPERM
			return a.denied(ctx, s, err)
		}
		return err
	})
}

// denied tells why a route was refused with EACCES: by the kernel because IPv6
// was switched off on the device since it was observed (fib6_nh_init in
// net/ipv6/route.c), which passes with an event, or else by a security module.
func (a *applier) denied(ctx context.Context, s RouteSet, refused error) error {
	links, err := a.s.Links(ctx)
	if err != nil {
		return errors.Join(refused, err)
	}
	for _, l := range links {
		if l.Index == s.Index && l.DisableIPv6 {
			return fmt.Errorf("%w: %w", errNoIPv6(l), refused)
		}
	}
	return refused
}

// unroute sees to it that nothing is answered for that the route leads to.
func (a *applier) unroute(ctx context.Context, s RouteSet) {
	if !s.Route.Host() {
		return
	}
	addr := s.Route.Dst.Addr()
	a.unrouted[addr] = true
	for _, h := range s.Held {
		if a.lost[h.Device] {
			continue
		}
		e := neigh.Entry{Index: h.Index, Addr: addr}
		if a.try(ctx, h.Device, addr, opDelete, func() error { return a.s.DeleteNeighbour(ctx, e) }) {
			d := a.dropped[h.Device]
			d.index, d.all = h.Index, append(d.all, addr)
			if h.Answered {
				d.answered = append(d.answered, addr)
			}
			a.dropped[h.Device] = d
		}
	}
}

// dropped are the entries of a device that went for want of a route.
type dropped struct {
	index         int
	all, answered []netip.Addr
}

func (a *applier) learnDropped() {
	for device, d := range a.dropped {
		a.learn(learned{device: device, index: d.index, removed: d.all})
		a.note(a.res.Withdrawn, device, d.answered)
	}
}

// unway deletes routes and rules, the way in before the way back.
func (a *applier) unway(ctx context.Context) {
	routes, rules := a.changes.Routes, a.changes.Rules
	if len(routes.Delete)+len(routes.Remove)+len(rules.Delete) == 0 {
		return
	}
	defer a.learnWays()
	remove := func(f FoundRoute, op string) bool {
		err := errStuck
		if !a.leadsStuck(f.Route) {
			err = a.attempt(ctx, func() error { return a.s.DeleteRoute(ctx, f.Kernel) })
		}
		if err != nil {
			a.res.Failures = append(a.res.Failures, routeFailure(f.Route, op, err))
		}
		return err == nil
	}
	for _, f := range routes.Delete {
		if ctx.Err() != nil {
			return
		}
		if remove(f, opRouteDelete) {
			a.ways.gone = append(a.ways.gone, f.Route)
		}
	}
	for _, f := range routes.Remove {
		if ctx.Err() != nil {
			return
		}
		if remove(f, opRouteRemove) {
			a.res.RemovedRoutes = append(a.res.RemovedRoutes, f.Route)
		}
	}
	for _, f := range rules.Delete {
		if ctx.Err() != nil {
			return
		}
		err := errStuck
		if len(a.stuck) == 0 {
			err = a.attempt(ctx, func() error { return a.s.DeleteRule(ctx, f.Kernel) })
		}
		if err != nil {
			a.fail("", netip.Addr{}, opRuleDelete, fmt.Errorf("%s: %w", f.Rule, err))
			continue
		}
		a.ways.goneRules = append(a.ways.goneRules, f.Rule)
	}
}

// leadsStuck reports whether the route is the way to, or back from, an address
// that could not be withdrawn.
func (a *applier) leadsStuck(r Route) bool {
	if r.Host() {
		return a.stuck[r.Dst.Addr()]
	}
	return len(a.stuck) > 0
}

// learnedWays is what was written of routes and rules.
type learnedWays struct {
	routes    map[Route]int
	rules     map[Rule]bool
	gone      []Route
	goneRules []Rule
}

func (a *applier) learnWays() {
	a.d.memory.learn(a.changes.Namespace, a.changes.ID, func(b *Baseline) {
		b.Routes, b.Rules = maps.Clone(b.Routes), maps.Clone(b.Rules)
		for _, r := range a.ways.gone {
			delete(b.Routes, r)
		}
		// A route that is set takes the place of what was set there before.
		set := make(map[place]bool, len(a.ways.routes))
		for r := range a.ways.routes {
			set[r.place()] = true
		}
		maps.DeleteFunc(b.Routes, func(r Route, _ int) bool { return set[r.place()] })
		maps.Copy(b.Routes, a.ways.routes)
		// What was on a device that is gone nobody asks for again.
		maps.DeleteFunc(b.Routes, func(r Route, index int) bool { return a.index[r.Device] != index })
		for _, r := range a.ways.goneRules {
			delete(b.Rules, r)
		}
		for _, r := range a.changes.Rules.Kept {
			b.Rules[r] = true
		}
		maps.Copy(b.Rules, a.ways.rules)
	})
}
