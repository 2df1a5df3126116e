package dataplane

import (
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// filterDrift counts a table that is not what was written to it. That another
// version wrote it is no drift, unless this process did so since.
func (d *differ) filterDrift() {
	found := d.have.Filter
	if found.Outdated && d.have.Baseline.Filter == nil {
		return
	}
	drifted := found.Problem != "" || slices.ContainsFunc(found.Devices, filter.FoundDevice.Tampered)
	if b := d.have.Baseline.Filter; b != nil && !found.Holds(*b) {
		drifted = true
	}
	if drifted {
		d.changes.Drift[KindFilter]++
	}
}

// drift counts what this process knows to have been as it wants it again.
func (d *differ) drift(c DeviceChange, i Interface) {
	b, ok := d.have.Baseline.Devices[c.Device]
	if !ok || b.Index != i.Index {
		return
	}
	was := func(a netip.Addr) bool {
		_, found := slices.BinarySearchFunc(b.Marked, a, netip.Addr.Compare)
		return found
	}
	n := 0
	for _, a := range slices.Concat(c.Set, c.Adopt) {
		if was(a) {
			n++
		}
	}
	for _, a := range c.Delete {
		if !was(a) {
			n++
		}
	}
	if n > 0 {
		d.changes.Drift[KindEntry] += n
	}
	n = 0
	if c.Answer != Keep && b.ProxyNDP != i.ProxyNDP {
		n++
	}
	if c.Delay != nil && b.ProxyDelay >= 0 && !sameDelay(b.ProxyDelay, i.ProxyDelay) {
		n++
	}
	if n > 0 {
		d.changes.Drift[KindSysctl] += n
	}
}
