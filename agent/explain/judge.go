package explain

import (
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// Judge walks the chain. An address that several routers publish, or that is served
// in several places, has a chain for each; the answer is the one that gets farthest.
func Judge(f Facts) Answer {
	var best *chain
	for _, c := range chains(f) {
		c.walk()
		if best == nil || c.reached() > best.reached() {
			best = c
		}
	}
	a := best.answer()
	a.conclude()
	return a
}

// chain is one way from the server's object to the instance.
type chain struct {
	f *Facts
	// entry is nil if no router here has to do with the address, proxy if none
	// publishes it; server is what the server says of it, if it does.
	entry  *inventory.Entry
	proxy  *inventory.Proxy
	server *ServerProxy
	// site is nil if the address is served in no place here.
	site  *Site
	links []Link
}

func chains(f Facts) []*chain {
	var out []*chain
	for i := range f.Entries {
		e := &f.Entries[i]
		for j := range e.Proxies {
			p := &e.Proxies[j]
			c := chain{f: &f, entry: e, proxy: p, server: f.Server.proxy(p.ID)}
			before := len(out)
			for k := range f.Sites {
				if f.Sites[k].Router == e.Router.ID {
					with := c
					with.site = &f.Sites[k]
					out = append(out, &with)
				}
			}
			if len(out) == before {
				out = append(out, &c)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	c := chain{f: &f, server: f.Server.proxy("")}
	for i := range f.Entries {
		// The server's word decides between those that merely have the subnet.
		if c.entry == nil || c.server != nil && f.Entries[i].Router.ID == c.server.Router {
			c.entry = &f.Entries[i]
		}
	}
	return []*chain{&c}
}

// proxy returns the server's proxy of that id, "": any.
func (s *Server) proxy(id string) *ServerProxy {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Proxies, func(p ServerProxy) bool { return id == "" || p.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Proxies[i]
}

// step makes one link.
type step struct {
	name string
	look func(*chain) Link
}

func steps() []step {
	return []step{
		{LinkDaemon, (*chain).daemon}, {LinkServer, (*chain).synced}, {LinkProxy, (*chain).object},
		{LinkRouter, (*chain).router}, {LinkAllowed, (*chain).allowed}, {LinkHost, (*chain).host},
		{LinkNamespace, (*chain).namespace}, {LinkDevice, (*chain).device}, {LinkCarrier, (*chain).carrier},
		{LinkIPv6, (*chain).ipv6}, {LinkGateway, (*chain).gateway}, {LinkLinkLocal, (*chain).linkLocal},
		{LinkPair, (*chain).pair}, {LinkSysctls, (*chain).sysctls}, {LinkEntry, (*chain).neighbour},
		{LinkFilter, (*chain).filter}, {LinkForeign, (*chain).foreign}, {LinkRoute, (*chain).route},
		{LinkWayBack, (*chain).wayBack}, {LinkInstance, (*chain).instance}, {LinkAnnounced, (*chain).announced},
		{LinkUpstream, (*chain).upstream},
	}
}

// walk makes the links up to the first broken one: what a later step needs to be
// there is what the earlier ones found.
func (c *chain) walk() {
	broken := false
	for _, s := range steps() {
		l := Link{Status: NotReached}
		if !broken {
			l = s.look(c)
		}
		l.Name = s.name
		broken = broken || l.Status == Broken
		c.links = append(c.links, l)
	}
}

// reached is how many links are before the first broken one.
func (c *chain) reached() int {
	if i := slices.IndexFunc(c.links, func(l Link) bool { return l.Status == Broken }); i >= 0 {
		return i
	}
	return len(c.links)
}

func (c *chain) answer() Answer {
	a := Answer{Address: c.f.Addr.String(), Host: c.f.Host, NetnsDir: c.f.NetnsDir, Links: c.links, Notes: c.notes()}
	if c.entry != nil {
		a.Router = c.entry.Router.ID
	}
	switch {
	case c.proxy != nil:
		a.Proxy, a.Port = c.proxy.ID, c.proxy.PortID
	case c.server != nil:
		a.Router, a.Proxy, a.Port = c.server.Router, c.server.ID, c.server.Port
	}
	if c.site != nil {
		a.Namespace, a.Device = c.site.At.Namespace, c.site.At.Device
	}
	for i := range a.Links {
		a.Links[i].Facts, a.Links[i].Do = printable(a.Links[i].Facts), printable(a.Links[i].Do)
	}
	return a
}

// Links of a kind.

func ok(facts string) Link { return Link{Status: OK, Facts: facts} }

func unknown(facts, do string) Link { return Link{Status: Unknown, Facts: facts, Do: do} }

func broken(facts, do string) Link { return Link{Status: Broken, Facts: facts, Do: do} }
