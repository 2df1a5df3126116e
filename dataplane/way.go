package dataplane

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// MainTable is the routing table that everybody uses (RT_TABLE_MAIN).
const MainTable = 254

// Route is one IPv6 route with our protocol and the metric 1024, the kernel's
// default. A plain value.
type Route struct {
	// Table is the routing table, [MainTable] or another.
	Table int
	// Dst is masked; ::/0 is the default route.
	Dst netip.Prefix
	// Via is the next hop; the zero value: Dst is on the link.
	Via    netip.Addr
	Device string
	// OnLink takes Via for a neighbour on Device whatever the routes say
	// (RTNH_F_ONLINK).
	OnLink bool
}

// String is as `ip -6 route` shows it, without protocol and metric.
func (r Route) String() string {
	var b strings.Builder
	b.WriteString(r.Dst.String())
	if r.Via.IsValid() {
		fmt.Fprintf(&b, " via %s", r.Via)
	}
	fmt.Fprintf(&b, " dev %s", r.Device)
	if r.OnLink {
		b.WriteString(" onlink")
	}
	if r.Table != MainTable {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	return b.String()
}

// Host reports whether the destination is a single address.
func (r Route) Host() bool { return r.Dst.IsValid() && r.Dst.IsSingleIP() }

// adopts reports whether the route may take the place of somebody else's: a
// host route that Neutron's extension left for a published address. Whoever has
// a default route in a table of ours uses the table for something else.
func (r Route) adopts() bool { return r.Host() && r.Table == MainTable }

// kernel is the route as it is written, on the device of that index.
func (r Route) kernel(index int, protocol uint8) route.Route {
	return route.Route{
		Table: uint32(r.Table), Dst: r.Dst, Via: r.Via, Index: index, OnLink: r.OnLink,
		Metric: route.DefaultMetric, Protocol: protocol, Type: route.Unicast,
	}
}

// place is where only one route can be used at a time: what else is there
// would take a share of the packets, or all.
type place struct {
	table    uint32
	dst, src netip.Prefix
	metric   uint32
}

func (r Route) place() place {
	return place{table: uint32(r.Table), dst: r.Dst, metric: route.DefaultMetric}
}

func (f FoundRoute) place() place {
	return place{table: f.Kernel.Table, dst: f.Kernel.Dst, src: f.Kernel.Src, metric: f.Kernel.Metric}
}

func (r Route) compare(o Route) int {
	return cmp.Or(cmp.Compare(r.Table, o.Table), r.Dst.Compare(o.Dst), strings.Compare(r.Device, o.Device), r.Via.Compare(o.Via))
}

// Rule is one IPv6 routing policy rule with our protocol (FRA_PROTOCOL): what
// comes in on a device is looked up in a table. A plain value.
type Rule struct {
	// Priority is its place in the list: those above 32766 come after the
	// main table, so they only see what has no route there.
	Priority int
	// IIF is the device that the packet came in on; "lo" stands for what the
	// namespace sends itself.
	IIF   string
	Table int
}

// String is as `ip -6 rule` shows it, with the priority in front.
func (r Rule) String() string {
	return fmt.Sprintf("%d iif %s table %d", r.Priority, r.IIF, r.Table)
}

func (r Rule) kernel(protocol uint8) rule.Rule {
	return rule.Rule{Priority: uint32(r.Priority), IIF: r.IIF, Table: uint32(r.Table), Protocol: protocol}
}

func (r Rule) compare(o Rule) int {
	return cmp.Or(cmp.Compare(r.Priority, o.Priority), strings.Compare(r.IIF, o.IIF), cmp.Compare(r.Table, o.Table))
}
