package explain

import (
	"net/netip"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Facts are what was found out about an address.
type Facts struct {
	Addr netip.Addr
	// Host and Source are the daemon's: what Neutron calls this machine, and neutron or
	// file. NetnsDir is where it finds namespaces by name.
	Host, Source, NetnsDir string
	// Stuck names the parts of the daemon that make no progress.
	Stuck []string
	// Synced is when the source last told everything; zero: never.
	Synced time.Time
	// Audit bounds the time until what nobody told of is found.
	Audit time.Duration
	// Most is max_addresses, 0: no bound.
	Most int
	// Broker is nil where none is needed.
	Broker *admin.Broker
	// Server is nil where it was not asked.
	Server *Server
	// Entries are [inventory.Inventory.Find]'s.
	Entries []inventory.Entry
	// Held are routers that could not be read.
	Held []string
	// Sites are where the address is to be answered for here.
	Sites []Site
	// Holders are the proxy neighbours for it in other places; Unsearched says why
	// not all were found.
	Holders    []dataplane.Holder
	Unsearched error
}

// Server is what the server said when it was asked about the address.
type Server struct {
	// Err: it did not answer, or nonsense.
	Err     error
	Proxies []ServerProxy
}

// ServerProxy is an NDPProxy as the server has it.
type ServerProxy struct {
	ID, Router, Port string
	// PortHost is where the port is bound, GatewayHost where the router's gateway is;
	// "" if nowhere, or not known.
	PortHost, GatewayHost string
}

// Site is one attachment of a router that serves the address.
type Site struct {
	Router string
	At     inventory.Attachment
	// Err is why the namespace could not be looked at; Gone: it does not exist.
	Err  error
	Gone bool
	// Preview is what a look would find, and do.
	Preview agent.Preview
	// Last is the outcome of the last look.
	Last agent.Namespace
	// Device is what decides about answers, as the kernel has it; nil if it could not
	// be read, with Unread why.
	Device *ndsend.DeviceState
	Unread error
	// Trace is the way on from the device, nil if it could not be read, with Untraced
	// why; Peer the way on from the router's own namespace behind a pair.
	Trace, Peer *dataplane.Trace
	Untraced    error
	// Debt is nil if nothing is announced at all (announce = false).
	Debt *announcer.Debt
}

// device returns the external device as it was observed.
func (s Site) device() (dataplane.Interface, bool) { return s.Preview.Seen.Interface(s.At.Device) }
