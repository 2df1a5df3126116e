package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// ways is what a [world] shows and does of routes and rules.
type ways interface {
	// addRoute makes a route beside what is there; the index is the device's.
	addRoute(device string, r route.Route)
	deleteRoute(device string, r route.Route)
	// routes are those that the kernel did not make itself, as showRoute
	// prints them, sorted; several next hops are several routes.
	routes() []string
	// addRule makes one, also a second one.
	addRule(r rule.Rule)
	deleteRule(r rule.Rule)
	// rules are those that the kernel did not make itself, as showRule prints
	// them, sorted.
	rules() []string
}

func showRoute(table, dst, via, device, protocol, metric string, onLink bool) string {
	s := fmt.Sprintf("table %s %s via %s dev %s proto %s metric %s", table, dst, via, device, protocol, metric)
	if onLink {
		s += " onlink"
	}
	return s
}

func showRule(priority uint32, iif, table, protocol string) string {
	return fmt.Sprintf("%d iif %s table %s proto %s", priority, iif, table, protocol)
}

// wantedRoute is how a wanted route must show.
func wantedRoute(r dataplane.Route) string {
	via := "-"
	if r.Via.IsValid() {
		via = r.Via.String()
	}
	return showRoute(strconv.Itoa(r.Table), r.Dst.String(), via, r.Device, strconv.Itoa(ours), "1024", r.OnLink)
}

func wantedRule(r dataplane.Rule) string {
	return showRule(uint32(r.Priority), r.IIF, strconv.Itoa(r.Table), strconv.Itoa(ours))
}

// static is a route as Neutron's L3 agent makes it.
func static(dst, via string) route.Route {
	r := route.Route{
		Table: dataplane.MainTable, Dst: prefix(dst), Metric: route.DefaultMetric, Protocol: route.Static, Type: route.Unicast,
	}
	if via != "" {
		r.Via = addr(via)
	}
	return r
}

func (w *fakeWorld) addRoute(device string, r route.Route)    { w.n.AddRoute(device, r) }
func (w *fakeWorld) deleteRoute(device string, r route.Route) { w.n.DeleteRoute(device, r) }
func (w *fakeWorld) addRule(r rule.Rule)                      { w.n.AddRule(r) }
func (w *fakeWorld) deleteRule(r rule.Rule)                   { w.n.DeleteRule(r) }

func (w *fakeWorld) routes() []string {
	s, err := w.k.Open(namespace)
	if err != nil {
		panic(err)
	}
	links, _ := s.Links(noContext)
	list, _ := s.Routes(noContext, ours)
	var out []string
	for _, r := range list {
		via := "-"
		if r.Via.IsValid() {
			via = r.Via.String()
		}
		for _, l := range links {
			if l.Index == r.Index {
				out = append(out, showRoute(fmt.Sprint(r.Table), r.Dst.String(), via, l.Name, fmt.Sprint(r.Protocol), fmt.Sprint(r.Metric), r.OnLink))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (w *fakeWorld) rules() []string {
	s, err := w.k.Open(namespace)
	if err != nil {
		panic(err)
	}
	list, _ := s.Rules(noContext)
	var out []string
	for _, r := range list {
		out = append(out, showRule(r.Priority, r.IIF, fmt.Sprint(r.Table), fmt.Sprint(r.Protocol)))
	}
	slices.Sort(out)
	return out
}

func (w *linuxWorld) addRoute(device string, r route.Route) { w.route("append", device, r) }

func (w *linuxWorld) deleteRoute(device string, r route.Route) { w.route("del", device, r) }

func (w *linuxWorld) route(verb, device string, r route.Route) {
	w.t.Helper()
	args := []string{"-6", "route", verb, r.Dst.String()}
	if r.Via.IsValid() {
		args = append(args, "via", r.Via.String())
	}
	args = append(args, "dev", device, "table", fmt.Sprint(r.Table), "proto", fmt.Sprint(r.Protocol), "metric", fmt.Sprint(r.Metric))
	if r.OnLink {
		args = append(args, "onlink")
	}
	if r.Other {
		args = append(args, "mtu", "lock", "1280")
	}
	w.ns.IP(args...)
}

func (w *linuxWorld) routes() []string {
	type hop struct {
		Gateway, Dev string
		Flags        []string
	}
	var list []struct {
		hop
		Dst, Protocol, Table string
		Metric               int
		Nexthops             []hop
	}
	w.json(&list, "ip", "-j", "-N", "-6", "route", "show", "table", "all")
	var out []string
	for _, r := range list {
		if r.Protocol == "2" || r.Table == "255" { // the kernel's
			continue
		}
		if r.Table == "" {
			r.Table = strconv.Itoa(dataplane.MainTable)
		}
		dst := r.Dst
		switch {
		case dst == "default":
			dst = "::/0"
		case !strings.Contains(dst, "/"):
			dst = netip.PrefixFrom(addr(dst), 128).String()
		}
		if len(r.Nexthops) == 0 {
			r.Nexthops = []hop{r.hop}
		}
		for _, h := range r.Nexthops {
			if h.Gateway == "" {
				h.Gateway = "-"
			}
			out = append(out, showRoute(r.Table, dst, h.Gateway, h.Dev, r.Protocol, strconv.Itoa(r.Metric), slices.Contains(h.Flags, "onlink")))
		}
	}
	slices.Sort(out)
	return out
}

// addRule makes the rule without NLM_F_EXCL, which ip(8) always sets.
func (w *linuxWorld) addRule(r rule.Rule) {
	w.t.Helper()
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.FRA_PRIORITY, r.Priority)
	ae.Uint32(unix.FRA_TABLE, r.Table)
	ae.String(unix.FRA_IIFNAME, r.IIF)
	ae.Uint8(21, r.Protocol) // FRA_PROTOCOL
	attrs, err := ae.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := netns.Open(w.lab.Dir, namespace)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	header := []byte{unix.AF_INET6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0} // FR_ACT_TO_TBL
	if err := c.Do(noContext, unix.RTM_NEWRULE, netlink.Create, append(header, attrs...)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *linuxWorld) deleteRule(r rule.Rule) {
	w.t.Helper()
	w.ns.IP("-6", "rule", "del", "iif", r.IIF, "lookup", fmt.Sprint(r.Table), "priority", fmt.Sprint(r.Priority), "protocol", fmt.Sprint(r.Protocol))
}

func (w *linuxWorld) rules() []string {
	var list []struct {
		Priority             uint32
		IIF, Table, Protocol string
	}
	w.json(&list, "ip", "-j", "-N", "-6", "rule")
	var out []string
	for _, r := range list {
		if r.Protocol == "" { // the kernel's
			continue
		}
		out = append(out, showRule(r.Priority, r.IIF, r.Table, r.Protocol))
	}
	slices.Sort(out)
	return out
}
