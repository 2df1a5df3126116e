package dataplane

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// Interface is a device of a namespace with addresses and sysctls.
type Interface = link.Interface

// InterfaceAddr is one address of an [Interface].
type InterfaceAddr = link.Addr

// ID tells two namespaces of one name apart.
type ID = netns.ID

// Depth is how closely to look.
type Depth int

const (
	// Quick reads everything but the elements of published sets, of which it
	// believes the record (and, since Linux 6.16, the count) in the kernel.
	Quick Depth = iota
	// Deep also dumps published sets of up to filter.DeepLimit elements, so
	// that changes made by hand are found. In larger ones an address that was
	// exchanged for another by hand is not: the count stays.
	Deep
)

// Proxy is one proxy neighbour as the kernel has it.
type Proxy struct {
	Device   string
	Index    int
	Addr     netip.Addr
	Protocol uint8
	// Router: solicited answers carry the Router flag, as nobody's published
	// instance should.
	Router bool
	// Ours: it carries our protocol.
	Ours bool
}

// FoundRoute is one route as the kernel has it.
type FoundRoute struct {
	// Route is as much of it as a [Route] can say. Its Device is empty if there
	// is none of that index.
	Route
	// Kernel is all of it.
	Kernel route.Route
	// Ours: it carries our protocol.
	Ours bool
}

// FoundRule is one rule as the kernel has it.
type FoundRule struct {
	// Rule is as much of it as a [Rule] can say.
	Rule
	// Kernel is all of it.
	Kernel rule.Rule
	// Ours: it carries our protocol.
	Ours bool
}

// Observation is what one namespace looks like.
type Observation struct {
	Namespace string
	ID        ID
	Depth     Depth
	// Interfaces are sorted by name.
	Interfaces []Interface
	// Proxies of all devices and all makers, sorted by device and address.
	Proxies []Proxy
	// Routes of all tables and all makers, but for the namespace's own
	// addresses (table local), sorted by table, destination, device and next hop.
	Routes []FoundRoute
	// Rules of all makers, in the order in which the kernel looks at them.
	Rules []FoundRule
	// Filter is our nftables table.
	Filter filter.Found
	// AllProxyNDP is conf.all.proxy_ndp: never written here, but it makes
	// every forwarded packet walk the proxy table, and is worth a warning.
	AllProxyNDP bool
	// Baseline is what this process wrote or found before.
	Baseline Baseline
}

// Baseline is what a process knows to have been in a namespace after it wrote
// last, or when it first looked. What differs from it without our doing is
// drift.
type Baseline struct {
	Devices map[string]BaselineDevice
	// Filter was written last; nil: not by this process.
	Filter *filter.Content
	// Routes of ours, with the index of the device they were on.
	Routes map[Route]int
	// Rules of ours.
	Rules map[Rule]bool
}

// BaselineDevice is one device of a [Baseline].
type BaselineDevice struct {
	// Index tells a device that was made again, which is no drift.
	Index int
	// LinkLocalSince tells a device that was down, which is no drift.
	LinkLocalSince uint32
	// Managed: our table named it.
	Managed bool
	// Marked entries of ours; sorted.
	Marked     []netip.Addr
	ProxyNDP   bool
	ProxyDelay time.Duration
	// OriginalDelay is the delay before we changed it, or filter.NoDelay.
	OriginalDelay time.Duration
}

// Interface returns the interface of that name.
func (o Observation) Interface(name string) (Interface, bool) {
	n, ok := slices.BinarySearchFunc(o.Interfaces, name, func(i Interface, name string) int { return strings.Compare(i.Name, name) })
	if !ok {
		return Interface{}, false
	}
	return o.Interfaces[n], true
}

// Marked returns our entries of a device, sorted.
func (o Observation) Marked(device string) []netip.Addr {
	var out []netip.Addr
	for _, p := range o.Proxies {
		if p.Ours && p.Device == device {
			out = append(out, p.Addr)
		}
	}
	return out
}

// Foreign returns the entries that are not ours. Only an exclusive device
// deletes them; on a device that answers the kernel answers for them too.
func (o Observation) Foreign() []Proxy {
	return slices.DeleteFunc(slices.Clone(o.Proxies), func(p Proxy) bool { return p.Ours })
}

// ForeignRoutes returns what was published by other means: the routes that
// somebody else made as Neutron's ndp_proxy extension makes them (to a single
// address, main table, `proto static`, a link-local next hop) through a device
// that a wanted host route with a next hop uses or that is one of [State.Ways],
// and that no wanted route replaces. The L3 agent's own host route to a gateway outside its subnet is
// none: that is on the link of the external device (FipNamespace in
// neutron/agent/l3/dvr_fip_ns.py), to which only the way back leads.
//
// Only an exclusive device in the state has them deleted.
func (o Observation) ForeignRoutes(want State) []FoundRoute {
	devices, places := map[string]bool{}, map[place]bool{}
	for _, r := range want.Routes {
		places[r.place()] = true
		if r.Host() && r.Via.IsValid() {
			devices[r.Device] = true
		}
	}
	for _, w := range want.Ways {
		devices[w] = true
	}
	var out []FoundRoute
	for _, f := range o.Routes {
		if !f.Ours && f.Host() && f.Table == MainTable && devices[f.Device] && !places[f.place()] &&
			f.Via.IsLinkLocalUnicast() && f.Kernel.Protocol == route.Static && f.Kernel.Type == route.Unicast && !f.Kernel.Src.IsValid() {
			out = append(out, f)
		}
	}
	return out
}

// WinningRoutes returns the routes that somebody else made and that the kernel
// prefers to a wanted one: to the same destination in the same table, with a
// better metric, or for some sources only (of these every metric wins). The
// packets go their way, whoever answers for the address; nothing here changes
// that, it is to be told. Some may be [Observation.ForeignRoutes] as well.
func (o Observation) WinningRoutes(want State) []FoundRoute {
	type destination struct {
		table uint32
		dst   netip.Prefix
	}
	wanted := map[destination]bool{}
	for _, r := range want.Routes {
		wanted[destination{uint32(r.Table), r.Dst.Masked()}] = true
	}
	var out []FoundRoute
	for _, f := range o.Routes {
		if !f.Ours && wanted[destination{f.Kernel.Table, f.Kernel.Dst}] && (f.Kernel.Metric < route.DefaultMetric || f.Kernel.Src.IsValid()) {
			out = append(out, f)
		}
	}
	return out
}

// BlockedRoutes returns what somebody else has in the place of a wanted route
// that takes over no other's: all but host routes in the main table.
func (o Observation) BlockedRoutes(want State) []FoundRoute {
	places := map[place]bool{}
	for _, r := range want.Routes {
		if !r.adopts() {
			places[r.place()] = true
		}
	}
	var out []FoundRoute
	for _, f := range o.Routes {
		if !f.Ours && places[f.place()] {
			out = append(out, f)
		}
	}
	return out
}

// Owned reports whether anything of ours is in the namespace.
func (o Observation) Owned() bool {
	return o.Filter.Present || slices.ContainsFunc(o.Proxies, func(p Proxy) bool { return p.Ours }) ||
		slices.ContainsFunc(o.Routes, func(r FoundRoute) bool { return r.Ours }) ||
		slices.ContainsFunc(o.Rules, func(r FoundRule) bool { return r.Ours })
}
