package dataplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
)

// attempts for one write that failed in a way that passes by itself.
const attempts = 3

// Apply writes the changes: the filter before rules and routes, these before
// the entries and the entries before the answering, and withdrawals the other
// way round, so that nothing is ever answered for that is not let through or
// has no way on, nor let through before its neighbours are guarded. If the
// filter cannot be opened, nothing is added, and what has to go still goes; an
// address whose host route cannot be made is not answered for. One that cannot
// be withdrawn keeps its route, the way back and its hole in the filter.
//
// The error is of the namespace as a whole: [ErrNamespaceGone], [ErrStale]
// (observe again), or the context's. Everything smaller is in
// [Result.Failures], and never stops the rest.
func (d *Dataplane) Apply(ctx context.Context, c Changes) (Result, error) {
	res := Result{
		Answerable: map[string][]netip.Addr{}, Withdrawn: map[string][]netip.Addr{}, Removed: map[string][]netip.Addr{},
		Drift: map[Kind]int{}, Failures: slices.Clone(c.Failures),
	}
	if c.Empty() {
		return res, ctx.Err()
	}
	s, err := d.open(ctx, c.Namespace)
	if err != nil {
		return res, err
	}
	defer d.close(s)
	if s.ID() != c.ID {
		return res, fmt.Errorf("namespace %s: %w", c.Namespace, ErrStale)
	}
	a := &applier{d: d, s: s, changes: c, res: &res, lost: map[string]bool{}, unrouted: map[netip.Addr]bool{}, dropped: map[string]dropped{}}
	a.stuck = map[netip.Addr]bool{}
	a.ways = learnedWays{routes: map[Route]int{}, rules: map[Rule]bool{}}
	if err := a.run(ctx); err != nil {
		return res, fmt.Errorf("namespace %s: %w", c.Namespace, err)
	}
	res.Drift = repaired(c.Drift, res.Failures[len(c.Failures):])
	return res, nil
}

// repaired is the drift without the kinds of which something failed: the next
// Apply finds it again, and counts it then.
func repaired(drift map[Kind]int, failures []Failure) map[Kind]int {
	out := maps.Clone(drift)
	for _, f := range failures {
		switch f.Op {
		case opFilter:
			delete(out, KindFilter)
		case opSet, opAdopt, opDelete:
			delete(out, KindEntry)
		case opAnswer, opDelay:
			delete(out, KindSysctl)
		case opRouteSet, opRouteDelete:
			delete(out, KindRoute)
		case opRuleAdd, opRuleDelete:
			delete(out, KindRule)
		case opDevice: // it is lost, with all that was to be written to it
			delete(out, KindEntry)
			delete(out, KindSysctl)
		}
	}
	return out
}

// applier is one Apply at work.
type applier struct {
	d       *Dataplane
	s       Session
	changes Changes
	res     *Result
	// lost devices are gone, or others than those observed.
	lost map[string]bool
	// closed: the filter could not be opened; nothing may be added.
	closed bool
	// hold keeps the final filter change back, because with it the record of a
	// proxy_delay that is not yet put back would go, or what is still answered
	// for would be let through no more.
	hold bool
	// stuck are the addresses that could not be withdrawn and are still answered
	// for: their routes, and the way back, stay with them.
	stuck map[netip.Addr]bool
	// index of each device, by name.
	index map[string]int
	// unrouted addresses have no way on: they are not answered for.
	unrouted map[netip.Addr]bool
	dropped  map[string]dropped
	ways     learnedWays
}

func (a *applier) run(ctx context.Context) error {
	if err := a.checkDevices(ctx); err != nil {
		return err
	}
	if err := a.open(ctx); err != nil {
		return err
	}
	for _, c := range a.changes.Devices {
		if !a.lost[c.Device] {
			a.withdraw(ctx, c)
		}
	}
	a.way(ctx)
	for _, c := range a.changes.Devices {
		if !a.lost[c.Device] {
			a.publish(ctx, c)
		}
	}
	a.unway(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.closeFilter(ctx)
}

// checkDevices compares the devices with those observed: a device that was
// made again has another index, and none of what was seen.
func (a *applier) checkDevices(ctx context.Context) error {
	if len(a.changes.Devices) == 0 && a.changes.Routes.empty() && a.changes.Rules.empty() {
		return nil
	}
	links, err := a.s.Links(ctx)
	if err != nil {
		return err
	}
	a.index = make(map[string]int, len(links))
	for _, l := range links {
		a.index[l.Name] = l.Index
	}
	for _, c := range a.changes.Devices {
		switch now, ok := a.index[c.Device]; {
		case !ok:
			a.lose(c.Device, ErrDeviceGone)
		case now != c.Index:
			a.lose(c.Device, fmt.Errorf("made again: %w", ErrStale))
		}
	}
	return nil
}

func (a *applier) lose(device string, err error) {
	if !a.lost[device] {
		a.lost[device] = true
		a.fail(device, netip.Addr{}, opDevice, err)
	}
}

func (a *applier) fail(device string, addr netip.Addr, op string, err error) {
	a.res.Failures = append(a.res.Failures, Failure{Device: device, Addr: addr, Op: op, Err: err})
}

// try runs one write to a device. It returns false for a failure, which it
// notes; a device that is gone is noted once.
func (a *applier) try(ctx context.Context, device string, addr netip.Addr, op string, write func() error) bool {
	err := a.attempt(ctx, write)
	switch Classify(err) {
	case ClassNone:
		return true
	case ClassGone:
		a.lose(device, err)
	default:
		a.fail(device, addr, op, err)
	}
	return false
}

// attempt runs one write, again if it failed in a way that passes by itself.
// Every write here may be repeated: setting sets, deleting what is gone
// succeeds.
func (a *applier) attempt(ctx context.Context, write func() error) error {
	var err error
	for range attempts {
		if err = ctx.Err(); err != nil {
			break
		}
		a.res.Writes++
		if err = write(); err == nil {
			break
		}
		// A request that timed out took long enough.
		if Classify(err) != ClassRetry || errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	return err
}
