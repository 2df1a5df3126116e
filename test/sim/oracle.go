package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// expectation is what the model says that a namespace must hold of ours.
type expectation struct {
	devices map[string]*expectedDevice
	// routes and rules, as [Dump.OurRoutes] and [Dump.OurRules] show them.
	routes, rules []string
	// anyRules: with its device down the way back has no route, and its rules
	// lead nowhere whether they are there or not.
	anyRules bool
}

type expectedDevice struct {
	gateway            []netip.Addr
	published, guarded []string
}

// expect computes what a namespace of a host must hold. It is written from
// what Neutron's list of NDP proxies means, not from the planner. What the
// kernel has counts only for devices and their addresses: dumps are of all
// namespaces of the host.
func (w *World) expect(h *Host, ns string, dumps map[string]*Dump) *expectation {
	e := &expectation{devices: map[string]*expectedDevice{}}
	for _, r := range w.Routers {
		if !r.Up || !r.Enabled || r.Gateway == nil || !h.carries(r) {
			continue
		}
		switch {
		case !r.Kind.Distributed():
			if ns == r.qrouter() && h.Mode != ModeDVRNoExternal {
				e.gatewayDevice(w, r, func(*Instance) bool { return true })
			}
		case ns == r.snat() && h.Mode == ModeDVRSNAT && slices.Contains(r.Hosts, h):
			e.gatewayDevice(w, r, func(vm *Instance) bool {
				return vm != nil && vm.Host != h && vm.Host.Mode == ModeDVRNoExternal
			})
		case ns == r.Gateway.Net.fip() && (h.Mode == ModeDVR || h.Mode == ModeDVRSNAT):
			e.sharedDevice(w, r, h, dumps)
		}
	}
	return e
}

// published are the addresses of a router that may be answered for at all.
func (w *World) published(r *Router, here func(*Instance) bool) []string {
	var out []string
	for _, p := range w.cloud.proxies {
		if p.Router != r || !here(w.instance(p.PortID)) {
			continue
		}
		if r.Gateway.Net.Prefix.Contains(p.Addr) {
			continue // somebody's on the external network, if anybody's
		}
		for _, i := range r.Interfaces {
			if i.Net.Prefix.Contains(p.Addr) && i.Net.Prefix.Addr() != p.Addr && i.Net.Scope == r.Gateway.Net.Scope && p.Addr != i.Addr {
				out = append(out, p.Addr.String())
				break
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// guarded are all internal subnets, whatever their scope: a change of it leaves
// no moment without.
func (r *Router) guarded() []string {
	var out []string
	for _, i := range r.Interfaces {
		out = append(out, i.Net.Prefix.String())
	}
	slices.Sort(out)
	return out
}

func (e *expectation) gatewayDevice(w *World, r *Router, here func(*Instance) bool) {
	e.devices[r.Gateway.qg()] = &expectedDevice{gateway: []netip.Addr{r.Gateway.Addr},
		published: w.published(r, here), guarded: r.guarded()}
}

// sharedDevice adds one router's part of a fip- namespace: nothing while there
// is no way from there to its instances.
func (e *expectation) sharedDevice(w *World, r *Router, h *Host, dumps map[string]*Dump) {
	published := w.published(r, func(vm *Instance) bool { return vm != nil && vm.Host == h })
	g := r.agentPorts[h.Name+r.Gateway.Net.ID]
	if len(published) == 0 || g == nil {
		return
	}
	here, inner := dumps[r.Gateway.Net.fip()], dumps[r.qrouter()]
	if inner == nil || !here.Devices[r.fpr()].usable() || inner.Devices[r.rfp()] == nil {
		return
	}
	next := inner.Devices[r.rfp()].LinkLocal()
	if !next.IsValid() {
		return
	}
	d := e.devices[g.fg()]
	if d == nil {
		d = &expectedDevice{gateway: []netip.Addr{g.Addr}}
		e.devices[g.fg()] = d
	}
	d.published = append(d.published, published...)
	d.guarded = append(d.guarded, r.guarded()...)
	slices.Sort(d.published)
	slices.Sort(d.guarded)
	for _, a := range published {
		e.routes = append(e.routes, fmt.Sprintf("%s via %s dev %s table 254", a, next, r.fpr()))
	}
	if g.Net.Gateway.IsValid() && here.Devices[g.fg()].usable() {
		e.routes = append(e.routes, fmt.Sprintf("default via %s dev %s table 110", g.Net.Gateway, g.fg()))
		e.rules = append(e.rules, "32800 iif "+r.fpr()+" table 110", "32800 iif lo table 110")
	} else if g.Net.Gateway.IsValid() {
		e.anyRules = true
	}
}

// usable devices are up and have IPv6; there may be none.
func (d *DeviceDump) usable() bool { return d != nil && d.Up() && d.IPv6 }

// differences between what must be and what is.
func (e *expectation) differences(ns string, d *Dump) []string {
	c := &comparison{e: e, d: d}
	c.same("our routes", sorted(e.routes), d.OurRoutes())
	if !e.anyRules {
		c.same("our rules", sorted(e.rules), d.OurRules())
	}
	c.devices()
	c.filter()
	for i := range c.out {
		c.out[i] = ns + ": " + c.out[i]
	}
	return c.out
}

type comparison struct {
	e   *expectation
	d   *Dump
	out []string
}

func (c *comparison) say(format string, args ...any) {
	c.out = append(c.out, fmt.Sprintf(format, args...))
}

func (c *comparison) same(what string, want, got []string) {
	if slices.Sort(got); !slices.Equal(want, got) {
		c.say("%s: want %v, got %v", what, want, got)
	}
}

func (c *comparison) devices() {
	for _, name := range sortedKeys(c.d.Devices) {
		dev, want := c.d.Devices[name], c.e.devices[name]
		var marked []string
		for _, p := range c.d.Proxies {
			if p.Dev == name && p.Protocol == Protocol {
				marked = append(marked, p.Dst)
			}
		}
		if want == nil {
			c.same("our entries on "+name, nil, marked)
			if dev.ProxyNDP == "1" {
				c.say("%s answers", name)
			}
			if dev.ProxyDelay != "" && dev.ProxyDelay != "80" {
				c.say("proxy_delay of %s is %s, not the kernel's", name, dev.ProxyDelay)
			}
			continue
		}
		if !dev.usable() {
			// The kernel dropped them, and they may have come back since.
			for _, a := range marked {
				if !slices.Contains(want.published, a) {
					c.say("entry %s on %s, which is down", a, name)
				}
			}
			if dev.ProxyNDP == "1" && dev.IPv6 {
				c.say("%s answers although it is down", name)
			}
			continue
		}
		c.same("our entries on "+name, want.published, marked)
		answer := "0"
		if slices.ContainsFunc(want.gateway, dev.Holds) {
			answer = "1"
		}
		if dev.ProxyNDP != answer {
			c.say("proxy_ndp of %s is %s, want %s", name, dev.ProxyNDP, answer)
		}
		if dev.ProxyDelay != "0" {
			c.say("proxy_delay of %s is %s", name, dev.ProxyDelay)
		}
	}
}

func (c *comparison) filter() {
	if wanted := len(c.e.devices) > 0; wanted != c.d.Present {
		c.say("our table present: %v, want %v", c.d.Present, wanted)
		return
	}
	sets, comments := map[string]bool{"record": true}, 0
	for name, want := range c.e.devices {
		sets["published-"+name], sets["guarded-"+name] = true, true
		c.same("set of what "+name+" lets in", want.published, c.d.Sets["published-"+name])
		c.same("set of what "+name+" guards", want.guarded, c.d.Sets["guarded-"+name])
		for _, rule := range []string{"confine " + name, "guard " + name, "mute " + name + " type 131", "mute " + name + " type 143"} {
			if !slices.ContainsFunc(c.d.Comments, func(s string) bool { return strings.HasPrefix(s, rule+" ") }) {
				c.say("no rule %q in %q", rule, c.d.Comments)
				continue
			}
			comments++
		}
		dev := c.d.Devices[name]
		if dev == nil || !dev.LinkLocal().IsValid() {
			// The one that the device will have may be named already.
			if dev != nil && slices.ContainsFunc(c.d.Comments, func(s string) bool {
				return strings.HasPrefix(s, "answer "+name+" by "+eui64(dev.MAC).String()+" ")
			}) {
				comments++
			}
			continue
		}
		comments++
		if rule := "answer " + name + " by " + dev.LinkLocal().String() + " "; !slices.ContainsFunc(c.d.Comments, func(s string) bool { return strings.HasPrefix(s, rule) }) {
			c.say("no rule %q for unicast solicitations in %q", rule, c.d.Comments)
		}
	}
	if len(c.d.Comments) != comments {
		c.say("%d rules in our table, want %d: %q", len(c.d.Comments), comments, c.d.Comments)
	}
	for name := range c.d.Sets {
		if !sets[name] {
			c.say("set %s is in our table", name)
		}
	}
}

// OurRoutes are those with our protocol.
func (d *Dump) OurRoutes() (out []string) {
	for _, r := range d.Routes {
		if r.Protocol == Protocol {
			out = append(out, fmt.Sprintf("%s via %s dev %s table %s", r.Dst, r.Gateway, r.Dev, r.Table))
		}
	}
	return out
}

// OurRules are those with our protocol.
func (d *Dump) OurRules() (out []string) {
	for _, r := range d.Rules {
		if r.Protocol == Protocol {
			out = append(out, fmt.Sprintf("%d iif %s table %s", r.Priority, r.IIF, r.Table))
		}
	}
	return out
}

// Foreign is what others have here, each thing in words, in order.
func (d *Dump) Foreign() []string {
	lines := []string{}
	for _, p := range d.Proxies {
		if p.Protocol != Protocol {
			lines = append(lines, fmt.Sprintf("proxy %s dev %s proto %s", p.Dst, p.Dev, p.Protocol))
		}
	}
	for _, r := range d.Routes {
		if r.Protocol != Protocol {
			lines = append(lines, fmt.Sprintf("route %s via %s dev %s table %s proto %s", r.Dst, r.Gateway, r.Dev, r.Table, r.Protocol))
		}
	}
	for _, r := range d.Rules {
		if r.Protocol != Protocol {
			lines = append(lines, fmt.Sprintf("rule %d from %s iif %s table %s", r.Priority, r.Src, r.IIF, r.Table))
		}
	}
	for _, table := range d.Tables {
		if !strings.HasSuffix(table, " "+Table) {
			lines = append(lines, "table "+table)
		}
	}
	slices.Sort(lines)
	return lines
}
