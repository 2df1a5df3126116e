package neutrontest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"neutron-ndp-proxy-agent/rpc/neutron"
)

// Server stands in for neutron-server.
type Server struct {
	link
	replies string // the queue of answers to our own calls

	mu      sync.Mutex
	routers map[string]hosted // by id
	order   []string          // router ids in the order they were set
	proxies map[string]neutron.NDPProxy
	ports   map[string]neutron.BoundPort
	modes   map[string]string // of L3 agents, by host
	delay   map[string]func(args json.RawMessage) time.Duration
	fail    map[string]failure
	distort map[string]func(args json.RawMessage, result any) any
	mute    map[string]bool
	twice   bool
	calls   []Call
	answers []string
	known   map[string]bool // agents that reported
	hosts   map[string]bool // that have an L3 agent
	agents  map[string]neutron.Reported
	plugins []string // types of the service plugins
}

type hosted struct {
	host string
	raw  json.RawMessage
}

type failure struct {
	class, message string
	times          int // < 0: always
}

// Call is one call that the server received.
type Call struct {
	Method, Version, Topic string
	Args                   json.RawMessage
	// Expiration is the AMQP property, in milliseconds.
	Expiration string
	// ID and ReplyQueue are _msg_id and _reply_q: where the answer goes.
	ID, ReplyQueue string
}

// Topics that the server serves.
var topics = []string{"q-l3-plugin", "q-plugin", "q-reports-plugin"}

// StartServer connects a server to the broker; it stops with the test.
func StartServer(t testing.TB, url string, o Options) *Server {
	t.Helper()
	s := &Server{link: link{t: t, url: url, opts: o}, replies: "reply_" + hexID(),
		routers: map[string]hosted{}, proxies: map[string]neutron.NDPProxy{},
		ports: map[string]neutron.BoundPort{}, modes: map[string]string{}, delay: map[string]func(json.RawMessage) time.Duration{},
		fail: map[string]failure{}, distort: map[string]func(json.RawMessage, any) any{}, mute: map[string]bool{}, known: map[string]bool{}, hosts: map[string]bool{},
		agents: map[string]neutron.Reported{}, plugins: []string{"CORE", "L3_ROUTER_NAT", neutron.ServicePluginNDPProxy}}
	s.start(s.setup)
	return s
}

func (s *Server) setup(ctx context.Context, conn *amqp091.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	if err := s.control(ch); err != nil {
		return err
	}
	for _, topic := range topics {
		err := s.consume(conn, topic, s.opts.Durable, nil, s.opts.exchange(), topic, func(d amqp091.Delivery) {
			s.handle(ctx, topic, d)
		})
		if err != nil {
			return err
		}
	}
	return s.consume(conn, s.replies, false, amqp091.Table{"x-expires": int64(60000)}, "", "", func(d amqp091.Delivery) {
		if m, err := open(d.Body); err == nil {
			s.mu.Lock()
			s.answers = append(s.answers, text(m["_msg_id"]))
			s.mu.Unlock()
		}
	})
}

// handle answers one call, aside so that a slow one does not hold the others up.
func (s *Server) handle(ctx context.Context, topic string, d amqp091.Delivery) {
	m, err := open(d.Body)
	if err != nil {
		s.t.Errorf("neutrontest: garbled call on %s: %v", topic, err)
		return
	}
	method := text(m["method"])
	s.mu.Lock()
	s.calls = append(s.calls, Call{Method: method, Version: text(m["version"]), Topic: topic, Args: m["args"], Expiration: d.Expiration,
		ID: text(m["_msg_id"]), ReplyQueue: text(m["_reply_q"])})
	wait, silent, times := time.Duration(0), s.mute[method], 1
	if delay := s.delay[method]; delay != nil {
		wait = delay(m["args"])
	}
	if s.twice {
		times = 2
	}
	s.mu.Unlock()
	if silent {
		return
	}
	s.wg.Go(func() {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		result, fault := s.answer(method, m["args"])
		reply := map[string]any{"result": result, "failure": nil, "ending": true, "_msg_id": text(m["_msg_id"]), "_unique_id": hexID()}
		if fault != nil {
			f, err := json.Marshal(map[string]any{"class": fault.class, "module": "neutrontest", "message": fault.message,
				"tb": []string{}, "args": []string{fault.message}, "kwargs": map[string]any{}})
			if err != nil {
				s.t.Error(err)
			}
			reply["result"], reply["failure"] = nil, string(f)
		}
		for q := text(m["_reply_q"]); q != "" && times > 0; times-- {
			if err := s.publish("", q, Envelope(reply), ""); err != nil && ctx.Err() == nil {
				s.t.Logf("neutrontest: reply to %s: %v", method, err)
			}
		}
	})
}

// SetL3Agent says whether the server knows an L3 agent of a host.
func (s *Server) SetL3Agent(host string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = known
}

// SetRouter puts a router on a host, or changes it. Nobody is told. A host that
// has a router has an L3 agent from then on.
func (s *Server) SetRouter(host string, r neutron.Router) {
	s.SetRawRouter(host, r.ID, routerObject(r))
}

// SetRawRouter is SetRouter with the dictionary that sync_routers returns.
func (s *Server) SetRawRouter(host, id string, dict any) {
	raw, err := json.Marshal(dict)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.routers[id]; !ok {
		s.order = append(s.order, id)
	}
	s.routers[id], s.hosts[host] = hosted{host, raw}, true
}

// DropRouter forgets a router. Nobody is told; its proxies stay.
func (s *Server) DropRouter(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.routers, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
}

// SetProxy adds or changes an NDP proxy. Nobody is told.
func (s *Server) SetProxy(p neutron.NDPProxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies[p.ID] = p
}

// DropProxy forgets an NDP proxy. Nobody is told, as with the deletion of a
// port.
func (s *Server) DropProxy(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.proxies, id)
}

// Slow makes every answer to a method take so long (0: not any more).
func (s *Server) Slow(method string, d time.Duration) {
	s.SlowBy(method, func(json.RawMessage) time.Duration { return d })
}

// SlowBy makes an answer to a method take as long as its arguments deserve.
func (s *Server) SlowBy(method string, d func(args json.RawMessage) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay[method] = d
}

// Distort changes what a method answers to its arguments, as JSON has it, before
// it is sent; nil: not any more.
func (s *Server) Distort(method string, change func(args json.RawMessage, result any) any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.distort[method] = change
}

// Twice makes the server send each answer two times.
func (s *Server) Twice(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.twice = on
}

// Fail makes the next answers to a method (times < 0: all) failures of a class.
func (s *Server) Fail(method, class, message string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[method] = failure{class, message, times}
}

// Mute makes the server take calls of a method and never answer them.
func (s *Server) Mute(method string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute[method] = on
}

// Calls returns what was called so far, of one method ("" all).
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return method != "" && c.Method != method })
}

// Reports returns the agent_state of every report_state so far.
func (s *Server) Reports() []map[string]any {
	var l []map[string]any
	for _, c := range s.Calls("report_state") {
		var a struct {
			AgentState struct {
				AgentState map[string]any `json:"agent_state"`
			} `json:"agent_state"`
		}
		if err := json.Unmarshal(c.Args, &a); err != nil {
			s.t.Errorf("neutrontest: report_state: %v", err)
		}
		l = append(l, a.AgentState.AgentState)
	}
	return l
}

// Answers returns the _msg_id of every answer to a call of the server's own
// (RouterAdded).
func (s *Server) Answers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.answers)
}
