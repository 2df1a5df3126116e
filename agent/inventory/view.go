package inventory

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// View is what is known of one namespace at one moment.
type View struct {
	// Entries are the routers in it, sorted by id.
	Entries []Entry
	// Unread: there may be another router in it, of which nothing is known, so
	// that what no entry accounts for must not be taken for unwanted. One could
	// not be read so far; or the namespace is shared and the source has not
	// told of all routers yet. A router that was read before and can't be now
	// counts with what was known of it.
	Unread bool
	// Synced is [Inventory.Synced].
	Synced bool
	// Because are the messages that told of what no look has answered so far; see
	// [Inventory.Answered].
	Because Causes
}

// View returns what is known of a namespace.
func (i *Inventory) View(name string) View {
	i.mu.Lock()
	defer i.mu.Unlock()
	v := View{Unread: i.unread(name), Synced: i.synced, Because: i.causes[name]}
	for _, id := range slices.Sorted(maps.Keys(i.users[name])) {
		v.Entries = append(v.Entries, i.entry(id))
	}
	return v
}

// Namespace returns the routers of a [View], and whether it is unread.
func (i *Inventory) Namespace(name string) (entries []Entry, unread bool) {
	v := i.View(name)
	return v.Entries, v.Unread
}

// Unread reports whether the [View] of a namespace is.
func (i *Inventory) Unread(name string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.unread(name)
}

func (i *Inventory) unread(name string) bool {
	for id, namespaces := range i.held {
		if _, known := i.routers[id]; !known && names(namespaces, name) {
			return true
		}
	}
	return !i.synced && i.shared(name)
}

// shared reports whether a namespace is one that routers share.
func (i *Inventory) shared(name string) bool {
	for id := range i.users[name] {
		if slices.ContainsFunc(i.routers[id].External, func(a Attachment) bool { return a.Namespace == name && a.Inner != nil }) {
			return true
		}
	}
	return false
}

// Find returns the routers that have to do with an address, sorted by id: those with
// a proxy for it, and those whose own or in one of whose internal subnets it is. Of
// their proxies only those for the address are there. Each router is looked at for
// itself: nobody waits while all proxies are gone through.
func (i *Inventory) Find(a netip.Addr) []Entry {
	var out []Entry
	for _, id := range i.RouterIDs() {
		if e, concerned := i.find(id, a); concerned {
			out = append(out, e)
		}
	}
	return out
}

func (i *Inventory) find(id string, a netip.Addr) (e Entry, concerned bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, known := i.routers[id]
	if !known {
		return e, false
	}
	e.Router = r
	for _, p := range i.proxies[id] {
		if p.Addr == a {
			e.Proxies = append(e.Proxies, p)
		}
	}
	slices.SortFunc(e.Proxies, func(a, b Proxy) int { return cmp.Compare(a.ID, b.ID) })
	if r.ByPlace() {
		e.Places = map[string]Place{}
		for _, p := range e.Proxies {
			if place, known := i.ports.places[p.PortID]; known {
				e.Places[p.PortID] = place
			}
		}
	}
	return e, len(e.Proxies) > 0 || r.has(a)
}

// has reports whether an address is the router's own, or in one of its subnets.
func (r Router) has(a netip.Addr) bool {
	return slices.ContainsFunc(r.External, func(at Attachment) bool { return slices.Contains(at.Addrs, a) }) ||
		slices.ContainsFunc(r.Subnets, func(s Subnet) bool { return s.Prefix.Contains(a) })
}

// Awaited returns what the attachments that routers that publish wait for, by
// router id ([Router.Awaits]).
func (i *Inventory) Awaited() map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := map[string]string{}
	for id, r := range i.routers {
		if r.Enabled && r.Awaits != "" {
			out[id] = r.Awaits
		}
	}
	return out
}
