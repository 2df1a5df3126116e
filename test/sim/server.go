package sim

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	source "neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Server is one daemon's connection to Neutron.
type Server struct {
	cloud  *cloud
	host   *Host
	events chan rpc.Event
	// wantPort is [rpc.Config.WantPort]: of others the client tells nothing.
	wantPort func(id string) bool

	mu     sync.Mutex
	faults Faults
	held   rpc.Event
	lost   int
}

// Faults are what goes wrong on a connection; the zero value is nothing.
type Faults struct {
	// Lose every message.
	Lose bool
	// Double delivers each twice, the second time marked as such, as after the
	// loss of a connection.
	Double bool
	// Shuffle delivers each two in the other order.
	Shuffle bool
	// Fail is how many of the next calls fail.
	Fail int
	// Slow is how long an answer takes after it was read from the database.
	Slow time.Duration
}

var (
	_ source.Server = (*Server)(nil)

	errServer = errors.New("remote error OperationalError: made up by the test")
)

// eventsHeld bounds what a daemon that takes nothing has queued.
const eventsHeld = 1 << 16

// connect makes the connection of a daemon that begins.
func (c *cloud) connect(h *Host, wantPort func(string) bool) *Server {
	s := &Server{cloud: c, host: h, wantPort: wantPort, events: make(chan rpc.Event, eventsHeld)}
	s.events <- rpc.Subscribed{Endpoint: "sim"}
	c.change(func() { c.servers = append(c.servers, s) })
	return s
}

func (c *cloud) disconnect(s *Server) {
	c.change(func() {
		c.servers = slices.DeleteFunc(slices.Clone(c.servers), func(o *Server) bool { return o == s })
	})
}

// SetFaults replaces them; what was held back is delivered.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	if s.held != nil {
		s.events <- s.held
		s.held = nil
	}
}

func (s *Server) deliver(e rpc.Event) {
	if p, is := e.(rpc.PortsPushed); is && (s.wantPort == nil || !s.wantPort(p.Ports[0].ID)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := s.faults; {
	case f.Lose:
		s.lost++
	case f.Shuffle && s.held == nil:
		s.held = e
	case f.Shuffle:
		s.events <- e
		s.events <- s.held
		s.held = nil
	default:
		s.events <- e
		if f.Double {
			s.events <- again(e)
		}
	}
}

// again is a message that is delivered a second time.
func again(e rpc.Event) rpc.Event {
	if p, is := e.(rpc.ProxiesPushed); is {
		p.Redelivered = true
		return p
	}
	return e
}

// Events is the stream of messages.
func (s *Server) Events() <-chan rpc.Event { return s.events }

// call runs one call: read is what the database says now, the answer comes
// when it comes.
func (s *Server) call(ctx context.Context, read func()) error {
	s.mu.Lock()
	fail, slow := s.faults.Fail > 0, s.faults.Slow
	if fail {
		s.faults.Fail--
	}
	s.mu.Unlock()
	if fail {
		return errServer
	}
	s.cloud.change(read)
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// RouterIDs are those that the server lists for the host.
func (s *Server) RouterIDs(ctx context.Context) (ids []string, err error) {
	err = s.call(ctx, func() {
		for _, r := range s.cloud.w.Routers {
			if s.host.carries(r) {
				ids = append(ids, r.ID)
			}
		}
	})
	return ids, err
}

// Routers describes those that the host has and that are administratively up.
func (s *Server) Routers(ctx context.Context, ids []string) (out []rpc.Router, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() {
		for _, r := range s.cloud.w.Routers {
			if slices.Contains(ids, r.ID) && r.Up && s.host.carries(r) {
				out = append(out, r.object(s.host))
			}
		}
	})
	return out, nil, err
}

// NDPProxies are those of the routers.
func (s *Server) NDPProxies(ctx context.Context, routerIDs []string) (out []rpc.NDPProxy, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() {
		for _, p := range s.cloud.proxies {
			if slices.Contains(routerIDs, p.Router.ID) && slices.Contains(s.cloud.w.Routers, p.Router) {
				out = append(out, p.object())
			}
		}
	})
	return out, nil, err
}

// Ports are those that exist.
func (s *Server) Ports(ctx context.Context, ids []string) (out []rpc.BoundPort, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() {
		for _, vm := range s.cloud.w.Instances {
			if slices.Contains(ids, vm.PortID) && !vm.deleted {
				out = append(out, vm.object())
			}
		}
	})
	return out, nil, err
}

// L3Agents are those of the hosts.
func (s *Server) L3Agents(ctx context.Context, hosts []string) (out []rpc.Agent, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() {
		for _, h := range s.cloud.w.Hosts {
			if slices.Contains(hosts, h.Name) {
				out = append(out, rpc.Agent{Host: h.Name, Type: rpc.L3AgentType, Mode: h.Mode})
			}
		}
	})
	return out, nil, err
}

// Reprobe finds nothing new: all pushes come.
func (s *Server) Reprobe(context.Context) error { return nil }

func (vm *Instance) object() rpc.BoundPort {
	return rpc.BoundPort{ID: vm.PortID, NetworkID: vm.net.ID, DeviceOwner: "compute:nova", Host: vm.Host.Name, Revision: vm.revision}
}

func (p *Proxy) object() rpc.NDPProxy {
	return rpc.NDPProxy{ID: p.ID, RouterID: p.Router.ID, PortID: p.PortID, Addr: p.Addr}
}

// object is the router as sync_routers describes it to a host.
func (r *Router) object(h *Host) rpc.Router {
	out := rpc.Router{ID: r.ID, Name: string(r.Kind), AdminStateUp: r.Up, EnableNDPProxy: r.Enabled,
		HA: r.Kind.HighlyAvailable(), Distributed: r.Kind.Distributed()}
	if out.HA {
		out.HAState = "standby" // late or wrong: nothing may depend on it
	}
	for _, i := range r.Interfaces {
		out.Interfaces = append(out.Interfaces, i.Net.port(i.PortID, i.MAC, i))
	}
	if r.Gateway == nil {
		return out
	}
	gw := r.Gateway.port()
	out.Gateway = &gw
	if out.Distributed {
		if len(r.Hosts) > 0 {
			out.GatewayHost = r.Hosts[0].Name
		}
		if r.Primary != nil {
			out.GatewayHost = r.Primary.Name
		}
		if g := r.agentPorts[h.Name+r.Gateway.Net.ID]; g != nil {
			p := g.port()
			p.HostID, p.DeviceOwner = h.Name, "network:floatingip_agent_gateway"
			out.FloatingIPAgentInterfaces = []rpc.Port{p}
		}
	}
	return out
}

func (g *Gateway) port() rpc.Port {
	p := rpc.Port{ID: g.PortID, NetworkID: g.Net.ID, MAC: g.MAC, ScopeV6: g.Net.Scope,
		FixedIPs: []rpc.FixedIP{{Addr: g.Addr, PrefixLen: 64}}, Subnets: []rpc.Subnet{{CIDR: g.Net.V4, GatewayIP: host(g.Net.V4, 1)}}}
	if g.Net.Prefix.IsValid() {
		p.Subnets = append(p.Subnets, rpc.Subnet{CIDR: g.Net.Prefix, GatewayIP: g.Net.Gateway})
	}
	return p
}

func (in *Internal) port(id, mac string, i *Interface) rpc.Port {
	return rpc.Port{ID: id, NetworkID: in.ID, MAC: mac, ScopeV6: in.Scope,
		FixedIPs: []rpc.FixedIP{{Addr: host(in.V4, 1), PrefixLen: 24}, {Addr: i.Addr, PrefixLen: 64}},
		Subnets:  []rpc.Subnet{{CIDR: in.V4, GatewayIP: host(in.V4, 1)}, {CIDR: in.Prefix, GatewayIP: in.RouterAddr}}}
}

// Flow ends the faults of the messages; those of the calls go on.
func (s *Server) Flow() {
	s.mu.Lock()
	f := s.faults
	s.mu.Unlock()
	f.Lose, f.Double, f.Shuffle = false, false, false
	s.SetFaults(f)
}
