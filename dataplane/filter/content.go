package filter

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"
)

// NoDelay as [Device.OriginalDelay]: proxy_delay was never changed by us.
const NoDelay time.Duration = -1

// Content is what the table holds: the devices, sorted by name. Without
// devices there is no table.
type Content struct {
	Devices []Device
}

// Device is one device's part of the table.
type Device struct {
	Name string
	// LinkLocal receives unicast solicitations for published addresses; the
	// zero Addr: no such rule.
	LinkLocal netip.Addr
	// Published addresses pass and are answered for; sorted, unique.
	Published []netip.Addr
	// Guarded prefixes are dropped unless published; see [Canonical].
	Guarded []netip.Prefix
	// Open leaves networks that are not guarded as they are. Without it they are
	// shut: what is guarded is all that there is.
	Open bool
	// OriginalDelay is proxy_delay as it was before we changed it, or [NoDelay].
	OriginalDelay time.Duration
}

// Canonical returns the shortest sorted list of prefixes that cover the same
// IPv6 addresses: overlaps and neighbours merged, as an interval set demands.
func Canonical(prefixes []netip.Prefix) []netip.Prefix {
	set := ipset(prefixes)
	if set == nil {
		return nil
	}
	return set.Prefixes()
}

func ipset(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, err := b.IPSet()
	if err != nil { // an invalid prefix; callers validate
		return nil
	}
	return set
}

// Device returns the device of that name.
func (c Content) Device(name string) (Device, bool) {
	for _, d := range c.Devices {
		if d.Name == name {
			return d, true
		}
	}
	return Device{}, false
}

// Equal reports whether both would write the same table.
func (c Content) Equal(o Content) bool {
	return slices.EqualFunc(c.Devices, o.Devices, Device.Equal)
}

// Equal reports whether both devices have the same part of the table.
func (d Device) Equal(o Device) bool {
	return d.Name == o.Name && d.LinkLocal == o.LinkLocal && d.Open == o.Open && d.OriginalDelay == o.OriginalDelay &&
		slices.Equal(d.Guarded, o.Guarded) && slices.Equal(d.Published, o.Published)
}

// Union is what lets through all that c or next lets through, and guards all
// that either guards: the state between an addition and a removal. Where only
// one value is possible (link-local, original delay) next decides.
func (c Content) Union(next Content) Content {
	byName := make(map[string]Device, len(c.Devices)+len(next.Devices))
	for _, d := range c.Devices {
		byName[d.Name] = d
	}
	for _, d := range next.Devices {
		old, ok := byName[d.Name]
		if ok {
			d.Published = mergeSorted(old.Published, d.Published)
			d.Guarded = Canonical(append(slices.Clone(old.Guarded), d.Guarded...))
			d.Open = old.Open && d.Open
			if d.OriginalDelay == NoDelay {
				d.OriginalDelay = old.OriginalDelay
			}
		}
		byName[d.Name] = d
	}
	var u Content
	for _, d := range byName {
		u.Devices = append(u.Devices, d)
	}
	slices.SortFunc(u.Devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return u
}

func mergeSorted(a, b []netip.Addr) []netip.Addr {
	if slices.Equal(a, b) {
		return b
	}
	out := make([]netip.Addr, 0, len(a)+len(b))
	out = append(append(out, a...), b...)
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// SortedDiff returns what is only in a and what is only in b; both are sorted
// and unique.
func SortedDiff(a, b []netip.Addr) (onlyA, onlyB []netip.Addr) {
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0].Compare(b[0]), 0) {
		case -1:
			onlyA, a = append(onlyA, a[0]), a[1:]
		case 1:
			onlyB, b = append(onlyB, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}
