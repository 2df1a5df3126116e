package dataplane

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// unroutable takes the addresses from the devices whose host route cannot be
// made: nothing is answered for that has no way on. No route is made whose
// device does not exist or has no IPv6, or whose place somebody has who is not
// replaced. Nobody is led into the table of the latter, either: neighbours on
// the link are served, and the way back is the operator's to clear.
func (d *differ) unroutable() {
	var gone []netip.Addr
	strangers := d.have.BlockedRoutes(d.want)
	for _, r := range d.want.Routes {
		i, exists := d.have.Interface(r.Device)
		var err error
		switch n := slices.IndexFunc(strangers, func(f FoundRoute) bool { return f.place() == r.place() }); {
		case n >= 0:
			err = fmt.Errorf("%w by %s", ErrTaken, strangers[n].text())
			d.taken[r.place()] = true
			d.want.Rules = slices.DeleteFunc(slices.Clone(d.want.Rules), func(rule Rule) bool { return rule.Table == r.Table })
		case !exists:
			err = fmt.Errorf("%s: %w", r.Device, ErrDeviceGone)
		case !i.IPv6:
			err = fmt.Errorf("%s: %w", r.Device, errNoIPv6(i))
		default:
			continue
		}
		d.changes.Failures = append(d.changes.Failures, routeFailure(r, opRouteSet, err))
		if r.Host() {
			gone = append(gone, r.Dst.Addr())
		}
	}
	d.want = d.want.without(gone)
}

// without publishes none of these addresses.
func (s State) without(addrs []netip.Addr) State {
	if len(addrs) == 0 {
		return s
	}
	gone := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		gone[a] = true
	}
	s.Devices = slices.Clone(s.Devices)
	for i := range s.Devices {
		published := slices.Clone(s.Devices[i].Published)
		s.Devices[i].Published = slices.DeleteFunc(published, func(a netip.Addr) bool { return gone[a] })
	}
	return s
}

// routeFailure is of the one address, if the route leads to one.
func routeFailure(r Route, op string, err error) Failure {
	f := Failure{Op: op, Err: fmt.Errorf("%s: %w", r, err)}
	if r.Host() {
		f.Addr = r.Dst.Addr()
	}
	return f
}

func (d *differ) routes() {
	at := map[place][]FoundRoute{}
	for _, f := range d.have.Routes {
		at[f.place()] = append(at[f.place()], f)
	}
	var held map[netip.Addr][]HeldEntry
	c := &d.changes.Routes
	for _, r := range d.want.Routes {
		i, exists := d.have.Interface(r.Device)
		if !exists || !i.IPv6 || d.taken[r.place()] {
			continue
		}
		found := at[r.place()]
		delete(at, r.place())
		set := RouteSet{Route: r, Index: i.Index}
		right := false
		for _, f := range found {
			if f.Ours && f.Kernel == r.kernel(i.Index, f.Kernel.Protocol) {
				right = true
			} else {
				set.Replaces = append(set.Replaces, f)
			}
		}
		if right && len(set.Replaces) == 0 {
			continue
		}
		set.Present = right
		if r.Host() {
			if held == nil {
				held = d.held()
			}
			set.Held = held[r.Dst.Addr()]
		}
		c.Set = append(c.Set, set)
		if d.have.Baseline.Routes[r] == i.Index {
			d.changes.Drift[KindRoute]++
		}
	}
	// The way back before the way in.
	slices.SortStableFunc(c.Set, func(a, b RouteSet) int {
		return cmp.Compare(a.Route.Dst.Bits(), b.Route.Dst.Bits())
	})
	for _, f := range d.have.Routes {
		if _, left := at[f.place()]; !left || !f.Ours {
			continue
		}
		c.Delete = append(c.Delete, f)
		if d.have.Baseline.Routes[f.Route] != f.Kernel.Index {
			d.changes.Drift[KindRoute]++
		}
	}
	slices.SortStableFunc(c.Delete, func(a, b FoundRoute) int { return cmp.Compare(b.Dst.Bits(), a.Dst.Bits()) })
	if d.want.Exclusive() {
		c.Remove = d.have.ForeignRoutes(d.want)
	}
}

// held are our entries on the devices that publish them, by address.
func (d *differ) held() map[netip.Addr][]HeldEntry {
	out := map[netip.Addr][]HeldEntry{}
	for _, w := range d.want.Devices {
		i, _ := d.have.Interface(w.Name)
		for _, p := range d.byDevice[w.Name] {
			if _, published := slices.BinarySearchFunc(w.Published, p.Addr, netip.Addr.Compare); published && p.Ours {
				out[p.Addr] = append(out[p.Addr], HeldEntry{Device: w.Name, Index: p.Index, Answered: i.ProxyNDP && w.Answer})
			}
		}
	}
	return out
}

func (d *differ) rules() {
	found := map[Rule]int{}
	c := &d.changes.Rules
	for _, f := range d.have.Rules {
		switch {
		case !f.Ours:
		case f.Kernel.Other == "" && slices.Contains(d.want.Rules, f.Rule) && found[f.Rule] == 0:
			found[f.Rule]++
		default: // unwanted, or a second one
			c.Delete = append(c.Delete, f)
			if f.Kernel.Other != "" || !d.have.Baseline.Rules[f.Rule] || found[f.Rule] > 0 {
				d.changes.Drift[KindRule]++
			}
		}
	}
	for _, r := range d.want.Rules {
		if found[r] > 0 {
			c.Kept = append(c.Kept, r)
			continue
		}
		c.Add = append(c.Add, r)
		if d.have.Baseline.Rules[r] {
			d.changes.Drift[KindRule]++
		}
	}
}
