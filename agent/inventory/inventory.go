package inventory

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Inventory is safe for concurrent use. Readers get copies.
type Inventory struct {
	notify func(namespaces []string)

	mu      sync.Mutex
	synced  bool
	at      time.Time // of the last Replace
	routers map[string]Router
	proxies map[string]map[string]Proxy // router id -> proxy id -> proxy
	total   int                         // of proxies
	users   map[string]map[string]bool  // namespace -> ids of the routers in it
	held    map[string][]string         // router id -> namespaces that may be its, while it can't be read
	peers   map[string]map[string]bool  // namespace behind a pair of devices -> ids of the routers in it
	ports   ports
	journal journal
	causes  map[string]Causes // by namespace
}

// New returns an empty inventory that is not in sync. notify is called after
// each change, without any lock held, with the sorted names of the namespaces
// that have to be looked at again, which may be none; it must not block.
func New(notify func(namespaces []string)) *Inventory {
	return &Inventory{
		notify:  notify,
		routers: map[string]Router{},
		proxies: map[string]map[string]Proxy{},
		users:   map[string]map[string]bool{},
		held:    map[string][]string{},
		peers:   map[string]map[string]bool{},
		ports:   newPorts(),
		causes:  map[string]Causes{},
		journal: journal{now: time.Now},
	}
}

// Synced reports whether the source has told everything once. Before that, a
// namespace that the inventory does not know may be one that it does not know
// yet, and nothing may be swept.
func (i *Inventory) Synced() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.synced
}

// SyncedAt returns when the source last told everything; zero if it never did.
func (i *Inventory) SyncedAt() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.at
}

// Namespaces returns the names of all namespaces with a router, sorted.
func (i *Inventory) Namespaces() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.users))
}

// RouterIDs returns the ids of all routers, sorted.
func (i *Inventory) RouterIDs() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.routers))
}

// RouterNames returns the names of all routers, by id.
func (i *Inventory) RouterNames() map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make(map[string]string, len(i.routers))
	for id, r := range i.routers {
		out[id] = r.Name
	}
	return out
}

// HeldIDs returns the ids of the routers that could not be read, sorted.
func (i *Inventory) HeldIDs() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.held))
}

// Concerns reports whether a router is on this host, or may be.
func (i *Inventory) Concerns(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, known := i.routers[id]
	_, held := i.held[id]
	return known || held
}

// EnabledIDs returns the ids of the routers that publish, sorted.
func (i *Inventory) EnabledIDs() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var ids []string
	for id, r := range i.routers {
		if r.Enabled {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Router returns one router with its proxies.
func (i *Inventory) Router(id string) (Entry, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.routers[id]; !ok {
		return Entry{}, false
	}
	return i.entry(id), true
}

func (i *Inventory) entry(id string) Entry {
	proxies := slices.SortedFunc(maps.Values(i.proxies[id]), func(a, b Proxy) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.ID, b.ID))
	})
	e := Entry{Router: i.routers[id], Proxies: proxies}
	if e.Router.ByPlace() {
		e.Places = make(map[string]Place, len(proxies))
		for _, p := range proxies {
			if place, known := i.ports.places[p.PortID]; known {
				e.Places[p.PortID] = place
			}
		}
	}
	return e
}

// Dependents returns the namespaces whose routers are themselves in the given
// one, behind a pair of devices, sorted: what they should look like depends on
// the router's end of the pair.
func (i *Inventory) Dependents(namespace string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	d := map[string]bool{}
	for id := range i.peers[namespace] {
		for _, a := range i.routers[id].External {
			if a.Inner != nil && a.Inner.PeerNamespace == namespace {
				d[a.Namespace] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(d))
}

// Counts are totals over the whole inventory.
type Counts struct {
	// Routers on this host, and those of them with NDP proxying enabled.
	Routers, Enabled int
	// Proxies of all routers on this host; Disabled are those of routers that are
	// not enabled.
	Proxies, Disabled int
	// Elsewhere are those of enabled routers that are known to be another
	// host's to serve, since their ports are in no place that is served here.
	Elsewhere int
	// Unserved are the other ones of enabled routers that no attachment
	// serves: the router meets no external network here (yet), or nobody
	// knows where the port is.
	Unserved int
}

// Counts returns the totals.
func (i *Inventory) Counts() Counts {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := Counts{Routers: len(i.routers)}
	for id, r := range i.routers {
		c.Proxies += len(i.proxies[id])
		if !r.Enabled {
			c.Disabled += len(i.proxies[id])
			continue
		}
		c.Enabled++
		switch {
		case r.Remote:
			c.Elsewhere += len(i.proxies[id])
		case r.ByPlace():
			for _, p := range i.proxies[id] {
				c.place(r, i.ports.places[p.PortID])
			}
		case len(r.External) == 0:
			c.Unserved += len(i.proxies[id])
		}
	}
	return c
}

// place counts one proxy of a router that serves by place. While the router
// waits for an attachment, what is here is waiting with it.
func (c *Counts) place(r Router, p Place) {
	switch {
	case slices.ContainsFunc(r.External, func(a Attachment) bool { return a.Publishes(p) }):
	case p == Anywhere || p == Here:
		c.Unserved++
	default:
		c.Elsewhere++
	}
}
