package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Claim is what is known to be of a router in a namespace, now or earlier in
// this run.
type Claim struct {
	// Device is the one towards the router in a shared namespace, else "".
	Device  string
	Subnets []netip.Prefix
}

// Compare orders claims, and equals two that say the same.
func (c Claim) Compare(o Claim) int {
	return cmp.Or(cmp.Compare(c.Device, o.Device), slices.CompareFunc(c.Subnets, o.Subnets, netip.Prefix.Compare))
}

// Claims returns those of the routers in a namespace.
func Claims(name string, entries []inventory.Entry) []Claim {
	var out []Claim
	for _, e := range entries {
		for _, at := range e.Router.External {
			if at.Namespace != name {
				continue
			}
			c := Claim{Subnets: guarded(e.Router)}
			if at.Inner != nil {
				c.Device = at.Inner.Device
			}
			out = append(out, c)
		}
	}
	return out
}

// has reports whether an address is the router's, as far as can be seen: in one
// of its subnets, and routed to it, if it is routed (via).
func (c Claim) has(a netip.Addr, via string) bool {
	return (via == "" || c.Device == "" || via == c.Device) &&
		slices.ContainsFunc(c.Subnets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Hold adds to a planned state what carries our mark in the namespace already
// and may be of a router that could not be read: whatever is not for an address
// that is known to be another's. What is missing in the plan must not be taken
// for unwanted there. Its devices go on guarding what they guard, and those
// that the plan does not have answer as they do; and nothing of somebody else
// is removed, since such a router may be about to take it over. ok is false if
// that can't be said in a state, since nobody knows what such a device guards;
// then the namespace has to be left as it is.
func Hold(want dataplane.State, known []Claim, have dataplane.Observation) (held dataplane.State, ok bool) {
	h := holder{known: known, have: have, vias: map[netip.Addr]string{}, devices: map[string]*dataplane.Device{}, used: map[string]bool{}}
	h.routes(want.Routes)
	for _, d := range want.Devices {
		h.devices[d.Name] = &d
	}
	if !h.entries() {
		return want, false
	}
	held = want
	held.Devices, held.Idle = nil, nil
	for _, d := range h.devices {
		d.Exclusive = false
		held.Devices = append(held.Devices, *d)
	}
	for _, d := range want.Idle {
		if h.devices[d.Name] == nil {
			held.Idle = append(held.Idle, dataplane.Idle{Name: d.Name})
		}
	}
	held.Routes = slices.Concat(want.Routes, h.kept)
	if h.any {
		held.Routes = append(held.Routes, h.wide...)
	}
	held.Rules = slices.Clone(want.Rules)
	for _, r := range have.Rules {
		if r.Ours && h.usesRule(r.IIF) {
			held.Rules = append(held.Rules, r.Rule)
		}
	}
	held.Normalize()
	return held, true
}

// holder collects what stays.
type holder struct {
	known []Claim
	have  dataplane.Observation
	// vias are the devices of our host routes, by address.
	vias    map[netip.Addr]string
	devices map[string]*dataplane.Device
	// kept are the host routes that stay; wide the other ones of ours, which
	// stay if anything does: nobody knows whose they are.
	kept, wide []dataplane.Route
	// used are the devices of host routes that stay; any: something stays.
	used map[string]bool
	any  bool
}

func (h *holder) claimed(a netip.Addr, via string) bool {
	return slices.ContainsFunc(h.known, func(c Claim) bool { return c.has(a, via) })
}

// routes keeps the host routes of others.
func (h *holder) routes(want []dataplane.Route) {
	taken := make(map[destination]bool, len(want))
	for _, r := range want {
		taken[destination{r.Table, r.Dst}] = true
	}
	for _, r := range h.have.Routes {
		switch d := (destination{r.Table, r.Dst}); {
		case !r.Ours || r.Device == "" || taken[d] && !r.Host():
		case !r.Host():
			taken[d] = true
			h.wide = append(h.wide, r.Route)
		default:
			h.vias[r.Dst.Addr()] = r.Device
			if h.claimed(r.Dst.Addr(), r.Device) || taken[d] {
				continue
			}
			taken[d], h.used[r.Device], h.any = true, true, true
			h.kept = append(h.kept, r.Route)
		}
	}
}

// entries keeps those of others, and what their devices guard.
func (h *holder) entries() (ok bool) {
	guards := map[string]bool{}
	for _, p := range h.have.Proxies {
		if !p.Ours || h.claimed(p.Addr, h.vias[p.Addr]) {
			continue
		}
		d := h.devices[p.Device]
		if d == nil {
			as, ok := asItIs(p.Device, h.have)
			if !ok {
				return false
			}
			d = &as
			h.devices[p.Device] = d
		}
		if !guards[p.Device] {
			guards[p.Device], h.any = true, true
			found, _ := h.have.Filter.Device(p.Device)
			d.Guarded = slices.Concat(d.Guarded, found.Guarded)
			d.Published = slices.Clone(d.Published)
		}
		d.Published = append(d.Published, p.Addr)
	}
	return true
}

// usesRule reports whether a rule of ours stays: not for a device that is known
// to be a router's, unless something that stays is behind it.
func (h *holder) usesRule(iif string) bool {
	mine := slices.ContainsFunc(h.known, func(c Claim) bool { return c.Device == iif })
	return h.any && (!mine || h.used[iif])
}

// asItIs is a device as the kernel has it, with nothing published.
func asItIs(name string, have dataplane.Observation) (d dataplane.Device, ok bool) {
	iface, exists := have.Interface(name)
	found, filtered := have.Filter.Device(name)
	if !exists || !filtered || len(found.Guarded) == 0 {
		return d, false
	}
	d = dataplane.Device{Name: name, Answer: iface.ProxyNDP, LinkLocal: iface.LinkLocal(), ProxyDelay: dataplane.LeaveProxyDelay, Open: found.Record.Open}
	return d, true
}
