package plan

import (
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Hold adds to a planned state what carries our mark in the namespace already
// and may be of a router that could not be read: whatever is not for an address
// in the subnets of the routers that could. What is missing in the plan must
// not be taken for unwanted there. Its devices go on guarding what they guard,
// and those that the plan does not have answer as they do. ok is false if that
// can't be said in a state, since nobody knows what such a device guards; then
// the namespace has to be left as it is.
func Hold(want dataplane.State, entries []inventory.Entry, have dataplane.Observation) (held dataplane.State, ok bool) {
	known := func(a netip.Addr) bool {
		return slices.ContainsFunc(entries, func(e inventory.Entry) bool {
			return slices.ContainsFunc(e.Router.Subnets, func(s inventory.Subnet) bool { return s.Prefix.Contains(a) })
		})
	}
	held = want
	held.Devices = slices.Clone(want.Devices)
	for _, p := range have.Proxies {
		if !p.Ours || known(p.Addr) {
			continue
		}
		i := slices.IndexFunc(held.Devices, func(d dataplane.Device) bool { return d.Name == p.Device })
		if i < 0 {
			d, ok := asItIs(p.Device, have)
			if !ok {
				return want, false
			}
			held.Devices, i = append(held.Devices, d), len(held.Devices)
		}
		d := &held.Devices[i]
		d.Published = append(slices.Clip(d.Published), p.Addr)
		if found, ok := have.Filter.Device(p.Device); ok {
			d.Guarded = append(slices.Clip(d.Guarded), found.Guarded...)
		}
	}
	held.Routes, held.Rules = slices.Clone(want.Routes), slices.Clone(want.Rules)
	for _, r := range have.Routes {
		taken := func(w dataplane.Route) bool { return w.Table == r.Table && w.Dst == r.Dst }
		if r.Ours && r.Device != "" && !(r.Host() && known(r.Dst.Addr())) && !slices.ContainsFunc(held.Routes, taken) {
			held.Routes = append(held.Routes, r.Route)
		}
	}
	for _, r := range have.Rules {
		if r.Ours {
			held.Rules = append(held.Rules, r.Rule)
		}
	}
	held.Normalize()
	return held, true
}

// asItIs is a device as the kernel has it, with nothing published.
func asItIs(name string, have dataplane.Observation) (d dataplane.Device, ok bool) {
	iface, exists := have.Interface(name)
	found, filtered := have.Filter.Device(name)
	if !exists || !filtered || len(found.Guarded) == 0 {
		return d, false
	}
	d = dataplane.Device{Name: name, Answer: iface.ProxyNDP, LinkLocal: iface.LinkLocal(), ProxyDelay: dataplane.LeaveProxyDelay}
	return d, true
}
