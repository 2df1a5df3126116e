package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/neigh"
)

// attempts for one write that failed in a way that passes by itself.
const attempts = 3

// Apply writes the changes: the filter before the entries and the entries
// before the answering, and withdrawals the other way round, so that nothing
// is ever answered for that is not let through, nor let through before its
// neighbours are guarded. If the filter cannot be opened, nothing is added,
// and what has to go still goes.
//
// The error is of the namespace as a whole: [ErrNamespaceGone], [ErrStale]
// (observe again), or the context's. Everything smaller is in
// [Result.Failures], and never stops the rest.
func (d *Dataplane) Apply(ctx context.Context, c Changes) (Result, error) {
	res := Result{
		Answerable: map[string][]netip.Addr{}, Withdrawn: map[string][]netip.Addr{},
		Drift: c.Drift, Failures: slices.Clone(c.Failures),
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
	a := &applier{d: d, s: s, changes: c, res: &res, lost: map[string]bool{}}
	if err := a.run(ctx); err != nil {
		return res, fmt.Errorf("namespace %s: %w", c.Namespace, err)
	}
	return res, nil
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
	// proxy_delay that is not yet put back would go.
	hold bool
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
	for _, c := range a.changes.Devices {
		if !a.lost[c.Device] {
			a.publish(ctx, c)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.closeFilter(ctx)
}

// checkDevices compares the devices with those observed: a device that was
// made again has another index, and none of what was seen.
func (a *applier) checkDevices(ctx context.Context) error {
	if len(a.changes.Devices) == 0 {
		return nil
	}
	links, err := a.s.Links(ctx)
	if err != nil {
		return err
	}
	index := make(map[string]int, len(links))
	for _, l := range links {
		index[l.Name] = l.Index
	}
	for _, c := range a.changes.Devices {
		switch now, ok := index[c.Device]; {
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

// open is the first half of the filter's change.
func (a *applier) open(ctx context.Context) error {
	f := a.changes.Filter
	if f.Open == nil {
		return nil
	}
	if err := a.write(ctx, f.Base, *f.Open); err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.closed = true
		a.fail("", netip.Addr{}, opFilter, err)
	}
	return nil
}

// closeFilter is the second half.
func (a *applier) closeFilter(ctx context.Context) error {
	f := a.changes.Filter
	if f.Close == nil {
		return nil
	}
	if a.closed || a.hold {
		a.fail("", netip.Addr{}, opFilter, ErrHeldBack)
		return nil
	}
	base := f.Base
	if f.Open != nil {
		base = f.Open
	}
	if err := a.write(ctx, base, *f.Close); err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.fail("", netip.Addr{}, opFilter, err)
	}
	return nil
}

// write makes the table the target's. An error of the transaction does not say
// that it was not applied, so the kernel is asked; if it was not, the table is
// written whole once, which needs no knowledge of what is there.
func (a *applier) write(ctx context.Context, base *filter.Content, target filter.Content) error {
	err := a.transact(ctx, base, target)
	if err != nil && ctx.Err() == nil && Classify(err) == ClassRetry {
		a.d.log.Debug("writing the filter again, whole", zap.String("namespace", a.changes.Namespace), zap.Error(err))
		err = a.transact(ctx, nil, target)
	}
	if err == nil {
		a.d.memory.learn(a.changes.Namespace, a.changes.ID, func(b *Baseline) {
			delays := make(map[string]time.Duration, len(target.Devices))
			for _, d := range target.Devices {
				delays[d.Name] = d.OriginalDelay
			}
			*b = b.managing(delays)
			b.Filter = &target
		})
	}
	return err
}

func (a *applier) transact(ctx context.Context, base *filter.Content, target filter.Content) error {
	a.res.Writes++
	err := a.s.WriteFilter(ctx, a.d.table, base, target)
	if err != nil && ctx.Err() != nil {
		return err
	}
	found, readErr := a.s.ReadFilter(ctx, a.d.table, false)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if found.Holds(target) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", filter.ErrIncomplete, found.Problem)
}

// try runs one write, again if it failed in a way that passes by itself. Every
// write here may be repeated: setting sets, deleting what is gone succeeds.
// It returns false for a failure, which it notes; a device that is gone is
// noted once.
func (a *applier) try(ctx context.Context, device string, addr netip.Addr, op string, write func() error) bool {
	var err error
	for range attempts {
		if err = ctx.Err(); err != nil {
			break
		}
		a.res.Writes++
		if err = write(); err == nil {
			return true
		}
		// A request that timed out took long enough.
		if Classify(err) != ClassRetry || errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	switch Classify(err) {
	case ClassGone:
		a.lose(device, err)
	default:
		a.fail(device, addr, op, err)
	}
	return false
}

// withdraw is what has to go from a device: answering first.
func (a *applier) withdraw(ctx context.Context, c DeviceChange) {
	learned := learned{device: c.Device}
	defer func() { a.learn(learned) }()
	off := false
	if c.Answer == Off {
		off = a.try(ctx, c.Device, netip.Addr{}, opAnswer, func() error { return a.s.SetProxyNDP(ctx, c.Device, false) })
		if off {
			learned.proxyNDP = new(bool)
		} else {
			a.hold = !a.lost[c.Device]
		}
	}
	// The device answered before unless this very change lets it.
	answered := c.Answer == Off || c.Answer == Keep && c.Answers
	for _, addr := range c.Delete {
		if a.lost[c.Device] || ctx.Err() != nil {
			return
		}
		e := neigh.Entry{Index: c.Index, Addr: addr}
		if a.try(ctx, c.Device, addr, opDelete, func() error { return a.s.DeleteNeighbour(ctx, e) }) {
			learned.removed = append(learned.removed, addr)
		}
	}
	if withdrawn := learned.removed; answered {
		if off {
			withdrawn = slices.Concat(withdrawn, c.Kept)
			slices.SortFunc(withdrawn, netip.Addr.Compare)
		}
		a.note(a.res.Withdrawn, c.Device, withdrawn)
	}
	if c.Delay != nil && !a.lost[c.Device] {
		ok := a.try(ctx, c.Device, netip.Addr{}, opDelay, func() error { return a.s.SetProxyDelay(ctx, c.Index, *c.Delay) })
		if ok {
			learned.delay = c.Delay
		} else {
			a.hold = a.hold || !a.lost[c.Device]
		}
	}
}

// publish is what is added to a device: answering last.
func (a *applier) publish(ctx context.Context, c DeviceChange) {
	if len(c.Set)+len(c.Adopt) == 0 && c.Answer != On {
		return
	}
	if a.closed {
		a.fail(c.Device, netip.Addr{}, opSet, fmt.Errorf("%w: the filter could not be written", ErrHeldBack))
		return
	}
	learned := learned{device: c.Device}
	defer func() { a.learn(learned) }()
	set := func(addrs []netip.Addr, op string) (done []netip.Addr) {
		for _, addr := range addrs {
			if a.lost[c.Device] || ctx.Err() != nil {
				break
			}
			e := neigh.Entry{Index: c.Index, Addr: addr, Protocol: a.d.protocol, Flags: neigh.FlagProxy}
			if a.try(ctx, c.Device, addr, op, func() error { return a.s.SetNeighbour(ctx, e) }) {
				done = append(done, addr)
			}
		}
		return done
	}
	adopted, made := set(c.Adopt, opAdopt), set(c.Set, opSet)
	learned.added = slices.Concat(adopted, made)
	if a.lost[c.Device] || ctx.Err() != nil {
		return
	}
	switch {
	case c.Answer == On:
		if !a.try(ctx, c.Device, netip.Addr{}, opAnswer, func() error { return a.s.SetProxyNDP(ctx, c.Device, true) }) {
			return
		}
		on := true
		learned.proxyNDP = &on
		all := slices.Concat(c.Kept, adopted, made)
		slices.SortFunc(all, netip.Addr.Compare)
		a.note(a.res.Answerable, c.Device, all)
	case c.Answers:
		a.note(a.res.Answerable, c.Device, made)
	}
}

func (a *applier) note(into map[string][]netip.Addr, device string, addrs []netip.Addr) {
	if len(addrs) > 0 {
		into[device] = addrs
	}
}

// learned is what was written to a device.
type learned struct {
	device         string
	added, removed []netip.Addr
	proxyNDP       *bool
	delay          *time.Duration
}

func (a *applier) learn(l learned) {
	index := 0
	for _, c := range a.changes.Devices {
		if c.Device == l.device {
			index = c.Index
		}
	}
	a.d.memory.learn(a.changes.Namespace, a.changes.ID, func(b *Baseline) {
		d := b.Devices[l.device]
		if d.Index != index {
			d = BaselineDevice{
				Index: index, ProxyDelay: filter.NoDelay,
				Managed: d.Managed, OriginalDelay: d.OriginalDelay,
			}
		}
		d.Marked = replaced(d.Marked, l.removed, l.added)
		if l.proxyNDP != nil {
			d.ProxyNDP = *l.proxyNDP
		}
		if l.delay != nil {
			d.ProxyDelay = *l.delay
		}
		b.Devices[l.device] = d
	})
}
