//go:build rabbitmq

package chaos

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
	"neutron-ndp-proxy-agent/test/sim"
)

// neutron is neutron-server: it answers from the world's model, and tells over
// the broker what changes there.
type neutron struct {
	t     testing.TB
	url   string
	cloud *crowd

	outbox chan rpc.Event
	mu     sync.Mutex
	server *neutrontest.Server
	lost   int // messages that no exchange took
}

// portVersion is that of the server's Port objects (Neutron 21, "Zed").
const portVersion = "1.7"

// patience is how long the server tries to get rid of a message while it has no
// connection, as oslo.messaging does.
const patience = time.Minute

func startNeutron(t testing.TB, url string, w *sim.World, h *sim.Host) *neutron {
	t.Helper()
	n := &neutron{t: t, url: url, cloud: &crowd{Model: w.Model()}, outbox: make(chan rpc.Event, 1<<16)}
	n.start()
	// The host's other agents are there too: they answer what the tap must not, and
	// make their exchanges when they come back.
	neutrontest.StartL3Agent(t, url, neutrontest.Options{Host: h.Name, PortVersion: portVersion})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case e := <-n.outbox:
				n.send(stop, h.Name, e)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return n
}

// start connects the server, stop ends it: nobody answers then.
func (n *neutron) start() {
	n.t.Helper()
	s := neutrontest.StartServer(n.t, n.url, neutrontest.Options{Cloud: n.cloud})
	n.mu.Lock()
	n.server = s
	n.mu.Unlock()
	n.declare(s)
}

func (n *neutron) stop() { n.now().Stop() }

// now is the server that runs, or ran last.
func (n *neutron) now() *neutrontest.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// declare is done by the server before its first push.
func (n *neutron) declare(s *neutrontest.Server) {
	if err := errors.Join(s.DeclareFanouts(), s.DeclarePortFanouts(portVersion)); err != nil {
		n.t.Logf("exchanges are not declared: %v", err)
	}
}

// crowd is the world's model and, for one test, more routers of the host, which
// have nothing to publish.
type crowd struct {
	sim.Model
	more atomic.Int64
}

func (c *crowd) moreIDs() (ids []string) {
	for i := range c.more.Load() {
		ids = append(ids, fmt.Sprintf("c0ffee00-0000-4000-8000-%012d", i))
	}
	return ids
}

func (c *crowd) RouterIDs(host string) []string {
	return append(c.Model.RouterIDs(host), c.moreIDs()...)
}

func (c *crowd) Routers(host string, ids []string) []rpc.Router {
	out := c.Model.Routers(host, ids)
	for _, id := range c.moreIDs() {
		if slices.Contains(ids, id) {
			out = append(out, rpc.Router{ID: id, AdminStateUp: true})
		}
	}
	return out
}

// send publishes a message. It is tried again while there is no connection; to
// an exchange that does not exist it is lost.
func (n *neutron) send(stop <-chan struct{}, host string, e rpc.Event) {
	for end := time.Now().Add(patience); ; {
		s := n.now()
		err := publish(s, host, e)
		var refused *amqp091.Error
		switch {
		case err == nil || errors.Is(err, neutrontest.ErrUnrouted):
			return
		case errors.As(err, &refused) && refused.Code == amqp091.NotFound:
			n.mu.Lock()
			n.lost++
			n.mu.Unlock()
			n.declare(s)
			return
		case !errors.Is(err, neutrontest.ErrDown) && !errors.Is(err, amqp091.ErrClosed), time.Now().After(end):
			n.t.Logf("a push of %T is lost: %v", e, err)
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func publish(s *neutrontest.Server, host string, e rpc.Event) error {
	switch e := e.(type) {
	case rpc.RoutersUpdated:
		return s.RoutersUpdated(host, e.IDs...)
	case rpc.RouterAdded:
		return s.RouterAdded(host, e.IDs...)
	case rpc.RouterRemoved:
		return s.RouterRemoved(host, e.ID)
	case rpc.RouterDeleted:
		return s.RouterDeleted(e.ID)
	case rpc.ProxiesPushed:
		return s.Push(e.Kind, e.Proxies...)
	case rpc.PortsPushed:
		return s.PushPort(e.Kind, e.Ports[0])
	}
	return nil
}
