package neutrontest

import "neutron-ndp-proxy-agent/rpc/neutron"

// Cloud is a model of what there is, kept elsewhere. It is asked from several
// goroutines.
type Cloud interface {
	// RouterIDs are the routers that a host's L3 agent has.
	RouterIDs(host string) []string
	// Routers describes those of them that are administratively up; no ids: all.
	Routers(host string, ids []string) []neutron.Router
	// NDPProxies are those of routers; no ids: all.
	NDPProxies(routerIDs []string) []neutron.NDPProxy
	// Ports and L3Agents are those that exist.
	Ports(ids []string) []neutron.BoundPort
	L3Agents(hosts []string) []neutron.Agent
}

// fromCloud answers a call from a model, if it is about what a model has.
func fromCloud(c Cloud, method string, a arguments, portVersion string) (any, bool) {
	out := []any{}
	switch {
	case method == "get_router_ids":
		for _, id := range c.RouterIDs(a.Host) {
			out = append(out, id)
		}
	case method == "sync_routers":
		for _, r := range c.Routers(a.Host, a.RouterIDs) {
			out = append(out, routerObject(r))
		}
	case method == "bulk_pull" && a.ResourceType == "NDPProxy":
		for _, p := range c.NDPProxies(a.Filter.RouterID) {
			out = append(out, proxyObject(p))
		}
	case method == "bulk_pull" && a.ResourceType == "Port" && !later(a.Version, portVersion):
		for _, p := range c.Ports(a.Filter.ID) {
			out = append(out, boundPortObject(p, portVersion))
		}
	case method == "bulk_pull" && a.ResourceType == "Agent":
		for _, g := range c.L3Agents(a.Filter.Host) {
			out = append(out, agentObject(g.Host, g.Mode, "1.1"))
		}
	default:
		return nil, false
	}
	return out, true
}
