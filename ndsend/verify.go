package ndsend

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/rtnl"
)

// Kind is what an address is to a device: why its kernel may answer for it.
type Kind string

// The kinds. KindAnycast includes the address of the routers of a subnet, which
// a forwarding device has by itself (RFC 4291 section 2.6.1).
const (
	KindOwn     Kind = "own"
	KindAnycast Kind = "anycast"
	KindProxy   Kind = "proxy"
	KindNone    Kind = "none"
)

// UnicastAnswer tells whether the kernel answers a solicitation that is sent to
// the address itself, as neighbour unreachability detection does (RFC 4861
// section 7.3.3).
type UnicastAnswer string

// The answers. With UnicastNeedsRule the kernel by itself does not, because it
// forwards the solicitation or finds no route for it. A packet filter's rule
// that hands it to an address of the device makes it answer, as
// neutron-ndp-proxy-agent's does. This package does not read packet filters.
const (
	UnicastAnswered    UnicastAnswer = "answered"
	UnicastNeedsRule   UnicastAnswer = "needs-rule"
	UnicastNotAnswered UnicastAnswer = "not-answered"
)

// DeviceState is what of a device and its namespace decides about answers.
type DeviceState struct {
	Up, Carrier bool
	// IPv6 is false with an MTU below 1,280 or with
	// net.ipv6.conf.<device>.disable_ipv6.
	IPv6 bool
	// Forwarding and ProxyNDP are those of net.ipv6.conf.<device>,
	// AllForwarding and AllProxyNDP of net.ipv6.conf.all.
	Forwarding, ProxyNDP, AllForwarding, AllProxyNDP bool
	// Source is the address that answers for others would come from, or one of
	// them, the zero Addr if the device has none that works.
	Source netip.Addr

	disabled, noARP bool
}

// Verification tells what a kernel would answer about one address.
type Verification struct {
	Target netip.Addr
	Kind   Kind
	// Router tells whether the answers would have the Router flag.
	Router bool
	// Multicast tells whether a solicitation to the solicited-node group, as
	// address resolution sends it (RFC 4861 section 7.2.2), is answered.
	Multicast bool
	Unicast   UnicastAnswer
	// Routed tells whether a route leads on to the address, for a proxy entry
	// alone. A unicast solicitation needs one, whatever it leads to.
	Routed bool
	// Missing are the reasons why Multicast is false; empty if it is true.
	Missing []Missing
	// UnicastMissing are the reasons why Unicast is UnicastNeedsRule.
	UnicastMissing []Missing
	Device         DeviceState
}

// Verify tells for each of targets what the kernel of the device would answer
// to a neighbour's solicitation: of a router, that is, from a link-local
// address. It sends nothing and needs no privilege but what config.Enter needs.
// The rules are those of ndisc_recv_ns and ip6_forward in the kernel's
// net/ipv6; packet filters, bridges, VRFs, routing tables of other address
// families and force_forwarding (Linux 6.17) are not looked at. Needs Linux 5.0.
//
// A device that is down is no error but a Missing. Errors: [ErrNoInterface],
// [ErrLinkType], [ErrNamespace], [ErrBadTarget].
func Verify(config Config, targets []netip.Addr) ([]Verification, error) {
	var all []Verification
	err := config.inspect(func(devices *deviceReader) error {
		v, err := openVerifier(devices, config.Interface)
		if err != nil {
			return err
		}
		for _, target := range targets {
			one, err := v.verify(target)
			if err != nil {
				return fmt.Errorf("verify %s: %w", target, err)
			}
			all = append(all, one)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// finding is what was found of one address on a device.
type finding struct {
	target    netip.Addr
	own       *rtnl.Address
	anycast   bool
	entry     *rtnl.Entry
	routed    bool     // known for an entry only, as is
	local     bool     // that the namespace itself has the address elsewhere
	elsewhere []string // devices with an entry, known without one here only
}

// judge decides as the kernel does.
func judge(name string, d DeviceState, f finding) Verification {
	v := Verification{Target: f.target, Device: d, Routed: f.routed}
	v.Missing = deviceMissing(name, d)
	switch {
	case f.own != nil:
		// Before all else, and whatever entries there are.
		v.Kind, v.Router = KindOwn, d.Forwarding
		if f.own.Flags&unix.IFA_F_TENTATIVE != 0 && f.own.Flags&unix.IFA_F_OPTIMISTIC == 0 {
			v.Missing = append(v.Missing, tentativeMissing(name, f))
		}
	case f.anycast:
		v.Kind, v.Router = KindAnycast, d.Forwarding
		v.Missing = append(v.Missing, sourceMissing(name, d)...)
	case f.entry != nil:
		v.Kind, v.Router = KindProxy, f.entry.Flags&unix.NTF_ROUTER != 0
		v.Missing = append(v.Missing, proxyMissing(name, d)...)
	default:
		v.Kind = KindNone
		v.Missing = append(v.Missing, entryMissing(name, f))
		v.Missing = append(v.Missing, proxyMissing(name, d)...)
	}
	v.Multicast = len(v.Missing) == 0
	switch {
	case !v.Multicast:
		v.Unicast = UnicastNotAnswered
		return v
	// A packet to an address that is local elsewhere is delivered, and the
	// solicitation in it answered, whatever all says.
	case v.Kind == KindProxy && !f.local:
		v.UnicastMissing = unicastMissing(d, f)
	}
	v.Unicast = UnicastAnswered
	if len(v.UnicastMissing) > 0 {
		v.Unicast = UnicastNeedsRule
	}
	return v
}
