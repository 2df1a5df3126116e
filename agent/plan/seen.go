package plan

import (
	"net/netip"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Peers are the interfaces of the routers' own namespaces, by name, for those
// that meet the external network in a shared one ([inventory.Inner]). A
// namespace that is missing does not exist.
type Peers map[string][]dataplane.Interface

// Seen is what the kernel has.
type Seen struct {
	// Observation is of the namespace that is planned.
	dataplane.Observation
	Peers Peers
	// Unreadable are the peer namespaces that can't be read now.
	Unreadable map[string]bool
}

// PeerNamespaces returns the namespaces that [Namespace] wants to know of:
// those of the routers that publish, or may, in the named one. Sorted as the
// entries are.
func PeerNamespaces(name string, entries []inventory.Entry) []string {
	var out []string
	for _, e := range entries {
		if !e.Router.Enabled || len(Served(name, e)) == 0 && unplaced(e) == 0 {
			continue
		}
		for _, at := range e.Router.External {
			if at.Namespace == name && at.Inner != nil {
				out = append(out, at.Inner.PeerNamespace)
			}
		}
	}
	return out
}

// target is one address on one device.
type target struct {
	device string
	addr   netip.Addr
}

// standing indexes what of ours is in the namespace: the entries, and the host
// routes of the main table.
type standing struct {
	entries map[target]bool
	routes  map[target]dataplane.Route
}

func newStanding(have dataplane.Observation) standing {
	s := standing{entries: map[target]bool{}, routes: map[target]dataplane.Route{}}
	for _, p := range have.Proxies {
		if p.Ours {
			s.entries[target{p.Device, p.Addr}] = true
		}
	}
	for _, r := range have.Routes {
		if r.Ours && r.Host() && r.Table == dataplane.MainTable {
			s.routes[target{r.Device, r.Dst.Addr()}] = r.Route
		}
	}
	return s
}

// on reports whether an address is published on an attachment, as far as marks
// can say: it has our entry there, and our route where it needs one.
func (s standing) on(at inventory.Attachment, a netip.Addr) bool {
	if !s.entries[target{at.Device, a}] {
		return false
	}
	if at.Inner == nil {
		return true
	}
	_, routed := s.routes[target{at.Inner.Device, a}]
	return routed
}
