package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

// Status is how it stands with one link.
type Status string

// The statuses. What comes after a broken link is not reached, whatever it is.
// Unknown: it can't be seen from here, or nothing has happened yet that shows it.
const (
	OK         Status = "ok"
	Broken     Status = "broken"
	NotReached Status = "not reached"
	Unknown    Status = "unknown"
)

// Names of the links, in their order.
const (
	LinkDaemon    = "daemon"     // it runs, and makes progress
	LinkServer    = "server"     // it is in sync with server and broker
	LinkProxy     = "proxy"      // the server's NDPProxy
	LinkRouter    = "router"     // is here, and publishes
	LinkAllowed   = "allowed"    // the address may be published, and there is room
	LinkHost      = "host"       // this host serves it
	LinkNamespace = "namespace"  // exists
	LinkDevice    = "device"     // exists, and is up
	LinkCarrier   = "carrier"    // it has one
	LinkIPv6      = "ipv6"       // runs on the device
	LinkGateway   = "gateway"    // the device holds the gateway's address
	LinkLinkLocal = "link-local" // and a usable link-local one
	LinkPair      = "pair"       // the devices between a shared namespace and the router's own
	LinkSysctls   = "sysctls"    // proxy_ndp and forwarding
	LinkEntry     = "entry"      // the proxy neighbour
	LinkFilter    = "filter"     // our table
	LinkForeign   = "foreign"    // the packet filters of others
	LinkRoute     = "route"      // to the instance
	LinkWayBack   = "way back"   // out of a shared namespace
	LinkInstance  = "instance"   // its neighbour entry
	LinkAnnounced = "announced"  // nothing is owed
	LinkUpstream  = "upstream"   // what a neighbour hears
)

// Link is one link of the chain.
type Link struct {
	Name   string `json:"link"`
	Status Status `json:"status"`
	// Facts are what was seen, Do what to do about it: commands or words; "" if
	// nothing.
	Facts string `json:"facts"`
	Do    string `json:"do"`
}

// Answer tells why an address is answered for, or why not. Texts are printable.
type Answer struct {
	Address string `json:"address"`
	Host    string `json:"host"` // what Neutron calls this machine
	// Answered: no link is broken, as far as it can be seen.
	Answered bool `json:"answered"`
	// Broken is the first broken link, "" if there is none.
	Broken  string `json:"broken"`
	Verdict string `json:"verdict"`
	// Do is the broken link's.
	Do string `json:"do"`
	// What it is about, as far as the chain got; "" if not.
	Router    string `json:"router"`
	Proxy     string `json:"proxy"`
	Port      string `json:"port"`
	Namespace string `json:"namespace"`
	Device    string `json:"device"`
	// NetnsDir is where the namespaces are bound by name.
	NetnsDir string `json:"netns_dir"`
	Links    []Link `json:"links"`
	// Notes are what else is worth knowing.
	Notes []string `json:"notes"`
}

// conclude makes the verdict of the links.
func (a *Answer) conclude() {
	a.Answered, a.Broken, a.Do = true, "", ""
	for _, l := range a.Links {
		if l.Status == Broken {
			a.Answered, a.Broken, a.Do = false, l.Name, l.Do
			a.Verdict = fmt.Sprintf("%s is not answered for here: %s", a.Address, l.Facts)
			if l.passes() {
				a.Verdict = fmt.Sprintf("%s is answered for on %s, but does not work: %s", a.Address, a.Device, l.Facts)
			}
			return
		}
	}
	a.Verdict = fmt.Sprintf("%s is answered for here, on %s in %s", a.Address, a.Device, a.Namespace)
	for _, l := range a.Links {
		if l.Status == Unknown && l.Name != LinkUpstream {
			a.Verdict += "; not known: " + l.Name
		}
	}
}

// passes: the kernel answers for the address although the link is broken.
func (l Link) passes() bool {
	switch l.Name {
	case LinkForeign, LinkRoute, LinkWayBack, LinkInstance, LinkAnnounced, LinkUpstream:
		return true
	}
	return false
}

// WithUpstream puts the upstream's view in its place, if the chain reached it.
func (a Answer) WithUpstream(l Link) Answer {
	l.Name, l.Facts, l.Do = LinkUpstream, printable(l.Facts), printable(l.Do)
	links := make([]Link, 0, len(a.Links))
	for _, old := range a.Links {
		if old.Name == LinkUpstream {
			if a.Broken != "" && a.Broken != LinkUpstream && l.Status != OK {
				l.Status = NotReached // the reason is known already
			}
			old = l
		}
		links = append(links, old)
	}
	a.Links = links
	a.conclude()
	return a
}

// NoDaemon is the answer where none could be asked.
func NoDaemon(addr netip.Addr, err error) Answer {
	a := Answer{Address: addr.String(), Notes: []string{}, Links: []Link{{
		Name: LinkDaemon, Status: Broken, Facts: err.Error(),
		Do: "systemctl status neutron-ndp-proxy-agent; journalctl -u neutron-ndp-proxy-agent. What it published stands in the kernel meanwhile",
	}}}
	for _, s := range steps() {
		if s.name != LinkDaemon {
			a.Links = append(a.Links, Link{Name: s.name, Status: NotReached})
		}
	}
	a.conclude()
	a.Verdict = "nobody knows about " + a.Address + ": " + err.Error()
	return a
}

// ParseAddress reads an address that an NDP proxy may be for. Every error says what
// the text is instead.
func ParseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSuffix(text, "/128"))
	var what string
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is no IP address", text)
	case a.Is4(), a.Is4In6():
		what = "an IPv4 address: NDP proxies are for IPv6, IPv4 has floating IPs"
	case a.Zone() != "":
		what = "an address with a zone; published addresses are global"
	case a.IsLinkLocalUnicast():
		what = "a link-local address, which no router passes on"
	case a.IsMulticast():
		what = "a multicast address, for which nobody is to answer"
	case a.IsUnspecified(), a.IsLoopback():
		what = "an address of nobody on a link"
	default:
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("%s is %s", a, what)
}

// maxText bounds one text, in bytes.
const maxText = 1024

// printable makes a text fit for one line: errors and names may come from outside.
func printable(s string) string { return plaintext.Line(strings.ReplaceAll(s, "\n", "; "), maxText) }
