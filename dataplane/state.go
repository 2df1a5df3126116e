package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// State is what one namespace should look like. It is a plain value: equal
// states print the same text ([State.String]), whatever order they were built
// in, once [State.Normalize] has run. A State without devices means that
// nothing of ours stays in the namespace.
type State struct {
	// Namespace is the name under the directory of named namespaces,
	// as `ip netns` shows it.
	Namespace string
	// Devices are sorted by name; a name occurs once.
	Devices []Device
	// Routes and Rules are the way to the published addresses and back, where
	// the namespace has none of its own; sorted, unique. They carry our
	// protocol in the kernel, are made before the first entry and go after the
	// last.
	Routes []Route
	Rules  []Rule
	// Idle are devices on which nothing is published, sorted by name, none of
	// Devices. Ways are devices besides those of Routes on which host routes of
	// somebody else are looked for ([Observation.ForeignRoutes]); sorted, unique.
	Idle []Idle
	Ways []string
}

// LeaveProxyDelay as [Device.ProxyDelay] keeps the kernel's own value.
const LeaveProxyDelay time.Duration = -1

// Device is what one external device of a namespace should do.
type Device struct {
	Name string
	// Answer is conf.<device>.proxy_ndp: whether the kernel answers
	// solicitations for the published addresses. Everything else is
	// programmed whether or not it answers, so that a failover is one sysctl.
	//
	// False, and a device that is wanted no more, means 0, also where it was 1
	// before us: the switch is of the whole device, and entries that somebody
	// else made must not be answered for on a device that is told not to
	// answer. Neutron leaves it 0 in a router's namespace.
	Answer bool
	// LinkLocal is the device's own usable link-local address, to which a
	// unicast solicitation for a published address is handed so that the
	// kernel answers it with conf.all.proxy_ndp=0. The zero value: no such
	// rule, unicast solicitations stay unanswered. So do unicast ones with an
	// extension header before ICMPv6 (hop-by-hop options): no known host sends
	// them, and the rule's checksum is right without one only.
	LinkLocal netip.Addr
	// ProxyDelay is neigh.<device>.proxy_delay, the upper end of the random
	// delay of a proxied answer (RFC 4861 section 7.2.8), in steps of 10 ms;
	// [LeaveProxyDelay] does not touch it.
	ProxyDelay time.Duration
	// Published addresses are answered for and let through; sorted, unique.
	Published []netip.Addr
	// Guarded prefixes are dropped when they come in on this device, but for
	// the published addresses; sorted, unique, masked.
	Guarded []netip.Prefix
	// Open leaves networks that are in no guarded prefix as they are. Without it
	// Guarded is all that is behind the device, and what goes on to another network
	// is dropped: it is one that nobody told us of yet.
	Open bool
	// Exclusive deletes the proxy entries that somebody else made on this
	// device and that are not published. False leaves and reports them.
	Exclusive bool
}

// Normalize sorts and removes repetitions in place, so that equal states are
// equal values. Devices of one name are the caller's error and left alone.
func (s *State) Normalize() {
	slices.SortFunc(s.Devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	for i, r := range s.Routes {
		s.Routes[i].Dst = r.Dst.Masked()
	}
	slices.SortFunc(s.Routes, Route.compare)
	s.Routes = slices.Compact(s.Routes)
	slices.SortFunc(s.Rules, Rule.compare)
	s.Rules = slices.Compact(s.Rules)
	slices.SortFunc(s.Idle, func(a, b Idle) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(s.Ways)
	s.Ways = slices.Compact(s.Ways)
	for i := range s.Devices {
		d := &s.Devices[i]
		slices.SortFunc(d.Published, netip.Addr.Compare)
		d.Published = slices.Compact(d.Published)
		for j, p := range d.Guarded {
			d.Guarded[j] = p.Masked()
		}
		slices.SortFunc(d.Guarded, netip.Prefix.Compare)
		d.Guarded = slices.Compact(d.Guarded)
	}
}

// Device returns the device of that name.
func (s State) Device(name string) (Device, bool) {
	for _, d := range s.Devices {
		if d.Name == name {
			return d, true
		}
	}
	return Device{}, false
}

// String is the stable text form: goldens, diffs and reports use it. One line
// a fact, in the order of the (normalized) fields:
//
//	namespace qrouter-1
//	device qg-1 answer on link-local fe80::1 proxy-delay 0s
//	  guard 2001:db8:0:1::/64
//	  publish 2001:db8:0:1::5
//	route 2001:db8:0:1::5/128 via fe80::2 dev fpr-1
//	route ::/0 via 2001:db8::1 dev fg-1 onlink table 110
//	rule 32800 iif fpr-1 table 110
//	idle fg-2 exclusive
//	way fpr-2
func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "namespace %s\n", s.Namespace)
	for _, d := range s.Devices {
		fmt.Fprintln(&b, deviceLine(d.Name, d.Answer, d.LinkLocal, d.ProxyDelay))
		for _, p := range d.Guarded {
			fmt.Fprintf(&b, "  guard %s\n", p)
		}
		if d.Open {
			b.WriteString("  open\n")
		}
		if d.Exclusive {
			b.WriteString("  exclusive\n")
		}
		for _, a := range d.Published {
			fmt.Fprintf(&b, "  publish %s\n", a)
		}
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s\n", r)
	}
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "rule %s\n", r)
	}
	for _, i := range s.Idle {
		exclusive := ""
		if i.Exclusive {
			exclusive = " exclusive"
		}
		fmt.Fprintf(&b, "idle %s%s\n", i.Name, exclusive)
	}
	for _, w := range s.Ways {
		fmt.Fprintf(&b, "way %s\n", w)
	}
	return b.String()
}
