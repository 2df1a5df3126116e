package inventory

import (
	"maps"
	"slices"
)

// ports are the places of the ports that the proxies of routers that serve by
// place name. No other port is remembered: a cloud has many.
type ports struct {
	users  map[string]map[string]int // port id -> router id -> how many of its proxies
	places map[string]Place          // known ones only
	// unknown are the other ports of users.
	unknown map[string]bool
	// expected are ports that a pull asks for before any proxy names them.
	expected map[string]bool
}

func newPorts() ports {
	return ports{users: map[string]map[string]int{}, places: map[string]Place{}, unknown: map[string]bool{}}
}

func (p *ports) use(port, router string) {
	if port == "" {
		return
	}
	if p.users[port] == nil {
		p.users[port] = map[string]int{}
		p.unknown[port] = true
	}
	p.users[port][router]++
}

func (p *ports) unuse(port, router string) {
	if p.users[port][router]--; p.users[port][router] <= 0 {
		delete(p.users[port], router)
	}
	if len(p.users[port]) == 0 {
		delete(p.users, port)
		delete(p.places, port)
		delete(p.unknown, port)
	}
}

// SetPort records where a port is, as pushed; [Anywhere] as its place: that is
// no longer known. It reports whether a proxy of a router on this host is
// concerned.
func (i *Inventory) SetPort(p Port) (local bool) {
	i.change(func(d dirt) {
		local = len(i.ports.users[p.ID]) > 0
		if local || i.ports.expected[p.ID] {
			i.journal.note(push{port: &p})
		}
		i.setPort(p, d)
	})
	return local
}

// ReplacePorts sets the places of the given ports to those of the snapshot.
// Those that it neither names nor says to keep do not exist: they are
// [Elsewhere], until the proxies that name them go.
func (i *Inventory) ReplacePorts(ids []string, s Snapshot) {
	i.change(func(d dirt) {
		keep, named := set(s.KeepPorts), map[string]bool{}
		for _, p := range s.Ports {
			named[p.ID] = true
			i.setPort(p, d)
		}
		for _, id := range ids {
			if !named[id] && !keep[id] && !s.KeepAllPorts {
				i.setPort(Port{ID: id, Place: Elsewhere}, d)
			}
		}
		i.replayPorts(d)
	})
}

// ExpectPorts makes [Inventory.WantsPort] true for ports that a pull asks for
// and that no proxy names yet, until [Inventory.EndPull]: a push about one
// while its answer is on the way must not be lost.
func (i *Inventory) ExpectPorts(ids []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.journal.pulling {
		i.ports.expected = set(ids)
	}
}

// WantsPort reports whether [Inventory.SetPort] of that port would matter. It
// is asked for each port that changes anywhere in the cloud.
func (i *Inventory) WantsPort(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.ports.users[id]) > 0 || i.ports.expected[id]
}

// PortIDs returns the ids of the ports whose places matter, sorted.
func (i *Inventory) PortIDs() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.ports.users))
}

// UnknownPorts returns those of them of which nobody has told the place, sorted.
func (i *Inventory) UnknownPorts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.ports.unknown))
}

// PortRouters returns the ids of the routers with a proxy of that port, sorted.
func (i *Inventory) PortRouters(id string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.ports.users[id]))
}

// HasProxiesHere reports whether a router has a proxy whose port is on this
// host.
func (i *Inventory) HasProxiesHere(routerID string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range i.proxies[routerID] {
		if i.ports.places[p.PortID] == Here {
			return true
		}
	}
	return false
}

func (i *Inventory) setPort(p Port, d dirt) {
	if len(i.ports.users[p.ID]) == 0 || i.ports.places[p.ID] == p.Place {
		return
	}
	if p.Place == Anywhere {
		delete(i.ports.places, p.ID)
		i.ports.unknown[p.ID] = true
	} else {
		i.ports.places[p.ID] = p.Place
		delete(i.ports.unknown, p.ID)
	}
	for id := range i.ports.users[p.ID] {
		d.add(i.routers[id])
	}
}
