package inventory

// journalLimit bounds the pushes remembered during one pull. A cloud would
// have to create this many proxies within one call; beyond it the pull is
// reported as overtaken and has to be repeated.
const journalLimit = 65536

// journal remembers the pushes that came while a pull was under way. The pull
// may have read the database before them, and its reply may come after them,
// so they are applied once more on top of it. A push that the pull had already
// seen changes nothing then.
type journal struct {
	pushes   []push
	overflow bool
}

type push struct {
	proxy   Proxy
	deleted bool
}

// BeginPull starts to remember pushes; EndPull must follow the replacing call.
// One pull at a time: the source asks for one thing after the other.
func (i *Inventory) BeginPull() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.journal = &journal{}
}

// EndPull forgets the remembered pushes and reports whether there were too
// many to remember, in which case the pull has to be made again.
func (i *Inventory) EndPull() (overtaken bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	overtaken = i.journal != nil && i.journal.overflow
	i.journal = nil
	return overtaken
}

// SetProxy records a pushed proxy. It reports whether the proxy's router is
// on this host: others come in numbers, since the fanout is cloud-wide.
func (i *Inventory) SetProxy(p Proxy) (local bool) {
	return i.push(push{proxy: p})
}

// RemoveProxy records that a proxy was deleted.
func (i *Inventory) RemoveProxy(p Proxy) (local bool) {
	return i.push(push{proxy: p, deleted: true})
}

func (i *Inventory) push(p push) (local bool) {
	i.change(func(d dirt) {
		if j := i.journal; j != nil {
			if len(j.pushes) < journalLimit {
				j.pushes = append(j.pushes, p)
			} else {
				j.overflow = true
			}
		}
		local = i.applyPush(p, d)
	})
	return local
}

func (i *Inventory) replay(d dirt) {
	if i.journal == nil {
		return
	}
	for _, p := range i.journal.pushes {
		i.applyPush(p, d)
	}
}

func (i *Inventory) applyPush(p push, d dirt) (local bool) {
	r, known := i.routers[p.proxy.RouterID]
	if !known {
		return false
	}
	old, had := i.proxies[r.ID][p.proxy.ID]
	switch {
	case p.deleted && had:
		delete(i.proxies[r.ID], p.proxy.ID)
		d.add(r)
	case !p.deleted && (!had || old != p.proxy):
		if i.proxies[r.ID] == nil {
			i.proxies[r.ID] = map[string]Proxy{}
		}
		i.proxies[r.ID][p.proxy.ID] = p.proxy
		d.add(r)
	}
	return true
}
