package dataplane

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

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
		return r.baseline
	}
	b := Baseline{Devices: map[string]BaselineDevice{}}
	for _, i := range o.Interfaces {
		b.Devices[i.Name] = baselineDevice(o, i)
	}
	if c, known := o.Filter.Content(); known && o.Filter.Present && o.Filter.Holds(c) {
		b.Filter = &c
	}
	m.put(o.Namespace, remembered{o.ID, b})
	return b
}

func baselineDevice(o Observation, i Interface) BaselineDevice {
	d := BaselineDevice{
		Index: i.Index, Marked: o.Marked(i.Name), ProxyNDP: i.ProxyNDP,
		ProxyDelay: i.ProxyDelay, OriginalDelay: filter.NoDelay,
	}
	if f, ok := o.Filter.Device(i.Name); ok {
		d.OriginalDelay = f.Record.OriginalDelay
	}
	return d
}

// learn replaces the baseline after an Apply.
func (m *memory) learn(ns string, id ID, change func(*Baseline)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.set[ns]
	if !ok || r.id != id {
		return
	}
	b := Baseline{Devices: maps.Clone(r.baseline.Devices), Filter: r.baseline.Filter}
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
