package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// walkAll are the devices that routes may use.
func walkAll() []string { return append(walkDevices(), inner) }

func (k *walker) someDevice() string { return rapid.SampledFrom(walkAll()).Draw(k.t, "of") }

// drawWays adds routes and rules to a state: a way to some of the addresses,
// and one back.
func (k *walker) drawWays(s *dataplane.State) {
	if rapid.IntRange(0, 2).Draw(k.t, "ways") == 0 {
		return
	}
	for n := range 6 {
		if rapid.IntRange(0, 2).Draw(k.t, "routed") > 0 {
			r := hostRoute(host(n + 1))
			r.Device, r.Via = k.someDevice(), k.nextHop()
			s.Routes = append(s.Routes, r)
		}
	}
	if rapid.Bool().Draw(k.t, "back") {
		s.Routes = append(s.Routes, dataplane.Route{
			Table: wayTable, Dst: prefix("::/0"), Via: addr("2001:db8:9::1"), Device: k.someDevice(), OnLink: true,
		})
	}
	for _, iif := range []string{"lo", inner, "fpr-9"} {
		if rapid.Bool().Draw(k.t, "rule") {
			s.Rules = append(s.Rules, dataplane.Rule{Priority: wayPriority, IIF: iif, Table: wayTable})
		}
	}
	s.Normalize()
}

func (k *walker) nextHop() netip.Addr {
	return addr(fmt.Sprintf("fe80::%d", rapid.IntRange(3, 5).Draw(k.t, "next hop")))
}

// routable are the addresses whose way, if one is wanted, has its device.
func (k *walker) routable(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return slices.ContainsFunc(k.state.Routes, func(r dataplane.Route) bool {
			return r.Host() && r.Dst.Addr() == a && !k.present[r.Device]
		})
	})
}

// wayMischief is what happens to routes, rules and other people's entries.
func (k *walker) wayMischief(kind int) {
	device := k.someDevice()
	protocol := rapid.SampledFrom([]uint8{ours, route.Static, 12}).Draw(k.t, "protocol")
	switch kind {
	case 0:
		if k.present[device] {
			k.w.setEntry(device, host(rapid.IntRange(1, 7).Draw(k.t, "entry")), 0, false)
		}
	case 1:
		r := static(host(rapid.IntRange(1, 8).Draw(k.t, "to")).String()+"/128", "")
		r.Protocol = protocol
		if rapid.Bool().Draw(k.t, "via") {
			r.Via = k.nextHop()
		}
		if rapid.IntRange(0, 4).Draw(k.t, "table") == 0 {
			r.Table = 4711
		}
		there := fmt.Sprintf("table %d %s ", r.Table, r.Dst)
		if k.present[device] && !slices.ContainsFunc(k.w.routes(), func(s string) bool { return strings.HasPrefix(s, there) }) {
			k.w.addRoute(device, r)
		}
	case 2:
		if all := k.w.routes(); len(all) > 0 {
			s := parseRoute(k.t, rapid.SampledFrom(all).Draw(k.t, "route"))
			k.w.deleteRoute(s.device, s.Route)
			if rapid.Bool().Draw(k.t, "taken over") && k.present[device] {
				s.Protocol, s.Via, s.OnLink = protocol, k.nextHop(), false
				k.w.addRoute(device, s.Route)
			}
		}
	case 3:
		r := rule.Rule{Priority: wayPriority + uint32(rapid.IntRange(0, 1).Draw(k.t, "priority")), IIF: inner, Table: wayTable, Protocol: protocol}
		k.w.addRule(r)
	case 4:
		if all := k.w.rules(); len(all) > 0 {
			var r rule.Rule
			s := rapid.SampledFrom(all).Draw(k.t, "rule")
			if _, err := fmt.Sscanf(s, "%d iif %s table %d proto %d", &r.Priority, &r.IIF, &r.Table, &r.Protocol); err != nil {
				k.t.Fatalf("%s: %v", s, err)
			}
			k.w.deleteRule(r)
		}
	}
}

// shownRoute is a route with the name of its device.
type shownRoute struct {
	route.Route
	device string
}

func parseRoute(t *rapid.T, s string) shownRoute {
	r := shownRoute{Route: route.Route{Type: route.Unicast}}
	var dst, via string
	if _, err := fmt.Sscanf(s, "table %d %s via %s dev %s proto %d metric %d", &r.Table, &dst, &via, &r.device, &r.Protocol, &r.Metric); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	r.Dst = prefix(dst)
	if via != "-" {
		r.Via = addr(via)
	}
	r.OnLink = strings.HasSuffix(s, "onlink")
	return r
}

// expectation is what must be there after the wanted state was applied, of
// what other tools saw before it.
type expectation struct {
	routes, rules, entries []string
}

// taken are the places of default routes that somebody else has.
func (k *walker) taken() map[string]bool {
	out := map[string]bool{}
	for _, s := range k.w.routes() {
		if r := parseRoute(k.t, s); r.Dst.Bits() == 0 && r.Protocol != ours && r.Metric == route.DefaultMetric {
			out[fmt.Sprintf("%d %s", r.Table, r.Dst)] = true
		}
	}
	return out
}

func (k *walker) expect() expectation {
	e := expectation{routes: []string{}, rules: []string{}, entries: []string{}}
	exclusive := map[string]bool{}
	for _, d := range k.state.Devices {
		exclusive[d.Name] = d.Exclusive
	}
	// What has the place of a wanted route makes room for it, once its device
	// is there, and is nobody's leftover until then.
	used, waiting, made := map[string]bool{}, map[string]bool{}, map[string]bool{}
	taken := k.taken()
	for _, r := range k.state.Routes {
		at := fmt.Sprintf("%d %s", r.Table, r.Dst)
		if taken[at] {
			continue
		}
		waiting[at] = !k.present[r.Device]
		if r.Host() {
			used[r.Device] = true
		}
		if k.present[r.Device] {
			made[at] = true
			e.routes = append(e.routes, wantedRoute(r))
		}
	}
	for _, s := range k.w.routes() {
		r := parseRoute(k.t, s)
		at := fmt.Sprintf("%d %s", r.Table, r.Dst)
		stale := r.Table == dataplane.MainTable && r.Dst.IsSingleIP() && r.Protocol == route.Static && r.Via.IsValid() && used[r.device] && !waiting[at]
		if r.Protocol != ours && !made[at] &&
			!(stale && slices.ContainsFunc(k.state.Devices, func(d dataplane.Device) bool { return d.Exclusive })) {
			e.routes = append(e.routes, s)
		}
	}
	for _, r := range k.state.Rules {
		if taken[fmt.Sprintf("%d ::/0", r.Table)] {
			continue
		}
		e.rules = append(e.rules, wantedRule(r))
	}
	mark := fmt.Sprintf("proto %d", ours)
	for _, s := range k.w.rules() {
		if !strings.HasSuffix(s, mark) {
			e.rules = append(e.rules, s)
		}
	}
	wanted := map[string]bool{}
	for _, name := range walkDevices() {
		d, _ := k.state.Device(name)
		for _, a := range k.routable(d.Published) {
			if k.present[name] {
				wanted[name+" "+a.String()] = true
				e.entries = append(e.entries, fmt.Sprintf("%s %s %d", name, a, ours))
			}
		}
	}
	for _, s := range k.w.entries() {
		f := strings.Fields(s)
		if f[2] != fmt.Sprint(ours) && !exclusive[f[0]] && !wanted[f[0]+" "+f[1]] {
			e.entries = append(e.entries, s)
		}
	}
	for _, list := range [][]string{e.routes, e.rules, e.entries} {
		slices.Sort(list)
	}
	return e
}

func (k *walker) compareWays(e expectation) {
	for what, pair := range map[string][2][]string{
		"routes": {e.routes, k.w.routes()}, "rules": {e.rules, k.w.rules()}, "entries": {e.entries, k.w.entries()},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			k.t.Fatalf("%s are\n%s\nwant\n%s\nof\n%s", what, strings.Join(pair[1], "\n"), strings.Join(pair[0], "\n"), k.state)
		}
	}
}
