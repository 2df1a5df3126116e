package inventory

import (
	"net/netip"
	"slices"
)

// Router is what the planner needs to know of one router on this host.
type Router struct {
	// ID is Neutron's router id, or a name of the source's own making.
	ID string
	// Name is for people: it occurs in logs and nowhere else.
	Name string
	// Kind is for people too: what decides is in External. "": the source knows none.
	Kind Kind
	// Enabled is Neutron's enable_ndp_proxy. While it is off nothing of the
	// router is answered for or filtered, whatever proxies exist.
	Enabled bool
	// Scope is the IPv6 address scope of the external network; "" stands for
	// none, which equals none.
	Scope string
	// External says where the router meets the external network on this
	// host: one place for a centralised router, up to two for a distributed
	// one (fip- and snat-), none when it has no gateway or none of it is here.
	External []Attachment
	// Subnets are the IPv6 subnets on the router's internal ports.
	Subnets []Subnet
	// Outside are the IPv6 subnets of the external network itself, as far as
	// they are known. Its upstream router and other hosts have their addresses
	// there, so nothing in them is this router's to publish.
	Outside []netip.Prefix
	// Open says that Subnets are those to be closed and not all there are, so that
	// another network behind the router is nobody's business.
	Open bool
	// Unsupported, when not empty, says why a router of this kind has no
	// External here although it has a gateway.
	Unsupported string
	// Awaits, when not empty, says what an attachment that belongs into
	// External is waiting for: the server does not list its device yet.
	Awaits string
	// Remote says that it is not this host's business to meet the external
	// network for this router (agent_mode dvr_no_external): other hosts serve
	// all its proxies.
	Remote bool
}

// Kind is what kind of router Neutron calls it.
type Kind string

// Kinds of routers.
const (
	Legacy        Kind = "legacy"
	HA            Kind = "ha"
	Distributed   Kind = "distributed"
	DistributedHA Kind = "distributed-ha"
)

// ByPlace reports whether the places of the router's ports matter: it has, or
// waits for, an attachment that does not serve all.
func (r Router) ByPlace() bool {
	return r.Awaits != "" || slices.ContainsFunc(r.External, func(a Attachment) bool { return a.Serves != Anywhere })
}

// Attachment is one external device of a router.
type Attachment struct {
	// Namespace and Device are the names that the L3 agent gives them.
	Namespace, Device string
	// Addrs are the gateway's own addresses on the device. The device may
	// answer only while it holds one of them; without any (an external
	// network without subnets) a link-local address has to do.
	Addrs []netip.Addr
	// Serves limits the published addresses to those whose port is in this
	// place; [Anywhere] for a centralised router, which serves them all.
	Serves Place
	// Elective says that other hosts may meet the external network for the
	// router instead of this one (HA), so that the namespace need never be here:
	// without it, what it serves is another host's.
	Elective bool
	// Inner is set where the router itself is in another namespace, behind a
	// pair of devices: a fip- namespace, which is shared by the routers of one
	// external network.
	Inner *Inner
}

// Publishes reports whether the attachment serves ports of a place.
func (a Attachment) Publishes(p Place) bool { return a.Serves == Anywhere || a.Serves == p }

// Inner is the way from a shared namespace to the router in its own.
type Inner struct {
	// Device is the shared namespace's end of the pair (fpr-).
	Device string
	// PeerNamespace and PeerDevice are the router's end (qrouter-, rfp-). Its
	// link-local address is the next hop towards the instances; it changes
	// when the L3 agent makes the pair again, so it is read each time.
	PeerNamespace, PeerDevice string
	// Gateway is the external subnet's gateway_ip, the next hop of what the
	// instances send beyond the link; the zero value: the subnet has none.
	Gateway netip.Addr
}

// Place says where the port of a published address is, as seen from this host.
type Place string

// Places of a port.
const (
	// Anywhere (the zero value) is not known, or, as what an attachment
	// serves, all.
	Anywhere Place = ""
	// Here: bound to this host.
	Here Place = "here"
	// Edge: bound to a host that does not meet the external network itself
	// (agent_mode dvr_no_external), so the node of the centralised gateway
	// serves it.
	Edge Place = "edge"
	// Elsewhere: another host serves it, or none.
	Elsewhere Place = "elsewhere"
)

// Port is where one port is.
type Port struct {
	ID    string
	Place Place
}

// Subnet is one internal IPv6 subnet of a router.
type Subnet struct {
	Prefix netip.Prefix
	// Scope is the subnet's IPv6 address scope, "" for none.
	Scope string
	// RouterAddrs are the router's own addresses in the subnet.
	RouterAddrs []netip.Addr
}

// Proxy is one published address: Neutron's NDPProxy object.
type Proxy struct {
	ID       string
	RouterID string
	PortID   string
	Addr     netip.Addr
}

// Entry is a router together with its proxies, sorted by address then id, and
// the places of their ports, by port id, as far as they are known; nil for a
// router that serves all of them wherever they are.
type Entry struct {
	Router  Router
	Proxies []Proxy
	Places  map[string]Place
}
