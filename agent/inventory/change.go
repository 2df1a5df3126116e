package inventory

import (
	"maps"
	"slices"
	"strings"
)

// dirt collects the namespaces that a change touched, and why; the name "" stands
// for news that are of none.
type dirt struct {
	names map[string][]Cause
	// why is the cause of what changes of a router.
	why func(routerID string) Cause
}

func (d *dirt) add(r Router) {
	for _, a := range r.External {
		d.mark(a.Namespace)
		if c := d.why(r.ID); !c.none() && !slices.Contains(d.names[a.Namespace], c) {
			d.names[a.Namespace] = append(d.names[a.Namespace], c)
		}
	}
}

func (d *dirt) mark(namespace string) {
	if _, marked := d.names[namespace]; !marked {
		d.names[namespace] = nil
	}
}

// change runs fn under the lock and notifies about what it touched.
func (i *Inventory) change(fn func(*dirt)) {
	i.changeFor(func(string) Cause { return Cause{} }, fn)
}

// changeFor does so too, and remembers why each namespace has to be looked at, under
// the same lock: a [View] that has the change has its cause.
func (i *Inventory) changeFor(why func(routerID string) Cause, fn func(*dirt)) {
	d := &dirt{names: map[string][]Cause{}, why: why}
	i.mu.Lock()
	fn(d)
	dirty := len(d.names) > 0
	delete(d.names, "")
	for ns, causes := range d.names {
		if len(causes) > 0 {
			c := i.causes[ns]
			c.note(causes)
			i.causes[ns] = c
		}
	}
	i.mu.Unlock()
	if dirty {
		i.notify(slices.Sorted(maps.Keys(d.names)))
	}
}

// Snapshot is everything that a source knows at one moment about some routers.
type Snapshot struct {
	// Routers that exist on this host.
	Routers []Router
	// Proxies of those routers; others are ignored.
	Proxies []Proxy
	// KeepProxies are ids of proxies that the source named but could not
	// describe: what was known of them before stays.
	KeepProxies []string
	// KeepProxiesOf are ids of routers with a proxy that it could not even
	// name, so that none of theirs may be removed; KeepAllProxies is the same
	// for all routers.
	KeepProxiesOf  []string
	KeepAllProxies bool
	// Ports are the places of ports of those proxies, as far as they are known
	// already; the places of all others stay as they were.
	Ports []Port
	// Causes are the messages that were the reason to ask, by the id of the router.
	Causes map[string]Cause
	// Held are the routers that it could not describe, by id, with the names
	// of the namespaces that may belong to them: what is there and belongs to
	// no other router is not removed. A name that ends in a hyphen
	// ([FIPNamespacePrefix]) stands for all that begin with it.
	Held map[string][]string
}

func (s Snapshot) cause(routerID string) Cause { return s.Causes[routerID] }

// has reports the routers that exist or may exist.
func (s Snapshot) has() map[string]bool {
	ids := make(map[string]bool, len(s.Routers)+len(s.Held))
	for _, r := range s.Routers {
		ids[r.ID] = true
	}
	for id := range s.Held {
		ids[id] = true
	}
	return ids
}

// Replace makes the inventory equal to the snapshot, marks it in sync, and
// applies the pushes since [Inventory.BeginPull] again, because they may be
// newer than what the snapshot saw.
func (i *Inventory) Replace(s Snapshot) {
	first := false
	i.change(func(d *dirt) {
		first = !i.synced
		i.synced, i.at = true, i.journal.now()
		has := s.has()
		for id := range i.routers {
			if !has[id] {
				i.removeRouter(id, d)
			}
		}
		for id := range i.held {
			i.hold(id, nil, d)
		}
		i.setRouters(s, d)
	})
	if first {
		// Being in sync is news, also when there is nothing to publish.
		i.notify(nil)
	}
}

// ReplaceRouters does the same for the routers of the given ids only: those
// that the snapshot lacks are gone.
func (i *Inventory) ReplaceRouters(ids []string, s Snapshot) {
	i.changeFor(s.cause, func(d *dirt) {
		has := s.has()
		for _, id := range ids {
			if !has[id] {
				i.removeRouter(id, d)
			}
			i.hold(id, nil, d)
		}
		i.setRouters(s, d)
	})
}

// ReplaceProxies sets the proxies of the given routers to those of the
// snapshot, and leaves the routers themselves alone.
func (i *Inventory) ReplaceProxies(ids []string, s Snapshot) {
	i.changeFor(s.cause, func(d *dirt) {
		i.setProxies(ids, s, d)
		i.replay(d)
	})
}

// setRouters is the common end of the replacing calls: routers, their
// proxies, and the journal on top.
func (i *Inventory) setRouters(s Snapshot, d *dirt) {
	for id, namespaces := range s.Held {
		i.hold(id, namespaces, d)
	}
	ids := make([]string, 0, len(s.Routers))
	for _, r := range s.Routers {
		i.setRouter(r, d)
		ids = append(ids, r.ID)
	}
	i.setProxies(ids, s, d)
	for _, p := range s.Ports {
		i.setPort(p, d)
	}
	i.replay(d)
}

func (i *Inventory) setRouter(r Router, d *dirt) {
	old, known := i.routers[r.ID]
	if known && equalRouter(old, r) {
		return
	}
	// The new use of the ports comes first: the place of a port that is not
	// named any more is forgotten.
	i.usePorts(r)
	if known {
		d.add(old)
		i.leave(old)
		i.unusePorts(old)
	}
	i.routers[r.ID] = r
	i.enter(r)
	d.add(r)
	if r.Awaits != "" {
		d.mark("")
	}
}

// hold notes the namespaces of a router that could not be read; none: it could.
// Either way they have to be looked at: what was left alone may have to go.
func (i *Inventory) hold(id string, namespaces []string, d *dirt) {
	if slices.Equal(i.held[id], namespaces) {
		return
	}
	for _, ns := range slices.Concat(i.held[id], namespaces) {
		if !isPrefix(ns) {
			d.mark(ns)
			continue
		}
		for used := range i.users { // the next sweep finds the others
			if strings.HasPrefix(used, ns) {
				d.mark(used)
			}
		}
	}
	if len(namespaces) == 0 {
		delete(i.held, id)
		return
	}
	i.held[id] = namespaces
}

func (i *Inventory) removeRouter(id string, d *dirt) {
	old, known := i.routers[id]
	if !known {
		return
	}
	d.add(old)
	i.leave(old)
	i.unusePorts(old)
	delete(i.routers, id)
	i.total -= len(i.proxies[id])
	delete(i.proxies, id)
}

func (i *Inventory) setProxies(ids []string, s Snapshot, d *dirt) {
	keep, keepOf := set(s.KeepProxies), set(s.KeepProxiesOf)
	wanted := map[string]map[string]Proxy{}
	for _, p := range s.Proxies {
		if wanted[p.RouterID] == nil {
			wanted[p.RouterID] = map[string]Proxy{}
		}
		wanted[p.RouterID][p.ID] = p
	}
	for _, id := range ids {
		r, known := i.routers[id]
		if !known {
			continue
		}
		want := wanted[id]
		for pid, p := range i.proxies[id] {
			if _, named := want[pid]; !named && (s.KeepAllProxies || keepOf[id] || keep[pid]) {
				if want == nil {
					want = map[string]Proxy{}
				}
				want[pid] = p
			}
		}
		for pid, p := range want {
			if old, had := i.proxies[id][pid]; !had || old != p {
				i.putProxy(r, p, d)
			}
		}
		for pid, p := range i.proxies[id] {
			if _, wanted := want[pid]; !wanted {
				i.dropProxy(r, p, d)
			}
		}
	}
}

func equalRouter(a, b Router) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Kind == b.Kind && a.Enabled == b.Enabled &&
		a.Scope == b.Scope && a.Unsupported == b.Unsupported && a.Awaits == b.Awaits && a.Remote == b.Remote && a.Open == b.Open &&
		slices.Equal(a.Outside, b.Outside) &&
		slices.EqualFunc(a.External, b.External, func(x, y Attachment) bool {
			return x.Namespace == y.Namespace && x.Device == y.Device && slices.Equal(x.Addrs, y.Addrs) &&
				x.Serves == y.Serves && x.Elective == y.Elective && equalInner(x.Inner, y.Inner)
		}) &&
		slices.EqualFunc(a.Subnets, b.Subnets, func(x, y Subnet) bool {
			return x.Prefix == y.Prefix && x.Scope == y.Scope && slices.Equal(x.RouterAddrs, y.RouterAddrs)
		})
}

func equalInner(a, b *Inner) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
