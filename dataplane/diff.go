package dataplane

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// delayStep is how finely proxy_delay is compared: the kernel rounds up to its
// own clock, whose ticks are up to this long.
const delayStep = 10 * time.Millisecond

// Diff returns what has to be written so that the namespace looks as wanted.
// It is pure, and empty when nothing has to be written, so that applying twice
// writes nothing. What is ours and not wanted goes: entries with our mark on
// any device, routes and rules with it in any table, proxy_ndp and a changed proxy_delay on devices that our table
// names, and with the last device the table.
func Diff(want State, have Observation) Changes {
	want, failures := valid(want)
	c := Changes{Namespace: have.Namespace, ID: have.ID, Failures: failures, Drift: map[Kind]int{}}
	d := differ{want: want, have: have, changes: &c, byDevice: map[string][]Proxy{}, renamed: renamed(have), taken: map[place]bool{}}
	for _, p := range have.Proxies {
		d.byDevice[p.Device] = append(d.byDevice[p.Device], p)
	}
	d.unroutable()
	d.routes()
	d.rules()
	target := d.target()
	d.filter(target)
	for _, name := range d.names() {
		d.device(name)
	}
	return c
}

type differ struct {
	want     State
	have     Observation
	changes  *Changes
	byDevice map[string][]Proxy
	// renamed are devices that we managed under another name, by their new one.
	renamed map[string]BaselineDevice
	// taken are the places of wanted routes that are left to others.
	taken map[place]bool
}

// renamed finds them by their index, which stays. The table's record has the
// old name alone, so only the process that was there when it happened can tell.
func renamed(have Observation) map[string]BaselineDevice {
	out := map[string]BaselineDevice{}
	for _, i := range have.Interfaces {
		for name, b := range have.Baseline.Devices {
			if b.Managed && b.Index == i.Index && name != i.Name {
				out[i.Name] = b
			}
		}
	}
	return out
}

// names are all devices that concern us: wanted, named by our table, with
// entries of ours, or to be rid of those of others.
func (d *differ) names() []string {
	set := map[string]bool{}
	for _, w := range d.want.Devices {
		set[w.Name] = true
	}
	for _, f := range d.have.Filter.Devices {
		set[f.Name] = true
	}
	for _, p := range d.have.Proxies {
		if p.Ours {
			set[p.Device] = true
		}
	}
	for name := range d.renamed {
		set[name] = true
	}
	for _, i := range d.want.Idle {
		if i.Exclusive {
			set[i.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// target is the filter's content as wanted.
func (d *differ) target() filter.Content {
	var c filter.Content
	for _, w := range d.want.Devices {
		c.Devices = append(c.Devices, filter.Device{
			Name: w.Name, LinkLocal: w.LinkLocal, Published: w.Published,
			Guarded: filter.Canonical(w.Guarded), Open: w.Open, OriginalDelay: d.originalDelay(w),
		})
	}
	return c
}

// recorded is the original delay that the kernel's record, or else this
// process, remembers of a device.
func (d *differ) recorded(device string) time.Duration {
	if f, ok := d.have.Filter.Device(device); ok && f.Record.OriginalDelay != filter.NoDelay {
		return f.Record.OriginalDelay
	}
	if b, ok := d.renamed[device]; ok {
		return b.OriginalDelay
	}
	if b, ok := d.have.Baseline.Devices[device]; ok {
		return b.OriginalDelay
	}
	return filter.NoDelay
}

// originalDelay is what the record should remember: what it did, or the
// present value when we are about to change it for the first time.
func (d *differ) originalDelay(w Device) time.Duration {
	i, exists := d.have.Interface(w.Name)
	exists = exists && i.IPv6 && i.ProxyDelay >= 0
	old := d.recorded(w.Name)
	switch {
	case w.ProxyDelay == LeaveProxyDelay && exists:
		return filter.NoDelay // put back in the same Apply
	case old != filter.NoDelay:
		return old
	case exists && w.ProxyDelay != LeaveProxyDelay && !sameDelay(i.ProxyDelay, w.ProxyDelay):
		return i.ProxyDelay
	}
	return filter.NoDelay
}

func sameDelay(have, want time.Duration) bool {
	return have.Truncate(delayStep) == want.Truncate(delayStep)
}

// filter decides between no change, a difference, and writing the table whole.
func (d *differ) filter(target filter.Content) {
	found := d.have.Filter
	f := &d.changes.Filter
	if found.Holds(target) {
		return
	}
	d.filterDrift()
	if len(target.Devices) == 0 {
		f.Close = &target
		return
	}
	// A device whose record is the wanted one has the wanted content, dumped
	// or not.
	found.Devices = slices.Clone(found.Devices)
	found.Fill(target)
	base, known := found.Content()
	if !found.Present || !known {
		if found.Present {
			f.Reason = found.Problem
			if f.Reason == "" {
				f.Reason = "content unknown"
			}
		}
		if union := d.blind().Union(target); !union.Equal(target) {
			f.Open, f.Close = &union, &target
		} else {
			f.Open = &target
		}
		return
	}
	f.Base = &base
	union := base.Union(target)
	if !union.Equal(base) || !found.Holds(base) {
		f.Open = &union
	}
	if !union.Equal(target) {
		f.Close = &target
	}
}

// blind is the least that a table whose content is not known must go on to
// hold until the rest is withdrawn: our entries are answered for and stay let
// through, and what is to be put back stays on record.
func (d *differ) blind() filter.Content {
	var c filter.Content
	for _, name := range d.names() {
		found, recorded := d.have.Filter.Device(name)
		want, wanted := d.want.Device(name)
		if !recorded && !wanted {
			continue // no guard of ours is on it
		}
		f := filter.Device{
			Name: name, Published: d.have.Marked(name), Guarded: found.Guarded,
			Open: want.Open || !wanted && found.Record.Open, OriginalDelay: d.recorded(name),
		}
		c.Devices = append(c.Devices, f)
	}
	return c
}

func (d *differ) device(name string) {
	want, wanted := d.want.Device(name)
	i, exists := d.have.Interface(name)
	usable := exists && i.IPv6
	if wanted && !usable {
		err := ErrDeviceGone
		if exists {
			err = errNoIPv6(i)
		}
		d.changes.Failures = append(d.changes.Failures, Failure{Device: name, Op: opDevice, Err: err})
	}
	// Settings outlast IPv6 being switched off, and are put back even so.
	if !usable && (wanted || !i.DisableIPv6) {
		return
	}
	idle := d.want.idle(name)
	managed := d.managed(name) || idle
	c := DeviceChange{Device: name, Index: i.Index, Answers: wanted && want.Answer}
	// A sysctl that nothing says is ours may be anybody's.
	if (wanted || managed) && i.ProxyNDP != c.Answers {
		c.Answer = Off
		if c.Answers {
			c.Answer = On
		}
	}
	delay := want.ProxyDelay
	if !wanted || delay == LeaveProxyDelay {
		delay = d.recorded(name) // or NoDelay: nothing to put back
	} else {
		delay = delay.Truncate(delayStep)
	}
	if delay != filter.NoDelay && i.ProxyDelay >= 0 && !sameDelay(i.ProxyDelay, delay) {
		c.Delay = &delay
	}
	want.Exclusive = want.Exclusive || idle
	d.entries(&c, want)
	if !c.empty() {
		d.drift(c, i)
		d.changes.Devices = append(d.changes.Devices, c)
	}
}

// managed reports whether we have been at work on a device: our table names it,
// or, should somebody have deleted the table, entries of ours or this process
// say so.
func (d *differ) managed(device string) bool {
	if _, ok := d.have.Filter.Device(device); ok {
		return true
	}
	if _, ok := d.renamed[device]; ok {
		return true
	}
	return d.have.Baseline.Devices[device].Managed ||
		slices.ContainsFunc(d.byDevice[device], func(p Proxy) bool { return p.Ours })
}

func (d *differ) entries(c *DeviceChange, want Device) {
	have := make(map[netip.Addr]Proxy, len(d.byDevice[c.Device]))
	for _, p := range d.byDevice[c.Device] {
		have[p.Addr] = p
	}
	for _, a := range want.Published {
		p, ok := have[a]
		switch {
		case !ok:
			c.Set = append(c.Set, a)
		case !p.Ours || p.Router:
			c.Adopt = append(c.Adopt, a)
		case c.Answer != Keep:
			c.Kept = append(c.Kept, a)
		}
		delete(have, a)
	}
	for a, p := range have {
		switch {
		case p.Ours:
			c.Delete = append(c.Delete, a)
		case want.Exclusive:
			c.Remove = append(c.Remove, a)
		}
	}
	slices.SortFunc(c.Delete, netip.Addr.Compare)
	slices.SortFunc(c.Remove, netip.Addr.Compare)
}
