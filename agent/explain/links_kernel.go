package explain

import (
	"fmt"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/route"
)

func (c *chain) pair() Link {
	in := c.inner()
	if in == nil {
		return ok("the router is in the namespace itself")
	}
	if why := c.waiting(); why != "" {
		return broken(why, "the L3 agent makes the pair "+in.Device+" and "+in.PeerDevice+": systemctl status neutron-l3-agent; its log. "+
			"ip -n "+c.site.At.Namespace+" addr show "+in.Device+"; ip -n "+in.PeerNamespace+" addr show "+in.PeerDevice)
	}
	return ok(fmt.Sprintf("%s leads to %s in %s", in.Device, in.PeerDevice, in.PeerNamespace))
}

func (c *chain) sysctls() Link {
	i, _ := c.site.device()
	switch {
	case !i.Forwarding:
		return broken("IPv6 forwarding is off on "+i.Name+", so the kernel answers for nobody",
			"after a failover the L3 agent sets it within some seconds; else "+c.sysctl("conf", "forwarding", 1)+", and see the L3 agent's log")
	case !i.ProxyNDP && !c.site.Preview.Seen.AllProxyNDP:
		return broken("proxy_ndp of "+i.Name+" is 0, so the kernel answers for nobody", c.mend())
	}
	text := fmt.Sprintf("%s has proxy_ndp 1 and forwarding 1", i.Name)
	if d, _ := c.site.Preview.Plan.State.Device(i.Name); d.ProxyDelay >= 0 && i.ProxyDelay > d.ProxyDelay {
		text += fmt.Sprintf("; proxy_delay is %v: answers are late by up to that", i.ProxyDelay)
	}
	return ok(text)
}

func (c *chain) neighbour() Link {
	name := c.site.At.Device
	proxies := c.site.Preview.Seen.Proxies
	n := slices.IndexFunc(proxies, func(p dataplane.Proxy) bool { return p.Device == name && p.Addr == c.f.Addr })
	switch {
	case n < 0:
		return broken("no proxy neighbour for it is on "+name, c.mend())
	case !proxies[n].Ours:
		return ok(fmt.Sprintf("a proxy neighbour is on %s, made by somebody else (protocol %d); the daemon takes it over with its next look", name, proxies[n].Protocol))
	}
	return ok("a proxy neighbour of ours is on " + name)
}

func (c *chain) filter() Link {
	f, name := c.site.Preview.Seen.Filter, c.site.At.Device
	d, there := f.Device(name)
	i, _ := c.site.device()
	answer := "unicast solicitations are handed to " + d.Record.LinkLocal
	switch {
	case !f.Present:
		return broken("our nftables table is missing: a neighbour that checks (NUD) gets no answer, and nothing is closed", c.mend())
	case f.Problem != "":
		return broken("our nftables table is not as it was made: "+f.Problem, c.mend())
	case !there:
		return broken("our nftables table knows nothing of "+name+": a neighbour that checks (NUD) gets no answer", c.mend())
	case d.Known && !slices.Contains(d.Published, c.f.Addr):
		return broken("the address is not in the set of published ones in our nftables table: packets to it are dropped", c.mend())
	case d.Record.LinkLocal != i.LinkLocal().String():
		return broken(fmt.Sprintf("our nftables table hands unicast solicitations to %s, and %s has %s: a neighbour that checks (NUD) gets no answer",
			orNone(d.Record.LinkLocal), name, i.LinkLocal()), c.mend())
	case !d.Known:
		return unknown("our nftables table is there; its set of published addresses is too large to be compared with a list", "")
	}
	return ok("published in our nftables table; " + answer)
}

func (c *chain) foreign() Link {
	var doubts int
	for _, t := range []*dataplane.Trace{c.site.Trace, c.site.Peer} {
		if t == nil {
			continue
		}
		if len(t.Foreign.Drops) > 0 {
			d := t.Foreign.Drops[0]
			return broken(fmt.Sprintf("somebody else's packet filter in %s drops %s: %s", t.Namespace, d.What, d.Where), c.unfilter(t.Namespace, d))
		}
		doubts += len(t.Foreign.Doubts)
		if len(t.Foreign.Legacy) > 0 {
			return unknown("ip6tables-legacy has tables in "+t.Namespace+", which can't be read here", "ip netns exec "+t.Namespace+" ip6tables-legacy -nvL")
		}
	}
	switch {
	case c.site.Untraced != nil:
		return unknown("the packet filters of others could not be read: "+c.site.Untraced.Error(), "ip netns exec "+c.site.At.Namespace+" nft list ruleset")
	case doubts > 0:
		return ok(fmt.Sprintf("no rule of others drops it for certain; %d may, by marks, states, sets or ports", doubts))
	}
	return ok("no rule of others drops it")
}

func (c *chain) unfilter(ns string, d filter.Drop) string {
	do := "ip netns exec " + ns + " nft -a list ruleset, and whoever made the rule"
	if strings.Contains(d.Where, "neutron-l3-agent-NDP") {
		do = "it is of the L3 agent's own extension ndp_proxy: take it out of extensions in l3_agent.ini and restart the L3 agent (docs/migrate.md)"
	}
	return do
}

func (c *chain) route() Link {
	s := c.site
	if s.Trace == nil {
		return unknown("the route could not be asked for: "+errText(s.Untraced), "")
	}
	if l := c.ours(); l.Status == Broken {
		return l
	}
	last, external := s.Trace, s.At.Device
	if in := c.inner(); in != nil {
		if s.Peer == nil {
			return unknown("the route in "+in.PeerNamespace+" could not be asked for: "+errText(s.Untraced), "")
		}
		last, external = s.Peer, in.PeerDevice
	}
	ns := last.Namespace
	show := fmt.Sprintf("ip -n %s -6 route get %s iif %s", ns, c.f.Addr, last.From)
	switch r := last.Route; {
	case r.Kernel.Type == route.Local:
		return broken("the address is "+ns+"'s own, so packets go no further", "ip -n "+ns+" addr: whoever gave it the instance's address")
	case !last.Unicast():
		return broken(fmt.Sprintf("no route leads to it in %s", ns),
			"the router's interface in its subnet (qr-) is missing, down or without an address: "+c.neutron("openstack port list --router "+s.Router+"; the L3 agent's log; ")+show)
	case r.Device == external:
		return broken(fmt.Sprintf("in %s packets to it go back out on %s: %s", ns, external, r.Route),
			"the router's interface in its subnet (qr-) is missing, down or without an address, or somebody made that route; "+show)
	default:
		return ok(fmt.Sprintf("in %s by %s", ns, r.Route))
	}
}

// ours is the host route of a shared namespace.
func (c *chain) ours() Link {
	in, t := c.inner(), c.site.Trace
	if in == nil {
		return ok("")
	}
	ns := c.site.At.Namespace
	there := slices.ContainsFunc(c.site.Preview.Seen.Routes, func(r dataplane.FoundRoute) bool {
		return r.Table == dataplane.MainTable && r.Dst == prefix(c.f.Addr) && r.Device == in.Device
	})
	wins := t.Unicast() && t.Route.Device == in.Device
	switch {
	case wins:
		return ok("")
	case !there:
		return broken(fmt.Sprintf("no host route leads to it through %s in %s", in.Device, ns), c.mend())
	case !t.Unicast():
		return broken(fmt.Sprintf("a rule or route of somebody else in %s wins over ours, and leads nowhere", ns), "ip -n "+ns+" -6 rule; ip -n "+ns+" -6 route show table all")
	}
	return broken(fmt.Sprintf("a route of somebody else in %s wins over ours: %s (protocol %d, metric %d)", ns, t.Route.Route, t.Route.Kernel.Protocol, t.Route.Kernel.Metric),
		fmt.Sprintf("ip -n %s -6 route del %s metric %d; and whoever made it", ns, t.Route.Route, t.Route.Kernel.Metric))
}

func errText(err error) string {
	if err == nil {
		return "not tried"
	}
	return err.Error()
}
