package dataplane

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// memory holds a [Baseline] per namespace. Nothing depends on it but the
// counting of drift, smaller filter transactions, and the original proxy_delay
// when somebody deletes our table: a new process does without.
//
// A stored baseline is never changed, only replaced: Observations share it.
type memory struct {
	mu  sync.Mutex
	set map[string]remembered
}

type remembered struct {
	id       ID
	baseline Baseline
}

// baseline returns what is known of the namespace. The first look becomes the
// baseline: what it finds amiss later was changed by somebody.
func (m *memory) baseline(o Observation) Baseline {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.set[o.Namespace]; ok && r.id == o.ID {
		r.baseline = r.baseline.remember(o).interrupted(o)
		if r.baseline.Filter == nil { // no deep look so far
			r.baseline.Filter = wholeFilter(o)
		}
		m.put(o.Namespace, r)
		return r.baseline
	}
	b := Baseline{Devices: map[string]BaselineDevice{}, Routes: map[Route]int{}, Rules: map[Rule]bool{}}
	for _, r := range o.Routes {
		if r.Ours {
			b.Routes[r.Route] = r.Kernel.Index
		}
	}
	for _, r := range o.Rules {
		if r.Ours {
			b.Rules[r.Rule] = true
		}
	}
	for _, i := range o.Interfaces {
		b.Devices[i.Name] = baselineDevice(o, i)
	}
	b.Filter = wholeFilter(o)
	b = b.remember(o)
	m.put(o.Namespace, remembered{o.ID, b})
	return b
}

// wholeFilter is the table's content, if it was read to the last element and is
// as it was written.
func wholeFilter(o Observation) *filter.Content {
	if c, known := o.Filter.Content(); known && o.Filter.Present && o.Filter.Holds(c) {
		return &c
	}
	return nil
}

func baselineDevice(o Observation, i Interface) BaselineDevice {
	return BaselineDevice{
		Index: i.Index, Marked: o.Marked(i.Name), ProxyNDP: i.ProxyNDP,
		ProxyDelay: i.ProxyDelay, OriginalDelay: filter.NoDelay,
		LinkLocalSince: i.LinkLocalSince,
	}
}

// interrupted takes on what is there of devices that were down since: the
// kernel dropped the rest.
func (b Baseline) interrupted(o Observation) Baseline {
	devices := maps.Clone(b.Devices)
	down := map[string]bool{}
	for _, i := range o.Interfaces {
		d, known := devices[i.Name]
		switch {
		case !known || d.Index != i.Index || d.LinkLocalSince == i.LinkLocalSince:
			continue
		case d.LinkLocalSince != 0:
			now := baselineDevice(o, i)
			now.Managed, now.OriginalDelay = d.Managed, d.OriginalDelay
			d = now
			down[i.Name] = true
		}
		d.LinkLocalSince = i.LinkLocalSince
		devices[i.Name] = d
	}
	b.Devices = devices
	if len(down) > 0 {
		b.Routes = b.routesLeft(o, down)
	}
	return b
}

// routesLeft is the baseline's routes without those that went with a device
// that was set down.
func (b Baseline) routesLeft(o Observation, down map[string]bool) map[Route]int {
	present := map[Route]bool{}
	for _, r := range o.Routes {
		if r.Ours {
			present[r.Route] = true
		}
	}
	left := maps.Clone(b.Routes)
	maps.DeleteFunc(left, func(r Route, _ int) bool { return down[r.Device] && !present[r] })
	return left
}

// remember takes on what the table's records say, which are the only proof
// once somebody has deleted the table. A table that is gone or broken says
// nothing.
func (b Baseline) remember(o Observation) Baseline {
	if !o.Filter.Present || o.Filter.Problem != "" {
		return b
	}
	delays := make(map[string]time.Duration, len(o.Filter.Devices))
	for _, f := range o.Filter.Devices {
		delays[f.Name] = f.Record.OriginalDelay
	}
	return b.managing(delays)
}

// managing returns the baseline with exactly those devices managed, and their
// original delays.
func (b Baseline) managing(delays map[string]time.Duration) Baseline {
	devices := maps.Clone(b.Devices)
	for name, d := range devices {
		d.Managed, d.OriginalDelay = false, filter.NoDelay
		devices[name] = d
	}
	for name, delay := range delays {
		d := devices[name]
		d.Managed, d.OriginalDelay = true, delay
		devices[name] = d
	}
	b.Devices = devices
	return b
}

// learn replaces the baseline after a write.
func (m *memory) learn(ns string, id ID, change func(*Baseline)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.set[ns]
	if !ok || r.id != id {
		return
	}
	b := r.baseline
	b.Devices = maps.Clone(b.Devices)
	change(&b)
	m.put(ns, remembered{id, b})
}

func (m *memory) forget(ns string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.set, ns)
}

func (m *memory) put(ns string, r remembered) {
	if m.set == nil {
		m.set = map[string]remembered{}
	}
	m.set[ns] = r
}

// replaced returns marked without the removed and with the added addresses,
// as a new sorted slice.
func replaced(marked, removed, added []netip.Addr) []netip.Addr {
	if len(removed)+len(added) == 0 {
		return marked
	}
	gone := make(map[netip.Addr]bool, len(removed))
	for _, a := range removed {
		gone[a] = true
	}
	out := make([]netip.Addr, 0, len(marked)+len(added))
	for _, a := range marked {
		if !gone[a] {
			out = append(out, a)
		}
	}
	out = append(out, added...)
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
