package neutron

import (
	"maps"
	"slices"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// atlas knows where ports are: to which host each is bound, as far as it was
// told, and what kind of host that is. News comes from pushes and from answers,
// out of order; the atlas alone decides which count, and writes the places that
// follow to the inventory before the next is heard.
type atlas struct {
	here      Host
	inventory *inventory.Inventory

	mu sync.Mutex
	// modes are the agent_modes of other hosts' L3 agents; "" for a host that
	// has none. They are read again with each audit.
	modes map[string]string
	seen  map[string]sighting
	epoch int // raised by restart
}

// question is when a question was asked.
type question struct {
	at    time.Time
	epoch int
}

func newAtlas(here Host, i *inventory.Inventory) *atlas {
	return &atlas{here: here, inventory: i, modes: map[string]string{}, seen: map[string]sighting{}}
}

// begin is to be called before the ports are asked for.
func (a *atlas) begin() question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return question{time.Now(), a.epoch}
}

// pushed takes a port as pushed, and reports whether that counts (stale: not)
// and tells of another host than before, and where the port is now.
func (a *atlas) pushed(p rpc.BoundPort, why inventory.Cause) (place inventory.Place, moved, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, had := a.known(p.ID)
	news := sighting{host: p.Host, revision: p.Revision, at: time.Now(), pushed: true}
	if had && !news.replaces(old) {
		return old.place, false, true
	}
	a.enter(map[string]sighting{p.ID: news}, why)
	return a.seen[p.ID].place, had && old.host != p.Host, false
}

// deleted takes a port that was pushed as deleted: it is nowhere, and never
// comes back, since an id is not used again.
func (a *atlas) deleted(id string, why inventory.Cause) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.enter(map[string]sighting{id: {gone: true, at: time.Now(), pushed: true}}, why)
}

// answered takes what the server said of the ports asked for; it said nothing
// of those in keep. An answer from before a restart says nothing.
func (a *atlas) answered(q question, asked []string, ports []rpc.BoundPort, keep map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.epoch != a.epoch {
		return
	}
	news := make(map[string]sighting, len(asked))
	for _, id := range asked {
		if !keep[id] {
			news[id] = sighting{gone: true, at: q.at}
		}
	}
	for _, p := range ports {
		news[p.ID] = sighting{host: p.Host, revision: p.Revision, at: q.at}
	}
	for id, n := range news {
		old, had := a.known(id)
		if had && !n.replaces(old) {
			n = old
		}
		if had && n.at.Before(old.at) {
			n.at, n.pushed = old.at, old.pushed
		}
		news[id] = n
	}
	a.enter(news, inventory.Cause{})
}

// doubts are those of the ports that nobody said were deleted.
func (a *atlas) doubts(ids []string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(ids, func(id string) bool {
		s, had := a.known(id)
		return had && s.gone
	})
}

// lost are those of the hosts whose L3 agents are known, but not among these; with
// all also those of which nothing is known yet.
func (a *atlas) lost(hosts []string, agents []rpc.Agent, all bool) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool {
		mode, known := a.modes[host]
		return mode == "" && (known || !all) || slices.ContainsFunc(agents, func(g rpc.Agent) bool { return g.Host == host })
	})
}

// known returns what is known of a port. Of one that no proxy named for a while
// nothing is: what was pushed of it then was not let through. The lock is held.
func (a *atlas) known(id string) (s sighting, had bool) {
	s, had = a.seen[id]
	if had && s.place != inventory.Anywhere && a.inventory.UnknownPort(id) {
		delete(a.seen, id)
		return sighting{}, false
	}
	return s, had
}

// enter notes sightings and tells the inventory the places. The lock is held.
func (a *atlas) enter(news map[string]sighting, why inventory.Cause) {
	places := make([]inventory.Port, 0, len(news))
	for id, n := range news {
		if old, had := a.seen[id]; had {
			n.place = old.place
		}
		n.place = a.place(n)
		a.seen[id] = n
		places = append(places, inventory.Port{ID: id, Place: n.place})
	}
	a.inventory.Because(why).SetPorts(places)
}

// place tells where a port is. On a dvr_snat host, one on a host of unknown mode
// may be Edge or Elsewhere. If it was neither before, or Elsewhere, nothing is
// published at the edge that it could lose: it is not here at any rate. Else
// what is published stays (Anywhere) until the mode is known.
func (a *atlas) place(s sighting) inventory.Place {
	switch {
	case s.gone || s.host == "":
		return inventory.Elsewhere
	case s.host == a.here.Name:
		return inventory.Here
	case a.here.Mode != rpc.ModeDVRSNAT:
		return inventory.Elsewhere // whoever serves it, it is not this host
	}
	mode, known := a.modes[s.host]
	switch {
	case mode == rpc.ModeDVRNoExternal:
		return inventory.Edge
	case known || s.place == inventory.Here || s.place == inventory.Elsewhere:
		return inventory.Elsewhere
	}
	return inventory.Anywhere
}

// foreign are the hosts whose modes decide where these ports are, sorted.
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

// unknown are those of the hosts of which no mode is known.
func (a *atlas) unknown(hosts []string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(hosts, func(host string) bool { _, known := a.modes[host]; return known })
}

// setModes takes what the server said of the L3 agents of the hosts asked for,
// and places the ports that are bound there. A host whose agent could not be
// read keeps the mode that it had, or stays unknown.
func (a *atlas) setModes(asked []string, agents []rpc.Agent, bad []rpc.Malformed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	said := map[string]string{}
	for _, g := range agents {
		said[g.Host] = g.Mode
	}
	unread := map[string]bool{}
	some := false
	for _, m := range bad {
		unread[m.ID] = true
		some = some || nameless(m)
	}
	changed := map[string]bool{}
	for _, host := range asked {
		mode, named := said[host]
		if named || !some && !unread[host] {
			old, known := a.modes[host]
			changed[host] = !known || old != mode
			a.modes[host] = mode
		}
	}
	news := map[string]sighting{}
	for id := range a.seen {
		if s, had := a.known(id); had && changed[s.host] {
			news[id] = s
		}
	}
	a.enter(news, inventory.Cause{})
}

// forget forgets the ports that don't matter any more, and the hosts that none of
// the others is on.
func (a *atlas) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	matter, hosts := set(a.inventory.PortIDs()...), map[string]bool{}
	for id, s := range a.seen {
		if matter[id] {
			hosts[s.host] = true
		} else {
			delete(a.seen, id)
		}
	}
	maps.DeleteFunc(a.modes, func(host, _ string) bool { return !hosts[host] })
}

// restart forgets which news was the latest: after a break, what the server
// says counts, also if its database was put back to an earlier state.
func (a *atlas) restart() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	for id, s := range a.seen {
		s.revision, s.at, s.pushed = 0, time.Time{}, false
		a.seen[id] = s
	}
}
