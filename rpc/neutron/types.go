package neutron

import "net/netip"

// Router is what sync_routers says about one router, reduced to what decides
// where its NDP proxies are answered for.
type Router struct {
	// ID is the router's UUID; namespaces and devices are named after it.
	ID string
	// Name is the operator's name for it: for people only.
	Name string
	// AdminStateUp false means that the L3 agent removes the namespace.
	AdminStateUp bool
	// EnableNDPProxy is the operator's switch. It may be false while NDP
	// proxies exist, and then none of them is to be answered for.
	EnableNDPProxy bool
	// HA and Distributed give the router's kind; both false is a legacy router.
	HA, Distributed bool
	// HAState is what the server last heard of this host's instance of an HA
	// router: "active", "standby", "unknown", or "" when not HA. It lags the
	// kernel by seconds and must not decide anything.
	HAState string
	// GatewayHost is the host that carries the centralised gateway
	// (gw_port_host), "" when unset.
	GatewayHost string
	// Gateway is the external gateway port, nil without one. A router whose
	// gateway port the server knows by its id only is malformed.
	Gateway *Port
	// Interfaces are the internal ports.
	Interfaces []Port
	// SNATInterfaces are the centralised sg- ports of a distributed router.
	SNATInterfaces []Port
	// FloatingIPAgentInterfaces are the asking host's own fg- ports of a
	// distributed router; empty until the L3 agent asked for one.
	FloatingIPAgentInterfaces []Port
	// Revision is the server's revision_number.
	Revision int
}

// Port is one port of a router.
type Port struct {
	ID, NetworkID, DeviceOwner string
	// HostID is the host that the port is bound to (binding:host_id).
	HostID string
	// MAC is in lower-case colon notation.
	MAC      string
	FixedIPs []FixedIP
	Subnets  []Subnet
	// ExtraSubnets are those of the port's network that the port has no address
	// in (extra_subnets).
	ExtraSubnets []Subnet
	// ScopeV6 is the id of the IPv6 address scope of the port's network, ""
	// when it has none (JSON null). Two ports with no scope are in the same
	// (implicit) scope, as for Neutron's own address-scope rules.
	ScopeV6 string
}

// FixedIP is one address of a port.
type FixedIP struct {
	SubnetID string
	Addr     netip.Addr
	// PrefixLen is 0 when the server named none.
	PrefixLen int
}

// Subnet is one subnet of a port's network that the port has an address in.
type Subnet struct {
	ID string
	// CIDR is masked.
	CIDR netip.Prefix
	// GatewayIP is the zero Addr when the subnet has no gateway.
	GatewayIP netip.Addr
}

// NDPProxy is Neutron's versioned object NDPProxy 1.0: "answer for Addr on the
// external network of RouterID".
type NDPProxy struct {
	ID, RouterID, PortID, ProjectID, Name string
	// Addr is the published IPv6 address: unicast, without a zone.
	Addr     netip.Addr
	Revision int
}

// BoundPort is Neutron's versioned object Port 1.4 or later, reduced to where
// the port is: the port of an instance, whose address an NDP proxy publishes.
type BoundPort struct {
	ID, NetworkID, DeviceOwner string
	// Host is that of the active binding, "" for a port without one. During a
	// live migration there is an inactive binding to the other host beside it.
	// The distributed_bindings of a distributed router's own ports don't count.
	Host string
	// Revision is the port's revision_number; a change of a binding raises it.
	// 0: not told.
	Revision int
}

// Agent is Neutron's versioned object Agent, reduced to what the place of a
// port depends on.
type Agent struct {
	Host, Type string
	// Mode is agent_mode of an L3 agent's configurations: one of the Mode
	// constants, or one that we don't know.
	Mode string
}

// The working modes of an L3 agent (agent_mode in l3_agent.ini).
const (
	ModeLegacy        = "legacy"
	ModeDVR           = "dvr"
	ModeDVRSNAT       = "dvr_snat"
	ModeDVRNoExternal = "dvr_no_external"
)

// L3AgentType is the agent_type of L3 agents.
const L3AgentType = "L3 agent"

// Malformed names one object of a list that could not be understood, or that
// the server failed to describe. The other objects of the list are delivered.
type Malformed struct {
	// ID is the object's id (an agent's host), or its position ("#3") if it has
	// no usable one.
	ID string
	// RouterID is the router that an NDP proxy names, "" where that cannot be
	// read (and for routers).
	RouterID string
	Err      error
}

// AgentState is one state report (report_state).
type AgentState struct {
	// AgentType, Binary and Topic default to [DefaultAgentType],
	// [DefaultBinary] and [DefaultAgentTopic]; Host to the client's host.
	AgentType, Binary, Topic, Host string
	// AvailabilityZone is left out when empty.
	AvailabilityZone string
	// Start is true for the first report of a process: the server then sets
	// started_at.
	Start bool
	// Configurations is shown verbatim by `openstack network agent show`. It
	// must encode to a JSON object.
	Configurations map[string]any
}

// How the agent presents itself to the server unless the report says otherwise.
const (
	DefaultAgentType  = "NDP proxy agent"
	DefaultBinary     = "neutron-ndp-proxy-agent"
	DefaultAgentTopic = "N/A"
)

// What report_state answers. A report that is older than the server's own start
// is answered with null, which ReportState returns as "": it was ignored.
const (
	ReportNew     = "new"     // first report ever of this type and host
	ReportAlive   = "alive"   // an agent known to be alive
	ReportRevived = "revived" // an agent that had been given up
	ReportIgnored = ""        // not taken
)
