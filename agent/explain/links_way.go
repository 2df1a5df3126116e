package explain

import (
	"fmt"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/neigh"
)

// wayBack is out of a shared namespace: what the plan wants there.
func (c *chain) wayBack() Link {
	in, s := c.inner(), c.site
	if in == nil {
		return ok("by the router's own routes")
	}
	var missing []string
	for _, want := range s.Preview.Plan.State.Routes {
		if want.Table == dataplane.MainTable {
			continue
		}
		if !slices.ContainsFunc(s.Preview.Seen.Routes, func(r dataplane.FoundRoute) bool { return r.Ours && r.Route == want }) {
			missing = append(missing, "route "+want.String())
		}
	}
	for _, want := range s.Preview.Plan.State.Rules {
		if want.IIF == in.Device && !slices.ContainsFunc(s.Preview.Seen.Rules, func(r dataplane.FoundRule) bool { return r.Ours && r.Rule == want }) {
			missing = append(missing, "rule "+want.String())
		}
	}
	if len(missing) > 0 {
		do := c.mend()
		if taken := s.Preview.Seen.BlockedRoutes(s.Preview.Plan.State); len(taken) > 0 {
			do = fmt.Sprintf("somebody else's route is in its place, and stays: %s (protocol %d). Remove it", taken[0].Route, taken[0].Kernel.Protocol)
		}
		return broken("what the instance sends beyond the link finds no way out of "+s.At.Namespace+": missing "+strings.Join(missing, ", "), do)
	}
	if !in.Gateway.IsValid() {
		return ok("the external subnet has no gateway: the instance reaches the link only")
	}
	return ok("by " + in.Gateway.String())
}

func (c *chain) instance() Link {
	t := c.site.Trace
	if c.inner() != nil {
		t = c.site.Peer
	}
	if t == nil {
		return unknown("it could not be asked for", "")
	}
	where := fmt.Sprintf("%s on %s in %s", t.Next, t.Route.Device, t.Namespace)
	look := fmt.Sprintf("ip netns exec %s ping %s", t.Namespace, c.f.Addr)
	switch n := t.Neighbour; n.State {
	case neigh.StateAbsent:
		return unknown("nothing was sent to "+where+" lately, so it is not known whether the instance answers", look)
	case neigh.StateIncomplete:
		return unknown(where+" is being asked for at this moment", look)
	case neigh.StateFailed:
		return broken("the instance does not answer for "+where,
			"is it running, and has it the address? "+c.neutron("openstack port show "+c.proxy.PortID+"; ")+look)
	default:
		return ok(fmt.Sprintf("%s is %s, link-layer address %s", where, n.State, n.MAC))
	}
}

func (c *chain) announced() Link {
	d := c.site.Debt
	switch {
	case d == nil:
		return ok("nothing is announced, as announce = false says")
	case d.Owed && d.Err != nil:
		return broken(fmt.Sprintf("it was not announced since %s: %v", when(d.Since), d.Err),
			"neighbours that know another link-layer address for it keep that. What is in the way is named; it is tried again")
	case d.Owed:
		return unknown("its announcement is about to leave", "")
	case d.Repeating:
		return ok("announced, and repeated soon")
	}
	return ok("nothing is owed")
}

// upstream can't be seen from here.
func (c *chain) upstream() Link {
	return unknown("what a neighbour hears was not tried", program+" explain --probe "+c.f.Addr.String()+", as root")
}
