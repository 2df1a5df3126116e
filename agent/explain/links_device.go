package explain

import (
	"fmt"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent/inventory"
)

const doL3Agent = "the L3 agent makes it: systemctl status neutron-l3-agent; its log"

func (c *chain) namespace() Link {
	s := c.site
	switch {
	case s == nil:
		return broken(fmt.Sprintf("it is served in more than %d places here, and this one was not looked at", maxSites), doCheck)
	case s.Gone:
		return broken("namespace "+s.At.Namespace+" does not exist", doL3Agent)
	case s.Err != nil:
		return broken("namespace "+s.At.Namespace+" can't be looked at: "+s.Err.Error(), doCheck+" tells what the daemon lacks")
	case s.Preview.Untouchable != "":
		return unknown("nothing is changed in "+s.At.Namespace+": "+s.Preview.Untouchable, doCheck)
	}
	return ok(s.At.Namespace + " exists")
}

// down: not set up, as opposed to up without a carrier.
func (c *chain) down() bool { return c.site.Device != nil && !c.site.Device.Up }

func (c *chain) device() Link {
	s := c.site
	i, exists := s.device()
	switch {
	case !exists:
		return broken(fmt.Sprintf("device %s does not exist in %s", s.At.Device, s.At.Namespace), doL3Agent)
	case c.down():
		return broken(fmt.Sprintf("device %s in %s is down", i.Name, s.At.Namespace), c.ip("link set %s up", i.Name))
	}
	return ok(fmt.Sprintf("%s is there, link-layer address %s", i.Name, i.MAC))
}

func (c *chain) carrier() Link {
	i, _ := c.site.device()
	if !i.Up {
		return broken(i.Name+" has no carrier: nothing can come or go. What became answerable meanwhile is announced when it is back",
			"bring up the other end: the port of the bridge or of Open vSwitch that it is plugged into; "+c.ip("-d link show %s", i.Name))
	}
	return ok("it has one")
}

func (c *chain) ipv6() Link {
	i, _ := c.site.device()
	switch {
	case i.DisableIPv6:
		return broken("IPv6 is switched off on "+i.Name+" (disable_ipv6)", c.sysctl("conf", "disable_ipv6", 0))
	case !i.IPv6:
		return broken("no IPv6 runs on "+i.Name+": its MTU is below 1280", c.ip("link set %s mtu 1500", i.Name)+"; and the network's MTU in Neutron")
	}
	return ok("it runs on " + i.Name)
}

func (c *chain) gateway() Link {
	s := c.site
	i, _ := s.device()
	d, planned := s.Preview.Plan.State.Device(i.Name)
	// Of a device on which nothing can be published yet the plan says nothing.
	if d.Answer || !planned && slices.ContainsFunc(s.At.Addrs, i.Holds) {
		return ok(fmt.Sprintf("%s holds the gateway's address", i.Name))
	}
	for _, want := range s.At.Addrs {
		for _, a := range i.Addrs {
			switch {
			case a.Prefix.Addr() != want:
			case a.DADFailed:
				return broken(fmt.Sprintf("%s on %s failed duplicate address detection: another node on the link has it", want, i.Name),
					fmt.Sprintf("find the other node (tcpdump -eni on the external bridge, for advertisements of %s), then %s; %s",
						want, c.ip("address del %s dev %s", a.Prefix, i.Name), c.ip("address add %s dev %s", a.Prefix, i.Name)))
			case a.Tentative:
				return broken(fmt.Sprintf("%s on %s is still checked for duplicates", want, i.Name), "wait a few seconds")
			}
		}
	}
	text := fmt.Sprintf("%s does not hold the gateway's address (%s): this node is the backup of an HA router, or the L3 agent is not done", i.Name, gatewayAddresses(s.At))
	do := "ask the primary: openstack network agent list --router " + s.Router + " --long. If no node is: keepalived in the log of each"
	if c.f.Source == "file" {
		do = c.ip("address add <gateway address> dev %s, on the node that should be the gateway", i.Name)
	}
	if c.server != nil && c.server.GatewayHost != "" && c.server.GatewayHost != c.f.Host {
		do = "the server has the primary on " + c.server.GatewayHost + "; there: " + program + " explain " + c.f.Addr.String()
	}
	return broken(text, do)
}

func (c *chain) linkLocal() Link {
	i, _ := c.site.device()
	if a := i.LinkLocal(); a.IsValid() {
		return ok(a.String() + ", from which answers come")
	}
	for _, a := range i.Addrs {
		switch ip := a.Prefix.Addr(); {
		case !ip.IsLinkLocalUnicast():
		case a.DADFailed:
			return broken(fmt.Sprintf("%s of %s failed duplicate address detection: another device on the link has it, maybe with the same link-layer address", ip, i.Name),
				"find the other device (a second node that took over, or a cloned port), then "+c.ip("link set %s down; the same up", i.Name))
		case a.Tentative:
			return broken(fmt.Sprintf("%s of %s is still checked for duplicates: nothing can be announced yet", ip, i.Name), "wait a few seconds")
		}
	}
	return broken(i.Name+" has no link-local address: a neighbour that checks (NUD) gets no answer, and nothing can be announced",
		c.ip("address add <fe80::…>/64 dev %s, or set it down and up", i.Name))
}

// ip is a command in the namespace.
func (c *chain) ip(format string, args ...any) string {
	return "ip -n " + c.site.At.Namespace + " " + fmt.Sprintf(format, args...)
}

func (c *chain) sysctl(kind, key string, value int) string {
	return fmt.Sprintf("ip netns exec %s sysctl -w net/ipv6/%s/%s/%s=%d", c.site.At.Namespace, kind, c.site.At.Device, key, value)
}

// mend is what to do about something that the daemon makes by itself: it says why it
// could not, or how long it takes.
func (c *chain) mend() string {
	if c.site.Last.Error && c.site.Last.Trouble != "" {
		return "the daemon tries again and again, and fails: " + c.site.Last.Trouble + ". Mend that; " + doCheck
	}
	if c.site.Preview.Untouchable != "" {
		return "the daemon touches nothing there now: " + c.site.Preview.Untouchable
	}
	return "the daemon makes it with its next look, within " + c.f.Audit.String() + "; now: " + program + " reconcile"
}

func gatewayAddresses(at inventory.Attachment) string {
	if len(at.Addrs) == 0 {
		return "any link-local one, as the external network has no subnet"
	}
	texts := make([]string, 0, len(at.Addrs))
	for _, a := range at.Addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
