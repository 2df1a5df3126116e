package sim

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

func fields(s string) []string { return strings.Fields(s) }

// want is what the L3 agent makes of the routers that it has.
func (a *l3agent) want() map[string]*space {
	want := map[string]*space{}
	for _, r := range a.h.w.Routers {
		if !r.Up || !a.h.carries(r) {
			continue
		}
		if r.Kind.Distributed() {
			a.distributed(r, want)
		} else {
			a.centralised(r, want)
		}
	}
	// A fip- namespace stays without routers, with its fg- device.
	for name, have := range a.have {
		if !strings.HasPrefix(name, "fip-") {
			continue
		}
		s := in(want, name)
		for dev, d := range have.devices {
			if _, wanted := s.devices[dev]; !wanted && d.pairSpace == "" {
				s.devices[dev] = d
			}
		}
	}
	return want
}

func in(want map[string]*space, name string) *space {
	if want[name] == nil {
		want[name] = &space{devices: map[string]device{}}
	}
	return want[name]
}

// carries reports whether a router is on the host.
func (h *Host) carries(r *Router) bool {
	if slices.Contains(r.Hosts, h) {
		return true
	}
	return r.Kind.Distributed() && h.Mode != ModeLegacy && slices.ContainsFunc(h.w.Instances, func(vm *Instance) bool {
		return vm.Host == h && r.attached(vm.net)
	})
}

// holds is what the host has of addresses that keepalived gives to one.
func (h *Host) holds(r *Router) bool { return !r.Kind.HighlyAvailable() || r.Primary == h }

func (a *l3agent) centralised(r *Router, want map[string]*space) {
	s := in(want, r.qrouter())
	ha, active := r.Kind.HighlyAvailable(), a.h.holds(r)
	for _, i := range r.Interfaces {
		d := device{identity: identity{bridge: i.Net.segment(a.h), mac: i.MAC, manual: ha}}
		if active {
			d.addrs = append(linkLocal(ha, i.MAC), i.Addr.String()+"/64", host(i.Net.V4, 1).String()+"/24")
		}
		s.devices[i.qr()] = d
	}
	a.gateway(r, s)
}

// gateway is the qg- device and what goes out by it.
func (a *l3agent) gateway(r *Router, s *space) {
	g := r.Gateway
	if g == nil {
		return
	}
	ha, active := r.Kind.HighlyAvailable(), a.h.holds(r)
	d := device{identity: identity{bridge: g.Net.bridge, mac: g.MAC, manual: ha}}
	if ha {
		d.forwarding = "0"
	}
	if active {
		d.addrs = append(linkLocal(ha, g.MAC), g.cidr())
		via := g.Net.Gateway
		if !via.IsValid() {
			via = g.Net.Upstream.LinkLocal("eth0") // as from a router advertisement
		}
		s.routes = append(s.routes, fmt.Sprintf("default via %s dev %s", via, g.qg()))
		if ha {
			d.forwarding = "1"
		}
	}
	s.devices[g.qg()] = d
}

func (g *Gateway) cidr() string {
	if g.Addr.Is4() {
		return g.Addr.String() + "/24"
	}
	return g.Addr.String() + "/64"
}

func (a *l3agent) distributed(r *Router, want map[string]*space) {
	s, h := in(want, r.qrouter()), a.h
	centre := slices.Contains(r.Hosts, h) && h.Mode == ModeDVRSNAT && r.Gateway != nil
	for _, i := range r.Interfaces {
		s.devices[i.qr()] = device{identity: identity{bridge: i.Net.segment(h), mac: i.MAC},
			addrs: []string{i.Addr.String() + "/64", host(i.Net.V4, 1).String() + "/24"}}
		if r.Gateway != nil {
			// After main, so it counts only where main has no default.
			table := 40000 + i.Net.n
			s.routes = append(s.routes, fmt.Sprintf("default via %s dev %s table %d", i.SNATAddr, i.qr(), table))
			s.rules = append(s.rules, fmt.Sprintf("from %s lookup %d priority %d", i.Net.Prefix, table, table))
		}
	}
	if centre {
		c := in(want, r.snat())
		ha, active := r.Kind.HighlyAvailable(), h.holds(r)
		for _, i := range r.Interfaces {
			// Plugged where those are that it serves: the one edge host.
			d := device{identity: identity{bridge: i.Net.segment(h.w.edge(h)), mac: i.SNATMAC, manual: ha}}
			if active {
				d.addrs = append(linkLocal(ha, i.SNATMAC), i.SNATAddr.String()+"/64")
			}
			c.devices[i.sg()] = d
		}
		a.gateway(r, c)
	}
	if r.Gateway == nil || h.Mode == ModeDVRNoExternal || h.Mode == ModeLegacy {
		return
	}
	name, fg := r.Gateway.Net.fip(), h.w.cloud.agentPort(r, h)
	f := in(want, name)
	f.devices[fg.fg()] = device{identity: identity{bridge: fg.Net.bridge, mac: fg.MAC}, addrs: []string{fg.cidr()}}
	f.devices[r.fpr()] = device{identity: identity{pairSpace: r.qrouter(), pairName: r.rfp(), made: true}}
	s.devices[r.rfp()] = device{identity: identity{pairSpace: name, pairName: r.fpr()}}
	if fg.Net.Gateway.IsValid() {
		// In a table that only an IPv4 rule selects: useless, but there.
		f.routes = append(f.routes, fmt.Sprintf("default via %s dev %s table %d", fg.Net.Gateway, fg.fg(), 50000+slices.Index(h.w.Routers, r)))
	}
	if have := a.have[name]; have != nil && have.devices[r.fpr()].made {
		s.routes = append(s.routes, fmt.Sprintf("default via %s dev %s", have.ns.LinkLocal(r.fpr()), r.rfp()))
	}
}

// edge is the host whose instances the centralised part serves: one without a
// way of its own, or where there is none the host itself.
func (w *World) edge(h *Host) *Host {
	if i := slices.IndexFunc(w.Hosts, func(h *Host) bool { return h.Mode == ModeDVRNoExternal }); i >= 0 {
		return w.Hosts[i]
	}
	return h
}

// linkLocal is the address that keepalived adds beside the others.
func linkLocal(manual bool, mac string) []string {
	if !manual {
		return nil
	}
	return []string{eui64(mac).String() + "/64"}
}

func eui64(mac string) netip.Addr {
	m, err := net.ParseMAC(mac)
	if err != nil {
		panic(err) // our own
	}
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
