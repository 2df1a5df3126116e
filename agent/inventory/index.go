package inventory

// enter puts a router into the indices, leave takes it out; so do usePorts and
// unusePorts with the ports of its proxies.
func (i *Inventory) enter(r Router) {
	for _, a := range r.External {
		enter(i.users, a.Namespace, r.ID)
		if a.Inner != nil {
			enter(i.peers, a.Inner.PeerNamespace, r.ID)
		}
	}
}

func (i *Inventory) leave(r Router) {
	for _, a := range r.External {
		leave(i.users, a.Namespace, r.ID)
		if a.Inner != nil {
			leave(i.peers, a.Inner.PeerNamespace, r.ID)
		}
	}
}

func (i *Inventory) usePorts(r Router) {
	if r.ByPlace() {
		for _, p := range i.proxies[r.ID] {
			i.ports.use(p.PortID, r.ID)
		}
	}
}

func (i *Inventory) unusePorts(r Router) {
	if r.ByPlace() {
		for _, p := range i.proxies[r.ID] {
			i.ports.unuse(p.PortID, r.ID)
		}
	}
}

func enter(index map[string]map[string]bool, key, id string) {
	if index[key] == nil {
		index[key] = map[string]bool{}
	}
	index[key][id] = true
}

func leave(index map[string]map[string]bool, key, id string) {
	delete(index[key], id)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}

// putProxy adds a proxy to a known router, or changes it.
func (i *Inventory) putProxy(r Router, p Proxy, d *dirt) {
	if r.ByPlace() {
		// The new one first, so that the place of a port stays known.
		i.ports.use(p.PortID, r.ID)
		if old, had := i.proxies[r.ID][p.ID]; had {
			i.ports.unuse(old.PortID, r.ID)
		}
	}
	if i.proxies[r.ID] == nil {
		i.proxies[r.ID] = map[string]Proxy{}
	}
	if _, had := i.proxies[r.ID][p.ID]; !had {
		i.total++
	}
	i.proxies[r.ID][p.ID] = p
	d.add(r)
}

func (i *Inventory) dropProxy(r Router, p Proxy, d *dirt) {
	if r.ByPlace() {
		i.ports.unuse(p.PortID, r.ID)
	}
	delete(i.proxies[r.ID], p.ID)
	i.total--
	d.add(r)
}
