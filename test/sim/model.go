package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/test/nettest"
)

// Kind is what a router was made as.
type Kind string

// Kinds of routers. A distributed router may be highly available as well; its
// centralised part then is on several hosts.
const (
	Legacy Kind = "legacy"
	HA     Kind = "ha"
	DVR    Kind = "dvr"
	DVRHA  Kind = "dvr+ha"
)

// Distributed is Neutron's flag of that name.
func (k Kind) Distributed() bool { return k == DVR || k == DVRHA }

// HighlyAvailable is Neutron's flag ha.
func (k Kind) HighlyAvailable() bool { return k == HA || k == DVRHA }

// Modes of an L3 agent (agent_mode of l3_agent.ini).
const (
	ModeLegacy        = "legacy"
	ModeDVR           = "dvr"
	ModeDVRSNAT       = "dvr_snat"
	ModeDVRNoExternal = "dvr_no_external"
)

// External is an external network: a bridge, a router of the provider on it,
// and a host behind that.
type External struct {
	ID, Scope string
	// Prefix is its IPv6 subnet, invalid without one; V4 is always there.
	Prefix, V4 netip.Prefix
	// Gateway is the subnet's gateway_ip: the upstream's address.
	Gateway netip.Addr
	// Upstream has the device eth0 on the network, and looks for instances on
	// it; Behind is reached through it.
	Upstream, Behind *nettest.Namespace
	BehindAddr       netip.Addr

	n      int
	bridge string
	hosts  int // addresses given out
}

// Internal is a tenant network with one IPv6 subnet and one IPv4 subnet.
type Internal struct {
	ID, Scope  string
	Prefix, V4 netip.Prefix
	// RouterAddr is the subnet's gateway_ip.
	RouterAddr netip.Addr

	n     int
	split bool // a segment for each host: the network of a distributed router
	hosts int
}

// Instance is a server with one port.
type Instance struct {
	*nettest.Namespace
	PortID string
	Addr   netip.Addr
	// Host is where the port is bound.
	Host *Host

	net      *Internal
	tap      string
	deleted  bool
	revision int
}

// Gateway is a router's external port.
type Gateway struct {
	PortID, MAC string
	Net         *External
	Addr        netip.Addr // IPv4 where the network has no IPv6 subnet
}

// Interface is a router's internal port, and the centralised one beside it
// where the router is distributed.
type Interface struct {
	PortID, MAC         string
	SNATPortID, SNATMAC string
	Net                 *Internal
	Addr, SNATAddr      netip.Addr
}

// Router is a router as Neutron has it.
type Router struct {
	ID         string
	Kind       Kind
	Enabled    bool // enable_ndp_proxy
	Up         bool // admin_state_up
	Gateway    *Gateway
	Interfaces []*Interface
	// Hosts that carry it, or for a distributed one its centralised part.
	Hosts []*Host
	// Primary is the host whose keepalived holds the addresses.
	Primary *Host
	// fg ports by host, of the gateway's network.
	agentPorts map[string]*Gateway
}

func (r *Router) attached(n *Internal) bool {
	return slices.ContainsFunc(r.Interfaces, func(i *Interface) bool { return i.Net == n })
}

// Proxy is an NDP proxy as Neutron has it.
type Proxy struct {
	ID, PortID string
	Router     *Router
	Addr       netip.Addr
}

// uuid is one of a kind that differs in its first digits, after which devices
// are named.
func uuid(n int) string { return fmt.Sprintf("%08x-5c1a-4000-8000-%012x", n*0x9e3779b1&0xffffffff, n) }

func mac(n int) string { return fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", n>>16&0xff, n>>8&0xff, n&0xff) }

// host is address n of a prefix.
func host(p netip.Prefix, n int) netip.Addr {
	b := p.Addr().AsSlice()
	b[len(b)-1], b[len(b)-2] = byte(n), byte(n>>8)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// deviceName is a device as Neutron names it.
func deviceName(prefix, id string) string { return (prefix + id)[:14] }

func (r *Router) qrouter() string { return "qrouter-" + r.ID }
func (r *Router) snat() string    { return "snat-" + r.ID }
func (r *Router) fpr() string     { return deviceName("fpr-", r.ID) }
func (r *Router) rfp() string     { return deviceName("rfp-", r.ID) }
func (g *Gateway) qg() string     { return deviceName("qg-", g.PortID) }
func (g *Gateway) fg() string     { return deviceName("fg-", g.PortID) }
func (n *External) fip() string   { return "fip-" + n.ID }
func (i *Interface) qr() string   { return deviceName("qr-", i.PortID) }
func (i *Interface) sg() string   { return deviceName("sg-", i.SNATPortID) }
