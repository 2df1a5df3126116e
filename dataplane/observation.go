package dataplane

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/netns"
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

// Observation is what one namespace looks like.
type Observation struct {
	Namespace string
	ID        ID
	Depth     Depth
	// Interfaces are sorted by name.
	Interfaces []Interface
	// Proxies of all devices and all makers, sorted by device and address.
	Proxies []Proxy
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

// Foreign returns the entries that are not ours. We never delete them; on a
// device that answers the kernel answers for them too.
func (o Observation) Foreign() []Proxy {
	return slices.DeleteFunc(slices.Clone(o.Proxies), func(p Proxy) bool { return p.Ours })
}

// Owned reports whether anything of ours is in the namespace.
func (o Observation) Owned() bool {
	return o.Filter.Present || slices.ContainsFunc(o.Proxies, func(p Proxy) bool { return p.Ours })
}
