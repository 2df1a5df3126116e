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
	// elsewhere takes the messages instead of events.
	elsewhere func(rpc.Event)

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
	if s.elsewhere != nil {
		s.elsewhere(e)
		return
	}
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
	err = s.call(ctx, func() { ids = s.host.routerIDs() })
	return ids, err
}

// Routers describes those that the host has and that are administratively up.
func (s *Server) Routers(ctx context.Context, ids []string) (out []rpc.Router, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() { out = s.host.routers(func(id string) bool { return slices.Contains(ids, id) }) })
	return out, nil, err
}

// NDPProxies are those of the routers.
func (s *Server) NDPProxies(ctx context.Context, routerIDs []string) (out []rpc.NDPProxy, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() { out = s.cloud.w.ndpProxies(func(id string) bool { return slices.Contains(routerIDs, id) }) })
	return out, nil, err
}

// Ports are those that exist.
func (s *Server) Ports(ctx context.Context, ids []string) (out []rpc.BoundPort, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() { out = s.cloud.w.ports(ids) })
	return out, nil, err
}

// L3Agents are those of the hosts.
func (s *Server) L3Agents(ctx context.Context, hosts []string) (out []rpc.Agent, bad []rpc.Malformed, err error) {
	err = s.call(ctx, func() { out = s.cloud.w.l3Agents(hosts) })
	return out, nil, err
}

// Reprobe finds nothing new: all pushes come.
func (s *Server) Reprobe(context.Context) error { return nil }

// Renew finds that nothing is amiss.
func (s *Server) Renew(context.Context) error { return nil }

// Flow ends the faults of the messages; those of the calls go on.
func (s *Server) Flow() {
	s.mu.Lock()
	f := s.faults
	s.mu.Unlock()
	f.Lose, f.Double, f.Shuffle = false, false, false
	s.SetFaults(f)
}
