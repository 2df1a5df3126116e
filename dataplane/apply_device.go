package dataplane

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/neigh"
)

// withdraw is what has to go from a device: answering first.
func (a *applier) withdraw(ctx context.Context, c DeviceChange) {
	learned := learned{device: c.Device, index: c.Index, delayed: c.Delay != nil}
	defer func() { a.learn(learned) }()
	off := false
	if c.Answer == Off {
		off = a.try(ctx, c.Device, netip.Addr{}, opAnswer, func() error { return a.s.SetProxyNDP(ctx, c.Device, false) })
		if off {
			learned.proxyNDP = new(bool)
		} else {
			a.hold = a.hold || !a.lost[c.Device]
		}
	}
	// The device answers for what cannot be deleted.
	answers := c.Answers || c.Answer == Off && !off
	// The device answered before unless this very change lets it.
	answered := c.Answer == Off || c.Answer == Keep && c.Answers
	for _, addr := range c.Delete {
		if a.lost[c.Device] || ctx.Err() != nil {
			return
		}
		e := neigh.Entry{Index: c.Index, Addr: addr}
		if a.try(ctx, c.Device, addr, opDelete, func() error { return a.s.DeleteNeighbour(ctx, e) }) {
			learned.removed = append(learned.removed, addr)
		} else if answers && !a.lost[c.Device] {
			a.stuck[addr], a.hold = true, true
		}
	}
	if withdrawn := learned.removed; answered {
		if off {
			withdrawn = slices.Concat(withdrawn, c.Kept)
		}
		a.note(a.res.Withdrawn, c.Device, withdrawn)
	}
	for _, addr := range c.Remove {
		if a.lost[c.Device] || ctx.Err() != nil {
			return
		}
		e := neigh.Entry{Index: c.Index, Addr: addr}
		if a.try(ctx, c.Device, addr, opRemove, func() error { return a.s.DeleteNeighbour(ctx, e) }) {
			a.res.Removed[c.Device] = append(a.res.Removed[c.Device], addr)
		} else if answers && !a.lost[c.Device] {
			a.stuck[addr] = true // the filter never let it through
		}
	}
	if c.Delay != nil && !a.lost[c.Device] {
		// Without its record in the kernel the original value would be lost.
		if a.closed && !a.restores(c) {
			a.fail(c.Device, netip.Addr{}, opDelay, fmt.Errorf("%w: the filter could not be written", ErrHeldBack))
			return
		}
		ok := a.try(ctx, c.Device, netip.Addr{}, opDelay, func() error { return a.s.SetProxyDelay(ctx, c.Index, *c.Delay) })
		if ok {
			learned.delay = c.Delay
		} else {
			a.hold = a.hold || !a.lost[c.Device]
		}
	}
}

// restores reports whether the change puts back what proxy_delay was.
func (a *applier) restores(c DeviceChange) bool {
	final := a.changes.Filter.final()
	if final == nil {
		return false
	}
	d, stays := final.Device(c.Device)
	return !stays || d.OriginalDelay == filter.NoDelay
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
	learned := learned{device: c.Device, index: c.Index, delayed: c.Delay != nil}
	defer func() { a.learn(learned) }()
	set := func(addrs []netip.Addr, op string) (done []netip.Addr) {
		for _, addr := range addrs {
			if a.lost[c.Device] || ctx.Err() != nil {
				break
			}
			if a.unrouted[addr] {
				continue
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
		kept := slices.DeleteFunc(slices.Clone(c.Kept), func(addr netip.Addr) bool { return a.unrouted[addr] })
		a.note(a.res.Answerable, c.Device, slices.Concat(kept, adopted, made))
	case c.Answers:
		a.note(a.res.Answerable, c.Device, made)
	}
}

func (a *applier) note(into map[string][]netip.Addr, device string, addrs []netip.Addr) {
	if len(addrs) > 0 {
		into[device] = slices.SortedFunc(slices.Values(slices.Concat(into[device], addrs)), netip.Addr.Compare)
	}
}

// learned is what was written to a device.
type learned struct {
	device         string
	index          int
	added, removed []netip.Addr
	proxyNDP       *bool
	delay          *time.Duration
	// delayed: its proxy_delay was to be written.
	delayed bool
}

func (a *applier) learn(l learned) {
	a.d.memory.learn(a.changes.Namespace, a.changes.ID, func(b *Baseline) {
		d := b.Devices[l.device]
		if d.Index != l.index {
			d = BaselineDevice{
				Index: l.index, ProxyDelay: filter.NoDelay,
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
		if l.delayed && l.delay == nil {
			return
		}
		// What it was under another name is put back: it is nobody's any more.
		for name, old := range b.Devices {
			if name != l.device && old.Index == l.index {
				old.Index = 0
				b.Devices[name] = old
			}
		}
	})
}
