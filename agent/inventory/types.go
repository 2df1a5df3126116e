package inventory

import "net/netip"

// Router is what the planner needs to know of one router on this host.
type Router struct {
	// ID is Neutron's router id, or a name of the source's own making.
	ID string
	// Name is for people: it occurs in logs and nowhere else.
	Name string
	// Enabled is Neutron's enable_ndp_proxy. While it is off nothing of the
	// router is answered for or filtered, whatever proxies exist.
	Enabled bool
	// Scope is the IPv6 address scope of the external network; "" stands for
	// none, which equals none.
	Scope string
	// External says where the router meets the external network on this
	// host: one place for a centralised router, none when it has no gateway.
	External []Attachment
	// Subnets are the IPv6 subnets on the router's internal ports.
	Subnets []Subnet
	// Unsupported, when not empty, says why a router of this kind has no
	// External here although it has a gateway.
	Unsupported string
}

// Attachment is one external device of a router.
type Attachment struct {
	// Namespace and Device are the names that the L3 agent gives them.
	Namespace, Device string
	// Addrs are the gateway's own addresses on the device. The device may
	// answer only while it holds one of them; without any (an external
	// network without subnets) a link-local address has to do.
	Addrs []netip.Addr
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

// Entry is a router together with its proxies, sorted by address then id.
type Entry struct {
	Router  Router
	Proxies []Proxy
}
