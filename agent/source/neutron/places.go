package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// atlas remembers what the places of ports depend on beside the ports.
type atlas struct {
	here Host

	mu sync.Mutex
	// modes are the agent_modes of other hosts' L3 agents; "" for a host that
	// has none. They are read again with each audit.
	modes map[string]string
	// seen are the ports as last told; only those that matter.
	seen map[string]rpc.BoundPort
}

func newAtlas(here Host) *atlas {
	return &atlas{here: here, modes: map[string]string{}, seen: map[string]rpc.BoundPort{}}
}

// place tells where a port is that is bound to a host. Elsewhere is not known
// for sure where it may be Edge, for want of the mode of that host.
func (a *atlas) place(host string) (place inventory.Place, known bool) {
	switch {
	case host == "":
		return inventory.Elsewhere, true
	case host == a.here.Name:
		return inventory.Here, true
	case a.here.Mode != rpc.ModeDVRSNAT:
		return inventory.Elsewhere, true // whoever serves it, it is not this host
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	mode, known := a.modes[host]
	if mode == rpc.ModeDVRNoExternal {
		return inventory.Edge, true
	}
	return inventory.Elsewhere, known
}

// foreign are the hosts whose modes decide where these ports are.
func (a *atlas) foreign(ports []rpc.BoundPort) []string {
	if a.here.Mode != rpc.ModeDVRSNAT {
		return nil
	}
	hosts := map[string]bool{}
	for _, p := range ports {
		if p.Host != "" && p.Host != a.here.Name {
			hosts[p.Host] = true
		}
	}
	return slices.Sorted(maps.Keys(hosts))
}

// setModes takes what the server said of the L3 agents of the hosts asked for.
// One that could not be read keeps its mode.
func (a *atlas) setModes(asked []string, agents []rpc.Agent, bad []rpc.Malformed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	said := map[string]string{}
	for _, g := range agents {
		said[g.Host] = g.Mode
	}
	for _, host := range asked {
		mode, named := said[host]
		unread := slices.ContainsFunc(bad, func(m rpc.Malformed) bool { return m.ID == host || nameless(m) })
		if named || !unread {
			a.modes[host] = mode
		}
	}
}

// note remembers a port as told, and reports whether it was bound to another
// host before. A push that is older than what is known does not count: two
// servers may push in another order than they wrote (stale).
func (a *atlas) note(p rpc.BoundPort, pushed bool) (moved, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, had := a.seen[p.ID]
	if pushed && had && p.Revision < old.Revision {
		return false, true
	}
	a.seen[p.ID] = p
	return had && old.Host != p.Host, false
}

// boundTo are the ports last told to be bound to these hosts, sorted by id.
func (a *atlas) boundTo(hosts []string) []rpc.BoundPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	var l []rpc.BoundPort
	for _, id := range slices.Sorted(maps.Keys(a.seen)) {
		if p := a.seen[id]; slices.Contains(hosts, p.Host) {
			l = append(l, p)
		}
	}
	return l
}

// forget forgets the ports that don't matter any more.
func (a *atlas) forget(matter []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.seen, func(id string, _ rpc.BoundPort) bool {
		_, found := slices.BinarySearch(matter, id)
		return !found
	})
}

// restart forgets the revisions: after a break, what the server says counts,
// also if its database was put back to an earlier state.
func (a *atlas) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.seen)
}

// places asks where ports are: one call for the ports, and on a dvr_snat host
// one for the modes of the L3 agents of the other hosts. Ports that do not
// exist are elsewhere; those that cannot be read are left out (keep). On error
// the ports that could be read without what failed are told all the same.
func (s *Source) places(ctx context.Context, ids []string) (places []inventory.Port, keep []string, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	s.o.Inventory.ExpectPorts(ids)
	ports, bad, err := s.o.Server.Ports(ctx, ids)
	if err != nil {
		s.setUnreadable(ids, ids)
		return nil, ids, fmt.Errorf("%d ports: %w", len(ids), err)
	}
	s.malformed("port", bad)
	err = s.modes(ctx, s.atlas.foreign(ports))
	named := map[string]bool{}
	for _, p := range ports {
		named[p.ID] = true
		s.complaints.clear("port " + p.ID)
		s.atlas.note(p, false)
		place, _ := s.atlas.place(p.Host)
		places = append(places, inventory.Port{ID: p.ID, Place: place})
	}
	some := slices.ContainsFunc(bad, nameless)
	for _, id := range ids {
		switch {
		case named[id]:
		case some || slices.ContainsFunc(bad, func(m rpc.Malformed) bool { return m.ID == id }):
			keep = append(keep, id)
		default:
			places = append(places, inventory.Port{ID: id, Place: inventory.Elsewhere})
		}
	}
	s.setUnreadable(ids, keep)
	return places, keep, err
}

// modes asks for the modes of other hosts' L3 agents.
func (s *Source) modes(ctx context.Context, hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	agents, bad, err := s.o.Server.L3Agents(ctx, hosts)
	if err != nil {
		return fmt.Errorf("L3 agents of %d hosts: %w", len(hosts), err)
	}
	s.malformed("L3 agent", bad)
	for _, a := range agents {
		s.complaints.clear("L3 agent " + a.Host)
	}
	s.atlas.setModes(hosts, agents, bad)
	return nil
}

// setUnreadable notes which of the ports asked for could not be read. They are
// asked for again by the audits, not at once as other unknown ones.
func (s *Source) setUnreadable(asked, bad []string) {
	for _, id := range asked {
		delete(s.unreadablePorts, id)
	}
	for _, id := range bad {
		s.unreadablePorts[id] = true
	}
}

// wantUnknown notes to ask for the ports of which nobody has told the place:
// those of proxies that were pushed.
func (s *Source) wantUnknown() {
	if !s.here.distributes() {
		return
	}
	w := wanted{ports: map[string]bool{}}
	for _, id := range s.o.Inventory.UnknownPorts() {
		if !s.unreadablePorts[id] {
			w.ports[id] = true
		}
	}
	if !w.nothing() {
		s.notes.add(w)
	}
}
