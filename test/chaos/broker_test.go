//go:build rabbitmq

package chaos

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// What the log says.
const (
	saysLost    = "connection to broker lost"
	saysBlocked = "broker blocks publishers"
	saysServer  = "Neutron: what is published stays as it is"
	// saysUnsubscribed comes for a queue, on a connection that lives.
	saysUnsubscribed = "subscription failed"
)

// reconnected bounds the way back: the longest back-off, a fifth longer, the
// connection and the first sync; on a machine with other things to do.
const reconnected = retryMax + 8*time.Second

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// brokerFaults are those of RabbitMQ and of the way to it.
func brokerFaults() []fault {
	runAgain := func(s *stage, t *testing.T) { must(t, s.broker.Run()) }
	return []fault{
		{name: "broker stopped", shows: saysLost, hold: time.Second, within: reconnected,
			do: func(s *stage, t *testing.T) { must(t, s.broker.Stop()) }, undo: runAgain},
		{name: "broker killed", shows: saysLost, within: reconnected,
			do: func(s *stage, t *testing.T) { must(t, s.broker.Kill()) }, undo: runAgain},
		{name: "broker wiped", shows: saysLost, within: reconnected,
			do: func(s *stage, t *testing.T) {
				must(t, s.broker.Stop())
				must(t, s.broker.Wipe())
			},
			undo: func(s *stage, t *testing.T) {
				must(t, s.broker.Run())
				time.Sleep(3 * time.Second) // the daemon's user is unknown meanwhile
				s.broker.SetUser(t, agentUser, agentSecret, "/")
			}},
		{name: "packets dropped", shows: saysLost, within: reconnected,
			do:   func(s *stage, _ *testing.T) { s.silence() },
			undo: func(s *stage, _ *testing.T) { s.speak() }},
		{name: "packets dropped shortly", hold: heartbeat / 3, within: reconnected, // nobody need notice
			do:   func(s *stage, _ *testing.T) { s.silence() },
			undo: func(s *stage, _ *testing.T) { s.speak() }},
		{name: "broker hangs", shows: saysLost, within: reconnected,
			do:   func(s *stage, t *testing.T) { must(t, s.broker.Pause()) },
			undo: func(s *stage, t *testing.T) { must(t, s.broker.Resume()) }},
		{name: "two of three nodes are none", within: reconnected, renews: true,
			do: func(s *stage, t *testing.T) {
				mute := s.listen(t, 0) // takes connections, by its backlog, and says nothing
				defer func() { _ = mute.Close() }()
				shut := s.listen(t, 0)
				_ = shut.Close() // refuses
				good := s.hosts
				defer func() { s.hosts = good }()
				s.hosts = strings.Join([]string{s.brokerAt(port(shut)), s.brokerAt(port(mute)), good}, ",")
				s.daemon.stop(t, stopWithin)
				s.start(t)
				offset, cut := len(s.daemon.log()), time.Now()
				s.proxy.Cut()
				s.await(t, offset, "connected to broker", showsWithin)
				t.Logf("reconnected after %v", time.Since(cut))
			},
			undo: func(s *stage, t *testing.T) {
				s.daemon.stop(t, stopWithin)
				s.daemon = launch(s.t, s.root, s.dir, s.config())
			}},
		{name: "path frozen", shows: saysLost, within: reconnected,
			do:   func(s *stage, _ *testing.T) { s.proxy.Freeze() },
			undo: func(s *stage, _ *testing.T) { s.proxy.Thaw() }},
		{name: "reset in a frame", shows: saysLost, within: reconnected,
			do: func(s *stage, _ *testing.T) { s.proxy.Tear() }},
		{name: "connection reset", shows: saysLost, within: reconnected,
			do: func(s *stage, _ *testing.T) { s.proxy.Reset() }},
		{name: "connection closed by hand", shows: saysLost, within: reconnected,
			do: func(s *stage, t *testing.T) { s.broker.CloseConnections(t, "/", "closed by an operator") }},
		{name: "memory alarm", shows: saysBlocked, hold: 2 * callTimeout, within: audit + reconnected,
			do: func(s *stage, t *testing.T) {
				_, err := s.broker.Rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1")
				must(t, err)
			},
			undo: func(s *stage, t *testing.T) {
				_, err := s.broker.Rabbitmqctl("set_vm_memory_high_watermark", "0.4")
				must(t, err)
			}},
		{name: "our queue deleted", shows: saysUnsubscribed, within: reconnected,
			do: func(s *stage, t *testing.T) { s.deleteQueue(t, rpc.QueueName(s.host.Name)) }},
		{name: "reply queue deleted", shows: saysUnsubscribed, within: audit + reconnected,
			do: func(s *stage, t *testing.T) { s.deleteQueue(t, s.replyQueue(t)) }},
		{name: "fanout exchange deleted", within: audit + reconnected,
			do: func(s *stage, t *testing.T) {
				s.broker.API(t, http.MethodDelete, "/api/exchanges/%2F/neutron-vo-NDPProxy-1.0_fanout", nil, nil)
			}},
		{name: "permissions taken away", shows: saysLost, within: reconnected,
			do: func(s *stage, t *testing.T) {
				s.broker.API(t, http.MethodDelete, "/api/permissions/%2F/"+agentUser, nil, nil)
				s.proxy.Cut()
			},
			undo: func(s *stage, t *testing.T) { s.broker.SetUser(t, agentUser, agentSecret, "/") }},
		{name: "permission to read taken away", shows: saysUnsubscribed, hold: audit * 3 / 2, within: audit + reconnected,
			do: func(s *stage, t *testing.T) {
				s.broker.API(t, http.MethodPut, "/api/permissions/%2F/"+agentUser,
					map[string]string{"configure": ".*", "write": ".*", "read": "^$"}, nil)
				s.proxy.Cut()
			},
			undo: func(s *stage, t *testing.T) { s.broker.SetUser(t, agentUser, agentSecret, "/") }},
	}
}
