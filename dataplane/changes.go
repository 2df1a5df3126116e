package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// Kind is what a change or a drift is about.
type Kind string

// Kinds of what we write.
const (
	KindEntry  Kind = "entry"
	KindSysctl Kind = "sysctl"
	KindFilter Kind = "filter"
	KindRoute  Kind = "route"
	KindRule   Kind = "rule"
)

// Kinds lists all kinds, for metrics that should show zeros.
func Kinds() []Kind { return []Kind{KindEntry, KindSysctl, KindFilter, KindRoute, KindRule} }

// Changes is what has to be written to a namespace. A plain value: it can be
// printed, compared and thrown away.
type Changes struct {
	Namespace string
	// ID of the namespace that was observed: no other gets these changes.
	ID     ID
	Filter FilterChange
	Routes RouteChange
	Rules  RuleChange
	// Devices are sorted by name; those without a change are left out.
	Devices []DeviceChange
	// Failures are known without writing: invalid values, missing devices.
	Failures []Failure
	// Drift counts what is not as this process, or the record in the kernel,
	// knows it to have been: somebody's hand. What the kernel itself drops is
	// none, as far as it can be told: a device that was made again has another
	// index, and one that was down (or without IPv6) another link-local address,
	// see [Interface].LinkLocalSince; without one, it counts.
	Drift map[Kind]int
}

// FilterChange is up to two transactions: Open before any entry is made, Close
// after entries were withdrawn. Nil: nothing to do.
type FilterChange struct {
	// Base is what the kernel holds; nil: unknown or none, write it whole.
	Base *filter.Content
	// Open lets through and guards both what was and what will be.
	Open *filter.Content
	// Close is the final content. Without devices: the table goes.
	Close *filter.Content
	// Reason for writing it whole, if it was there.
	Reason string
}

// final is the content when all is done; nil if nothing changes.
func (f FilterChange) final() *filter.Content {
	if f.Close != nil {
		return f.Close
	}
	return f.Open
}

// Switch is a change of [Device.Answer].
type Switch int

// Switches.
const (
	Keep Switch = iota
	On
	Off
)

// DeviceChange is what has to be written for one device.
type DeviceChange struct {
	Device string
	// Index of the device that was observed.
	Index int
	// Answer is the change of proxy_ndp, Answers its value after it.
	Answer  Switch
	Answers bool
	// Delay is the proxy_delay to write; nil: none.
	Delay *time.Duration
	// Set are the entries to make, sorted; Adopt those that somebody else made
	// and that get our mark; Delete those of ours that are no longer wanted.
	Set, Adopt, Delete []netip.Addr
	// Remove are the entries that somebody else made and an exclusive device
	// does not tolerate; sorted.
	Remove []netip.Addr
	// Kept are the wanted entries that are right already, if Answer changes.
	Kept []netip.Addr
}

func (d DeviceChange) empty() bool {
	return d.Answer == Keep && d.Delay == nil && len(d.Set)+len(d.Adopt)+len(d.Delete)+len(d.Remove) == 0
}

// Empty reports whether there is nothing to write. There may be Failures.
func (c Changes) Empty() bool {
	return c.Filter.Open == nil && c.Filter.Close == nil && len(c.Devices) == 0 && c.Routes.empty() && c.Rules.empty()
}

// Publish reports whether the kernel may answer for an address after these
// changes for which it does not answer now.
func (c Changes) Publish() bool {
	return slices.ContainsFunc(c.Devices, func(d DeviceChange) bool {
		return d.Answer == On || d.Answers && len(d.Set)+len(d.Adopt) > 0
	})
}

// String is a stable text, one line a write, in the order in which they are
// made per device; "" if empty.
//
//	filter make
//	filter qg-1 publish 2001:db8:0:1::5
//	route + 2001:db8:0:1::5/128 via fe80::2 dev fpr-1
//	entry + qg-1 2001:db8:0:1::5
//	sysctl qg-1 proxy_ndp 1
func (c Changes) String() string {
	var b strings.Builder
	c.writeFilter(&b)
	c.writeSet(&b)
	for _, d := range c.Devices {
		if d.Answer == Off {
			fmt.Fprintf(&b, "sysctl %s proxy_ndp 0\n", d.Device)
		}
		for _, a := range d.Delete {
			fmt.Fprintf(&b, "entry - %s %s\n", d.Device, a)
		}
		for _, a := range d.Remove {
			fmt.Fprintf(&b, "entry remove %s %s\n", d.Device, a)
		}
		if d.Delay != nil {
			fmt.Fprintf(&b, "sysctl %s proxy_delay %s\n", d.Device, *d.Delay)
		}
		for _, a := range d.Adopt {
			fmt.Fprintf(&b, "entry adopt %s %s\n", d.Device, a)
		}
		for _, a := range d.Set {
			fmt.Fprintf(&b, "entry + %s %s\n", d.Device, a)
		}
		if d.Answer == On {
			fmt.Fprintf(&b, "sysctl %s proxy_ndp 1\n", d.Device)
		}
	}
	c.writeDelete(&b)
	return b.String()
}

func (c Changes) writeFilter(b *strings.Builder) {
	final := c.Filter.final()
	switch {
	case final == nil:
		return
	case len(final.Devices) == 0:
		b.WriteString("filter delete\n")
		return
	case c.Filter.Base == nil && c.Filter.Reason != "":
		fmt.Fprintf(b, "filter remake: %s\n", c.Filter.Reason)
	case c.Filter.Base == nil:
		b.WriteString("filter make\n")
	}
	var base filter.Content
	if c.Filter.Base != nil {
		base = *c.Filter.Base
	}
	for _, d := range base.Devices {
		if _, stays := final.Device(d.Name); !stays {
			fmt.Fprintf(b, "filter %s remove\n", d.Name)
		}
	}
	for _, d := range final.Devices {
		old, ok := base.Device(d.Name)
		if !ok {
			old = filter.Device{Name: d.Name, OriginalDelay: filter.NoDelay}
		}
		writeFilterDevice(b, old, d)
	}
}

func writeFilterDevice(b *strings.Builder, old, d filter.Device) {
	if old.LinkLocal != d.LinkLocal {
		text := "none"
		if d.LinkLocal.IsValid() {
			text = d.LinkLocal.String()
		}
		fmt.Fprintf(b, "filter %s link-local %s\n", d.Name, text)
	}
	if !slices.Equal(old.Guarded, d.Guarded) {
		fmt.Fprintf(b, "filter %s guard %v\n", d.Name, d.Guarded)
	}
	if old.Open != d.Open {
		word := "shut"
		if d.Open {
			word = "open"
		}
		fmt.Fprintf(b, "filter %s other networks %s\n", d.Name, word)
	}
	gone, added := filter.SortedDiff(old.Published, d.Published)
	for _, a := range gone {
		fmt.Fprintf(b, "filter %s withdraw %s\n", d.Name, a)
	}
	for _, a := range added {
		fmt.Fprintf(b, "filter %s publish %s\n", d.Name, a)
	}
	if old.OriginalDelay != d.OriginalDelay {
		text := "none"
		if d.OriginalDelay != filter.NoDelay {
			text = d.OriginalDelay.String()
		}
		fmt.Fprintf(b, "filter %s remember proxy_delay %s\n", d.Name, text)
	}
}

// Result is what an Apply did.
type Result struct {
	// Answerable are the addresses, by device, for which the kernel answers
	// now and did not before: those to announce.
	Answerable map[string][]netip.Addr
	// Withdrawn are the addresses for which it did and does no more.
	Withdrawn map[string][]netip.Addr
	// Removed are the entries, by device, that somebody else had made and that
	// an exclusive device does not tolerate ([Device.Exclusive]); they are not
	// among the Withdrawn. RemovedRoutes are the routes that went with them.
	Removed       map[string][]netip.Addr
	RemovedRoutes []Route
	// Writes counts what was written to the kernel.
	Writes int
	// Drift is that of the Changes, of those kinds of which all was repaired.
	Drift    map[Kind]int
	Failures []Failure
}
