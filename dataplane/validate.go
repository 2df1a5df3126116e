package dataplane

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// maxProxyDelay bounds what is taken for a sensible proxy_delay.
const maxProxyDelay = time.Hour

// checkDevice refuses names that the kernel refuses, and those that mean
// something else below /proc/sys/net/ipv6/conf.
func checkDevice(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || len(name) >= unix.IFNAMSIZ,
		strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) || r == 0 }):
		return fmt.Errorf("%w: %q is not the name of a device", ErrInvalid, name)
	case name == "all" || name == "default":
		return fmt.Errorf("%w: a device called %q has the name of all devices' settings", ErrInvalid, name)
	}
	return nil
}

// checkPublished: the kernel would proxy anything, even ff02::1 or its own
// link-local address.
func checkPublished(a netip.Addr) error {
	if !a.Is6() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() {
		return fmt.Errorf("%w: %s is not a global IPv6 unicast address", ErrInvalid, a)
	}
	return nil
}

func checkGuarded(p netip.Prefix) error {
	if !p.IsValid() || !p.Addr().Is6() || p.Addr().Is4In6() {
		return fmt.Errorf("%w: %s is not an IPv6 prefix", ErrInvalid, p)
	}
	return nil
}

func checkLinkLocal(a netip.Addr) error {
	if !a.Is6() || a.Zone() != "" || !a.IsLinkLocalUnicast() {
		return fmt.Errorf("%w: %s is not an IPv6 link-local address", ErrInvalid, a)
	}
	return nil
}

func checkDelay(d time.Duration) error {
	if d != LeaveProxyDelay && (d < 0 || d > maxProxyDelay) {
		return fmt.Errorf("%w: proxy_delay %s is not between 0 and %s", ErrInvalid, d, maxProxyDelay)
	}
	return nil
}

// valid returns the state without what no kernel should be given, and a
// failure for each of those; nothing else is lost with them.
func valid(want State) (State, []Failure) {
	var failures []Failure
	out := State{Namespace: want.Namespace}
	seen := map[string]bool{}
	for _, d := range want.Devices {
		refuse := func(a netip.Addr, op string, err error) {
			failures = append(failures, Failure{Device: d.Name, Addr: a, Op: op, Err: err})
		}
		if err := checkDevice(d.Name); err != nil {
			refuse(netip.Addr{}, opDevice, err)
			continue
		}
		if seen[d.Name] {
			refuse(netip.Addr{}, opDevice, fmt.Errorf("%w: wanted twice", ErrInvalid))
			continue
		}
		seen[d.Name] = true
		v := Device{
			Name: d.Name, Answer: d.Answer, LinkLocal: d.LinkLocal, ProxyDelay: d.ProxyDelay, Open: d.Open, Exclusive: d.Exclusive,
		}
		for _, a := range d.Published {
			if err := checkPublished(a); err != nil {
				refuse(a, opPublish, err)
				continue
			}
			v.Published = append(v.Published, a)
		}
		for _, p := range d.Guarded {
			if err := checkGuarded(p); err != nil {
				refuse(netip.Addr{}, opGuard, err)
				continue
			}
			v.Guarded = append(v.Guarded, p)
		}
		if v.LinkLocal.IsValid() {
			if err := checkLinkLocal(v.LinkLocal); err != nil {
				refuse(netip.Addr{}, opLinkLocal, err)
				v.LinkLocal = netip.Addr{}
			}
		}
		if err := checkDelay(v.ProxyDelay); err != nil {
			refuse(netip.Addr{}, opDelay, err)
			v.ProxyDelay = LeaveProxyDelay
		}
		out.Devices = append(out.Devices, v)
	}
	out, ways := validWays(want, validIdle(want, out))
	out.Normalize()
	return out, append(failures, ways...)
}

// Operations, as [Failure.Op] names them.
const (
	opDevice    = "device"
	opPublish   = "publish"
	opGuard     = "guard"
	opLinkLocal = "link-local"
	opDelay     = "proxy_delay"
	opAnswer    = "proxy_ndp"
	opSet       = "entry set"
	opAdopt     = "entry adopt"
	opDelete    = "entry delete"
	opRemove    = "entry remove"
	opFilter    = "filter"

	opRouteSet    = "route set"
	opRouteDelete = "route delete"
	opRouteRemove = "route remove"
	opRuleAdd     = "rule add"
	opRuleDelete  = "rule delete"
)
