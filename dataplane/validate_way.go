package dataplane

import (
	"fmt"
	"math"
	"net/netip"

	"neutron-ndp-proxy-agent/dataplane/route"
)

// checkTable: the local table is the kernel's.
func checkTable(table int) error {
	if table <= 0 || table == route.LocalTable || int64(table) > math.MaxUint32 {
		return fmt.Errorf("%w: %d is not a table for routes", ErrInvalid, table)
	}
	return nil
}

func checkRoute(r Route) error {
	if err := checkDevice(r.Device); err != nil {
		return err
	}
	if err := checkTable(r.Table); err != nil {
		return err
	}
	dst, via := r.Dst.Addr(), r.Via
	switch {
	case !r.Dst.IsValid() || !dst.Is6() || dst.Is4In6():
		return fmt.Errorf("%w: %s is not an IPv6 prefix", ErrInvalid, r.Dst)
	case r.Dst.Bits() > 0 && !dst.IsGlobalUnicast():
		return fmt.Errorf("%w: %s is not a global unicast destination", ErrInvalid, r.Dst)
	case via == netip.Addr{}:
		if r.OnLink {
			return fmt.Errorf("%w: on the link is a next hop, and there is none", ErrInvalid)
		}
	case !via.Is6() || via.Is4In6() || via.Zone() != "" || !via.IsGlobalUnicast() && !via.IsLinkLocalUnicast():
		return fmt.Errorf("%w: %s is not a next hop", ErrInvalid, via)
	}
	return nil
}

func checkRule(r Rule) error {
	if err := checkDevice(r.IIF); err != nil {
		return err
	}
	// Number 0 is the rule of the local table.
	if r.Priority <= 0 || int64(r.Priority) > math.MaxUint32 {
		return fmt.Errorf("%w: %d is not the priority of a rule", ErrInvalid, r.Priority)
	}
	return checkTable(r.Table)
}

// validWays adds the routes and rules to the state that can be made. What has
// a host route that cannot is not published.
func validWays(want, out State) (State, []Failure) {
	var failures []Failure
	var lost []netip.Addr
	seen := map[place]Route{}
	for _, r := range want.Routes {
		err := checkRoute(r)
		if err == nil {
			r.Dst = r.Dst.Masked()
			first, twice := seen[r.place()]
			if twice && first == r {
				continue
			}
			if twice {
				err = fmt.Errorf("%w: wanted twice, first %s", ErrInvalid, first)
			}
		}
		if err != nil {
			failures = append(failures, routeFailure(r, opRouteSet, err))
			if r.Host() {
				lost = append(lost, r.Dst.Addr())
			}
			continue
		}
		seen[r.place()] = r
		out.Routes = append(out.Routes, r)
	}
	for _, r := range want.Rules {
		if err := checkRule(r); err != nil {
			failures = append(failures, Failure{Op: opRuleAdd, Err: fmt.Errorf("%s: %w", r, err)})
			continue
		}
		out.Rules = append(out.Rules, r)
	}
	return out.without(lost), failures
}
