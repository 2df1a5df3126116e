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

// SetPort records where a port is; [Anywhere] as its place: that is no longer
// known. It reports whether a proxy of a router on this host is concerned. The
// caller sees to it that no older news comes after newer.
func (i *Inventory) SetPort(p Port) (local bool) {
	i.change(func(d *dirt) {
		local = len(i.ports.users[p.ID]) > 0
		i.setPort(p, d)
	})
	return local
}

// SetPorts does the same for many at once.
func (i *Inventory) SetPorts(ports []Port) {
	i.change(func(d *dirt) {
		for _, p := range ports {
			i.setPort(p, d)
		}
	})
}

// WantsPort reports whether [Inventory.SetPort] of that port would matter. It
// is asked for each port that changes anywhere in the cloud.
func (i *Inventory) WantsPort(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.ports.users[id]) > 0
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

// UnknownPort reports whether a port is one of them.
func (i *Inventory) UnknownPort(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ports.unknown[id]
}

// PortsOf returns the ids of the ports of some routers whose places matter,
// sorted.
func (i *Inventory) PortsOf(routerIDs []string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	ids := map[string]bool{}
	for _, id := range routerIDs {
		if i.routers[id].ByPlace() {
			for _, p := range i.proxies[id] {
				ids[p.PortID] = true
			}
		}
	}
	delete(ids, "")
	return slices.Sorted(maps.Keys(ids))
}

// PortRouters returns the ids of the routers with a proxy of that port, sorted.
func (i *Inventory) PortRouters(id string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.ports.users[id]))
}

// Awaits reports whether a router waits for an attachment ([Router.Awaits]),
// and whether it would publish something through one that serves what is here.
func (i *Inventory) Awaits(routerID string) (awaits, here bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := i.routers[routerID]
	if r.Awaits == "" {
		return false, false
	}
	for _, p := range i.proxies[routerID] {
		if r.Enabled && i.ports.places[p.PortID] == Here {
			return true, true
		}
	}
	return true, false
}

func (i *Inventory) setPort(p Port, d *dirt) {
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
