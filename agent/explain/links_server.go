package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
)

const (
	program = "neutron-ndp-proxy-agent"
	doCheck = program + " check"
)

func (c *chain) daemon() Link {
	if len(c.f.Stuck) > 0 {
		return broken("it runs, but makes no progress: "+strings.Join(c.f.Stuck, "; "),
			"systemctl restart "+program+": nothing is withdrawn by it. The log has the stacks of what hangs; please report them")
	}
	return ok("it runs on " + c.f.Host)
}

// synced: what is not known may be not known yet. What is known is worth a look all
// the same.
func (c *chain) synced() Link {
	link := c.link()
	switch {
	case c.f.Source == "file" && !c.f.Synced.IsZero():
		return ok("the file was last read " + when(c.f.Synced))
	case !c.f.Synced.IsZero() && link == "":
		return ok("in sync, everything was last told " + when(c.f.Synced))
	}
	what, do := "not everything is known yet", doCheck
	switch {
	case c.f.Source == "file":
		what, do = "the file with the addresses could not be read so far", "journalctl -u "+program+" says what is wrong in it"
	case c.f.Synced.IsZero() && link != "":
		what += ": " + link
	case c.f.Synced.IsZero():
		what += ": the first answer of neutron-server is waited for"
	default:
		what = "what the server changed lately is not known here: " + link
	}
	if c.proxy != nil {
		return unknown(what, do)
	}
	return broken(what, do)
}

// link is what there is to say of the connection to the broker, "" if it stands.
func (c *chain) link() string {
	b := c.f.Broker
	switch {
	case b == nil:
		return ""
	case !b.Connected:
		text := "not connected to a broker since " + when(b.Since)
		if b.Endpoint != "" {
			text = "not connected to the broker " + b.Endpoint + " since " + when(b.Since)
		}
		if b.LastError != "" {
			text += " (" + b.LastError + ")"
		}
		return text
	case b.Blocked != "":
		return "the broker " + b.Endpoint + " takes no messages: " + b.Blocked
	case !b.Subscribed:
		return "connected to the broker " + b.Endpoint + ", and not subscribed yet"
	}
	return ""
}

func (c *chain) object() Link {
	asked := c.f.Server != nil && c.f.Server.Err == nil
	switch {
	case c.proxy != nil && asked && c.server == nil:
		return broken(fmt.Sprintf("the server no longer has the NDPProxy %s, of which nobody told", c.proxy.ID),
			"nothing, if that is meant: it is withdrawn with the next audit, within "+c.f.Audit.String()+" ("+program+" reconcile: now)")
	case c.proxy != nil && c.f.Source == "file":
		return ok("the file publishes it")
	case c.proxy != nil:
		return ok(fmt.Sprintf("NDPProxy %s of router %s, port %s", c.proxy.ID, c.proxy.RouterID, orNone(c.proxy.PortID)))
	}
	if own := c.own(); own != "" {
		return broken(own, "nothing: it needs no proxy, and none may be made for it. Is it the instance's address?")
	}
	if c.server != nil {
		text := fmt.Sprintf("NDPProxy %s of router %s, port %s, as the server says", c.server.ID, c.server.Router, orNone(c.server.Port))
		if c.entry != nil && c.entry.Router.ID == c.server.Router {
			return broken(text+"; this host has the router, and nobody told it of the proxy",
				program+" reconcile asks the server for everything again; the audit does within "+c.f.Audit.String())
		}
		return ok(text)
	}
	text, do := "no NDPProxy has this address", "openstack router ndp proxy create --port <port> --ip-address "+c.f.Addr.String()+" <router>"
	switch {
	case c.f.Source == "file":
		text, do = "the file does not publish this address", "add it to a device's published addresses in source_file"
	case !asked:
		text = "no NDPProxy with this address is known here"
		if c.f.Server != nil {
			text += ", and the server could not be asked (" + c.f.Server.Err.Error() + ")"
		}
		do = "openstack router ndp proxy list --ip-address " + c.f.Addr.String() + "; if there is none: " + do
	}
	if c.entry != nil {
		text += fmt.Sprintf("; it is in %s, a subnet of router %s on this host", c.subnet(), name(c.entry.Router))
	}
	return broken(text, do)
}

// own says that the address is the router's, "" if it is not.
func (c *chain) own() string {
	if c.entry == nil {
		return ""
	}
	r := c.entry.Router
	for _, at := range r.External {
		if slices.Contains(at.Addrs, c.f.Addr) {
			return fmt.Sprintf("it is router %s's own gateway address, for which %s in %s itself answers where the gateway is", name(r), at.Device, at.Namespace)
		}
	}
	for _, s := range r.Subnets {
		if slices.Contains(s.RouterAddrs, c.f.Addr) {
			return fmt.Sprintf("it is router %s's own address in its internal subnet %s, and no instance's", name(r), s.Prefix)
		}
	}
	return ""
}

func (c *chain) subnet() string {
	for _, s := range c.entry.Router.Subnets {
		if s.Prefix.Contains(c.f.Addr) {
			return s.Prefix.String()
		}
	}
	return "no subnet"
}

// notes are what is worth knowing beside the chain.
func (c *chain) notes() []string {
	out := []string{}
	for _, h := range c.f.Holders {
		by := "somebody else"
		if h.Ours {
			by = "this daemon, earlier"
		}
		answers := "which does not answer"
		if h.Answers {
			answers = "which answers for it"
		}
		out = append(out, printable(fmt.Sprintf("a proxy neighbour for it, made by %s, is on %s in %s, %s", by, h.Device, h.Namespace, answers)))
	}
	if c.f.Unsearched != nil {
		out = append(out, printable("not every namespace could be searched for a proxy neighbour: "+c.f.Unsearched.Error()))
	}
	if s := c.site; s != nil {
		if s.Preview.Seen.AllProxyNDP {
			out = append(out, "net.ipv6.conf.all.proxy_ndp is 1 in "+printable(s.At.Namespace)+": every forwarded packet walks the table of proxy neighbours")
		}
		if s.Last.Trouble != "" {
			out = append(out, printable("the last look at "+s.At.Namespace+" met: "+s.Last.Trouble))
		}
	}
	return out
}

func name(r inventory.Router) string {
	if r.Name == "" || r.Name == r.ID {
		return r.ID
	}
	return fmt.Sprintf("%s (%s)", r.Name, r.ID)
}

// neutron is a hint that is of use with neutron-server only.
func (c *chain) neutron(do string) string {
	if c.f.Source == "file" {
		return ""
	}
	return do
}

func orNone(id string) string {
	if id == "" {
		return "(none)"
	}
	return id
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// inner is the address's way behind a pair, nil if the router is in the namespace.
func (c *chain) inner() *inventory.Inner { return c.site.At.Inner }

func prefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
