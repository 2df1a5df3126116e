package sim

import (
	"net/netip"
	"slices"
	"sync"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// cloud is Neutron's side of the world: what it tells whom.
type cloud struct {
	w *World

	// mu guards what the servers read: the world's routers, proxies, instances
	// and hosts. Tests change them by the functions here.
	mu      sync.Mutex
	proxies map[string]*Proxy
	servers []*Server
}

func newCloud(w *World) *cloud { return &cloud{w: w, proxies: map[string]*Proxy{}} }

// change makes a change under the lock.
func (c *cloud) change(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

// tell sends an event to the daemons of some hosts, nil: of all.
func (c *cloud) tell(hosts []*Host, e rpc.Event) {
	c.mu.Lock()
	servers := slices.Clone(c.servers)
	c.mu.Unlock()
	for _, s := range servers {
		if hosts == nil || slices.Contains(hosts, s.host) {
			s.deliver(e)
		}
	}
}

// where are the hosts that carry a router.
func (c *cloud) where(r *Router) []*Host {
	hosts := []*Host{}
	for _, h := range c.w.Hosts {
		if h.carries(r) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

func (c *cloud) updated(r *Router) { c.tell(c.where(r), rpc.RoutersUpdated{IDs: []string{r.ID}}) }

// agentPort is a host's fg- port, made when it is first asked for.
func (c *cloud) agentPort(r *Router, h *Host) *Gateway {
	c.mu.Lock()
	defer c.mu.Unlock()
	net := r.Gateway.Net
	// One port for each host and network, whatever the routers.
	for _, o := range c.w.Routers {
		if g := o.agentPorts[h.Name+net.ID]; g != nil {
			r.agentPorts[h.Name+net.ID] = g
			return g
		}
	}
	g := c.w.gateway(net)
	r.agentPorts[h.Name+net.ID] = g
	return g
}

// gateway makes a port on an external network.
func (w *World) gateway(e *External) *Gateway {
	g := &Gateway{PortID: uuid(w.next()), MAC: mac(w.next()), Net: e}
	e.hosts++
	if e.Prefix.IsValid() {
		g.Addr = host(e.Prefix, e.hosts)
	} else {
		g.Addr = host(e.V4, e.hosts)
	}
	return g
}

// AddRouter makes a router on hosts; of one with keepalived the first is the
// primary.
func (w *World) AddRouter(kind Kind, hosts ...*Host) *Router {
	w.t.Helper()
	r := &Router{ID: uuid(w.next()), Kind: kind, Enabled: true, Up: true, Hosts: hosts, agentPorts: map[string]*Gateway{}}
	if kind.HighlyAvailable() {
		r.Primary = hosts[0]
	}
	w.cloud.change(func() { w.Routers = append(w.Routers, r) })
	w.hosts()
	w.cloud.tell(hosts, rpc.RouterAdded{IDs: []string{r.ID}})
	return r
}

// SetGateway gives a router another gateway, or with nil none.
func (w *World) SetGateway(r *Router, e *External) {
	w.t.Helper()
	w.cloud.change(func() {
		r.Gateway = nil
		if e != nil {
			r.Gateway = w.gateway(e)
		}
	})
	w.updateRouter(r)
}

// updateRouter is an update as the server tells it, worked on by the L3 agents.
func (w *World) updateRouter(r *Router) {
	w.t.Helper()
	w.cloud.updated(r)
	w.hosts() // of the agent gateway port that is made now nobody is told
}

// Attach adds an interface on a tenant network.
func (w *World) Attach(r *Router, in *Internal) {
	w.t.Helper()
	w.AttachAt(r, in, in.RouterAddr)
}

// AttachAt does so with another address than the subnet's gateway_ip.
func (w *World) AttachAt(r *Router, in *Internal, a netip.Addr) {
	w.t.Helper()
	i := &Interface{PortID: uuid(w.next()), MAC: mac(w.next()), SNATPortID: uuid(w.next()), SNATMAC: mac(w.next()),
		Net: in, Addr: a, SNATAddr: host(in.Prefix, 2)}
	w.cloud.change(func() { r.Interfaces = append(slices.Clone(r.Interfaces), i) })
	w.updateRouter(r)
}

// Detach removes it.
func (w *World) Detach(r *Router, in *Internal) {
	w.t.Helper()
	w.cloud.change(func() {
		r.Interfaces = slices.DeleteFunc(slices.Clone(r.Interfaces), func(i *Interface) bool { return i.Net == in })
	})
	w.updateRouter(r)
}

// Update changes flags of a router.
func (w *World) Update(r *Router, change func()) {
	w.t.Helper()
	before := w.cloud.where(r)
	w.cloud.change(change)
	w.cloud.tell(before, rpc.RoutersUpdated{IDs: []string{r.ID}})
	w.updateRouter(r)
}

// Reschedule moves a router to other hosts.
func (w *World) Reschedule(r *Router, hosts ...*Host) {
	w.t.Helper()
	before, had := w.cloud.where(r), r.Hosts
	w.cloud.change(func() {
		r.Hosts = hosts
		r.Primary = nil
		if r.Kind.HighlyAvailable() && len(hosts) > 0 {
			r.Primary = hosts[0]
		}
	})
	after := w.cloud.where(r)
	for _, h := range before {
		switch {
		case !slices.Contains(after, h):
			w.cloud.tell([]*Host{h}, rpc.RouterRemoved{ID: r.ID})
		case slices.Contains(had, h) && !slices.Contains(hosts, h):
			// It keeps a distributed router for the instances' sake.
			w.cloud.tell([]*Host{h}, rpc.RoutersUpdated{IDs: []string{r.ID}})
		}
	}
	w.hosts()
	for _, h := range hosts {
		if !slices.Contains(had, h) {
			w.cloud.tell([]*Host{h}, rpc.RouterAdded{IDs: []string{r.ID}})
		}
	}
}

// DeleteRouter deletes a router; its proxies must be gone, as the server wants.
func (w *World) DeleteRouter(r *Router) {
	w.t.Helper()
	w.cloud.change(func() {
		w.Routers = slices.DeleteFunc(slices.Clone(w.Routers), func(o *Router) bool { return o == r })
	})
	w.cloud.tell(nil, rpc.RouterDeleted{ID: r.ID})
	w.hosts()
}

// Publish makes an NDP proxy for an instance.
func (w *World) Publish(r *Router, vm *Instance) *Proxy { return w.PublishAddr(r, vm, vm.Addr) }

// PublishAddr makes one for any address, which a server would not, with the port
// of an instance.
func (w *World) PublishAddr(r *Router, vm *Instance, a netip.Addr) *Proxy {
	p := &Proxy{ID: uuid(w.next()), Router: r, PortID: vm.PortID, Addr: a}
	w.cloud.change(func() { w.cloud.proxies[p.ID] = p })
	w.cloud.tell(nil, rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p.object()}})
	return p
}

// Unpublish deletes it.
func (w *World) Unpublish(p *Proxy) {
	w.cloud.change(func() { delete(w.cloud.proxies, p.ID) })
	w.cloud.tell(nil, rpc.ProxiesPushed{Kind: rpc.Deleted, Proxies: []rpc.NDPProxy{p.object()}})
}

// Forget deletes it as the deletion of its port does: nobody is told.
func (w *World) Forget(p *Proxy) {
	w.cloud.change(func() { delete(w.cloud.proxies, p.ID) })
}

// Proxies returns those of a router.
func (w *World) Proxies(r *Router) []*Proxy {
	w.cloud.mu.Lock()
	defer w.cloud.mu.Unlock()
	var out []*Proxy
	for _, p := range w.cloud.proxies {
		if p.Router == r {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *Proxy) int { return a.Addr.Compare(b.Addr) })
	return out
}

// Move binds an instance's port to another host, as a live migration does: the
// instance runs there from one moment to the next, and then Neutron tells (seen:
// lab/FINDINGS.md). Nothing is sent to the old host but the push of the port.
func (w *World) Move(vm *Instance, to *Host) {
	w.t.Helper()
	before := map[*Router][]*Host{}
	for _, r := range w.Routers {
		before[r] = w.cloud.where(r)
	}
	w.cloud.change(func() { vm.Host, vm.revision = to, vm.revision+1 })
	w.hosts() // the new host's L3 agent has everything when the instance comes
	w.fabric.Batch("link set " + vm.tap + " master " + w.bridge(vm.net.segment(to)))
	w.cloud.tell(nil, rpc.PortsPushed{Kind: rpc.Updated, Ports: []rpc.BoundPort{vm.object()}})
	for _, r := range w.Routers {
		if !r.Kind.Distributed() || !r.attached(vm.net) {
			continue
		}
		after := w.cloud.where(r)
		w.cloud.tell([]*Host{to}, rpc.RoutersUpdated{IDs: []string{r.ID}})
		for _, h := range before[r] {
			if !slices.Contains(after, h) {
				w.cloud.tell([]*Host{h}, rpc.RouterRemoved{ID: r.ID})
			}
		}
	}
}

// DeletePort deletes an instance's port, and with it its proxies, of which
// nobody is told. The instance goes on running, as it may for a while.
func (w *World) DeletePort(vm *Instance) {
	w.t.Helper()
	w.cloud.change(func() {
		vm.deleted = true
		for id, p := range w.cloud.proxies {
			if p.PortID == vm.PortID {
				delete(w.cloud.proxies, id)
			}
		}
	})
	w.cloud.tell(nil, rpc.PortsPushed{Kind: rpc.Deleted, Ports: []rpc.BoundPort{{ID: vm.PortID}}})
}

// SetMode changes the agent_mode of a host: its L3 agent works on, its daemon
// has to be started again.
func (w *World) SetMode(h *Host, mode string) {
	w.t.Helper()
	running := h.daemon != nil
	h.Kill()
	w.cloud.change(func() { h.Mode = mode })
	w.hosts()
	for _, r := range w.Routers {
		w.cloud.updated(r)
	}
	if running {
		h.StartDaemon()
	}
}

// Failover lets another host's keepalived hold the addresses. The old one gives
// them up first; the L3 agents set the gateway's forwarding as they go along.
func (w *World) Failover(r *Router, to *Host) {
	w.t.Helper()
	from := r.Primary
	w.cloud.change(func() { r.Primary = to })
	if from != nil {
		from.l3.sync()
	}
	if to != nil {
		to.l3.sync()
	}
}
