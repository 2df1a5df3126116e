package sim

// Names of what the L3 agents make.

// QRouter is the router's own namespace, SNAT its centralised part's.
func (r *Router) QRouter() string { return r.qrouter() }

// SNAT is the namespace of a distributed router's centralised part.
func (r *Router) SNAT() string { return r.snat() }

// FIP is the namespace that the routers of an external network share on a host.
func (n *External) FIP() string { return n.fip() }

// QG is the device of the gateway.
func (g *Gateway) QG() string { return g.qg() }

// FPR and RFP are the two ends of the pair between a fip- namespace and the
// router's own.
func (r *Router) FPR() string { return r.fpr() }

// RFP is the end in the router's own namespace.
func (r *Router) RFP() string { return r.rfp() }

// FG is the device of a host's agent gateway port, "" before there is one.
func (r *Router) FG(h *Host) string {
	if r.Gateway == nil {
		return ""
	}
	if g := r.agentPorts[h.Name+r.Gateway.Net.ID]; g != nil {
		return g.fg()
	}
	return ""
}

// Port is the bridge's end of a device that the L3 agent made: capture on it
// (in [World.Fabric]) sees what that host alone sends, received.
func (h *Host) Port(ns, device string) string { return h.l3.have[ns].devices[device].port }
