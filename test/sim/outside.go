package sim

import (
	"slices"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Outside is a daemon that is a process of its own, and hears of Neutron by a
// real broker.
type Outside struct {
	// Tell takes what Neutron pushes to the host, and must not wait. A message to
	// all hosts comes once for each of them.
	Tell func(rpc.Event)
	// Words are the last lines of its log.
	Words func() string
}

// Attach says that such a daemon works on the host, until the test ends: from
// then on its kernel is judged.
func (h *Host) Attach(o Outside) {
	h.w.t.Helper()
	s := h.w.cloud.connect(h, nil)
	s.elsewhere = o.Tell
	h.outside = &o
	h.w.t.Cleanup(func() { h.w.cloud.disconnect(s) })
}

// Model is Neutron's database, for a server that answers in its name
// (neutrontest.Cloud).
type Model struct{ w *World }

// Model returns the world's.
func (w *World) Model() Model { return Model{w} }

func (m Model) read(fn func()) { m.w.cloud.change(fn) }

func (m Model) host(name string) *Host {
	if i := slices.IndexFunc(m.w.Hosts, func(h *Host) bool { return h.Name == name }); i >= 0 {
		return m.w.Hosts[i]
	}
	return nil
}

// RouterIDs are those that a host's L3 agent has.
func (m Model) RouterIDs(host string) (ids []string) {
	m.read(func() {
		if h := m.host(host); h != nil {
			ids = h.routerIDs()
		}
	})
	return ids
}

// Routers describes those that the host has and that are administratively up;
// no ids: all.
func (m Model) Routers(host string, ids []string) (out []rpc.Router) {
	m.read(func() {
		if h := m.host(host); h != nil {
			out = h.routers(func(id string) bool { return len(ids) == 0 || slices.Contains(ids, id) })
		}
	})
	return out
}

// NDPProxies are those of the routers; no ids: all.
func (m Model) NDPProxies(routerIDs []string) (out []rpc.NDPProxy) {
	m.read(func() {
		out = m.w.ndpProxies(func(id string) bool { return len(routerIDs) == 0 || slices.Contains(routerIDs, id) })
	})
	return out
}

// Ports are those that exist.
func (m Model) Ports(ids []string) (out []rpc.BoundPort) {
	m.read(func() { out = m.w.ports(ids) })
	return out
}

// L3Agents are those of the hosts.
func (m Model) L3Agents(hosts []string) (out []rpc.Agent) {
	m.read(func() { out = m.w.l3Agents(hosts) })
	return out
}
