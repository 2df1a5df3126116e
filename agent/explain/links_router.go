package explain

import (
	"fmt"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
)

func (c *chain) router() Link {
	if c.proxy == nil {
		return c.strange()
	}
	r := c.entry.Router
	switch {
	case !r.Enabled:
		return broken("router "+name(r)+" is here, and publishes nothing: enable_ndp_proxy is off", "openstack router set --enable-ndp-proxy "+r.ID)
	case r.Unsupported != "":
		return broken("router "+name(r)+" is not served: "+r.Unsupported, "see agent_mode in l3_agent.ini; "+doCheck)
	case r.Awaits != "" && c.site == nil && !r.Remote && c.place() != inventory.Elsewhere:
		return broken("router "+name(r)+" is here, and waits for "+r.Awaits,
			"the L3 agent makes it: systemctl status neutron-l3-agent; openstack network agent list --router "+r.ID)
	case len(r.External) == 0 && !r.Remote && r.Awaits == "":
		return broken("router "+name(r)+" is here, and has no gateway in an external network here", "openstack router set --external-gateway <network> "+r.ID)
	}
	return ok("router " + name(r) + " is here and publishes: " + kind(r))
}

// strange is the router that only the server knows of.
func (c *chain) strange() Link {
	id := c.server.Router
	if slices.Contains(c.f.Held, id) {
		return broken("router "+id+" may be here: what the server says of it could not be read",
			"journalctl -u "+program+" names what is wrong; nothing of it is changed meanwhile")
	}
	do := "ask the host that has it: openstack network agent list --router " + id
	text := "router " + id + " is not on this host"
	if host := c.server.GatewayHost; host != "" && host != c.f.Host {
		text += "; its gateway is on " + host
		do = "on " + host + ": " + program + " explain " + c.f.Addr.String()
	}
	return broken(text, do)
}

func kind(r inventory.Router) string {
	var parts []string
	for _, at := range r.External {
		text := at.Device + " in " + at.Namespace
		switch {
		case at.Inner != nil:
			text += " (distributed, for the instances of this host)"
		case at.Serves == inventory.Edge:
			text += " (the centralised part of a distributed router)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// place is where the port is, [inventory.Anywhere] where that matters not or is not known.
func (c *chain) place() inventory.Place { return c.entry.Places[c.proxy.PortID] }

func (c *chain) allowed() Link {
	if why := plan.Refuse(c.entry.Router, c.f.Addr); why != "" {
		do := "delete the proxy, or give the instance an address of an internal subnet"
		switch {
		case strings.Contains(why, "address scope"):
			do = "the subnet pools of the internal and of the external network have to be of one address scope: openstack subnet pool show; openstack address scope list"
		case strings.Contains(why, "outside every internal"):
			do = "openstack router add subnet " + c.entry.Router.ID + " <subnet>, if the router should have it; else delete the proxy"
		}
		return broken("router "+name(c.entry.Router)+" may not publish it: "+why, do)
	}
	if c.crowded() {
		return broken(fmt.Sprintf("%s publishes as many addresses as max_addresses allows (%d), and this one came later", c.site.At.Device, c.f.Most),
			"raise [ndp_proxy] max_addresses and restart the daemon, or delete proxies. From about 5,000 on one device the kernel gets slow")
	}
	return ok("inside " + c.subnet() + ", an internal subnet, of the gateway's address scope")
}

// crowded: the plan has no room for the address.
func (c *chain) crowded() bool {
	placed := !c.entry.Router.ByPlace() || c.place() != inventory.Anywhere
	return c.site != nil && c.site.Preview.Plan.Excess > 0 && placed && !c.planned() && c.waiting() == ""
}

// planned: a look would publish the address here.
func (c *chain) planned() bool {
	d, _ := c.site.Preview.Plan.State.Device(c.site.At.Device)
	return slices.Contains(d.Published, c.f.Addr)
}

// waiting is what the plan waits for before it publishes the address.
func (c *chain) waiting() string {
	for _, w := range c.site.Preview.Plan.Waiting {
		if w.Proxy.Addr == c.f.Addr && w.Proxy.RouterID == c.proxy.RouterID {
			return w.Reason
		}
	}
	return ""
}

func (c *chain) host() Link {
	r, place := c.entry.Router, c.place()
	switch {
	case r.Remote:
		return c.elsewhere("this host has agent_mode dvr_no_external: others publish what it has")
	case !r.ByPlace():
		return ok("this host serves all ports of the router")
	case place == inventory.Anywhere && (c.site == nil || !c.planned()):
		return broken("where port "+orNone(c.proxy.PortID)+" is, the server has not said yet, so it is not newly published",
			"it is asked again at least every "+c.f.Audit.String()+"; openstack port show "+c.proxy.PortID+" -c binding_host_id")
	case place == inventory.Anywhere:
		return ok("where the port is, nobody has said yet; what is published stays")
	case c.site == nil:
		return c.elsewhere("port " + orNone(c.proxy.PortID) + " is not on this host, so another one publishes it")
	case place == inventory.Edge:
		return ok("the port's host does not meet the external network, so the node with the gateway serves it: this one")
	}
	return ok("port " + c.proxy.PortID + " is on this host")
}

// elsewhere names the host that serves it, if the server has told.
func (c *chain) elsewhere(text string) Link {
	do := "ask the host of the port: openstack port show " + orNone(c.proxy.PortID) + " -c binding_host_id"
	if c.server != nil && c.server.PortHost != "" {
		text += ": the port is on " + c.server.PortHost
		do = "on " + c.server.PortHost + ": " + program + " explain " + c.f.Addr.String()
	}
	return broken(text, do)
}
