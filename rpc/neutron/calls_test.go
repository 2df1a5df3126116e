package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// server is a broker and a server in one: every published call is recorded and
// answered by answer (nil, nil: not at all; a RemoteError is the answer, another
// error that of publishing).
type server struct {
	t      *testing.T
	subs   []amqp.Subscription
	answer func(r *oslo.Request) (any, error)
	late   func() // called before a late body is made
	calls  []*oslo.Request
	sent   []amqp.Message
}

func (s *server) Subscribe(sub amqp.Subscription) { s.subs = append(s.subs, sub) }

func (s *server) Publish(_ context.Context, m amqp.Message) error {
	if m.Make != nil {
		if s.late != nil {
			s.late()
		}
		var err error
		if m.Body, err = m.Make(); err != nil {
			s.t.Fatal(err)
		}
	}
	r, err := oslo.DecodeRequest(m.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.calls, s.sent = append(s.calls, r), append(s.sent, m)
	if s.answer == nil {
		return nil
	}
	result, err := s.answer(r)
	var failure any
	var remote *oslo.RemoteError
	switch {
	case errors.As(err, &remote):
		text, e := json.Marshal(map[string]string{"class": remote.Class, "module": remote.Module, "message": remote.Message})
		if e != nil {
			s.t.Fatal(e)
		}
		result, failure = nil, string(text)
	case err != nil:
		return err
	case result == nil:
		return nil
	}
	inner, err := json.Marshal(map[string]any{"result": result, "failure": failure, "ending": true, "_msg_id": r.MsgID})
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.subs[0].Deliver(amqp.Delivery{Body: body})
	return nil
}

func newTestClient(t *testing.T, cfg Config, answer func(*oslo.Request) (any, error)) (*server, *Client) {
	t.Helper()
	if cfg.Host == "" {
		cfg.Host = "lab-host1"
	}
	cfg.Broker.Hosts = []amqp.Endpoint{{Host: "nowhere"}}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return someTime }
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, answer: answer}
	return s, newClient(cfg, s)
}

// raw is the answer of a capture.
func raw(t *testing.T, name string) func(*oslo.Request) (any, error) {
	return func(*oslo.Request) (any, error) { return result(t, name), nil }
}

// Every call has the topic, version, method, argument shape and expiration of
// the captured one.
func TestCallsLikeTheCaptures(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		answer string
		cfg    Config
		call   func(*Client) error
	}{
		{"05a-get_router_ids-request", "05b-get_router_ids-reply", Config{}, func(c *Client) error {
			ids, err := c.RouterIDs(ctx)
			if diff := cmp.Diff([]string{"f8df71c6-8c81-48ef-956b-56abf6eda62a"}, ids); err == nil && diff != "" {
				return errors.New(diff)
			}
			return err
		}},
		{"06a-sync_routers-request", "06b-sync_routers-reply", Config{}, func(c *Client) error {
			r, bad, err := c.Routers(ctx, []string{"ROUTER"})
			if err == nil && (len(r) != 1 || len(bad) != 0) {
				return fmt.Errorf("%d routers, malformed %v", len(r), bad)
			}
			return err
		}},
		{"17a-bulk_pull-ndpproxy-request", "17b-bulk_pull-ndpproxy-reply", Config{}, func(c *Client) error {
			p, bad, err := c.NDPProxies(ctx, []string{"ROUTER"})
			if err == nil && (len(p) != 1 || len(bad) != 0) {
				return fmt.Errorf("%d proxies, malformed %v", len(p), bad)
			}
			return err
		}},
		{"21a-report_state-new-agent-type-request", "21b-report_state-new-agent-type-reply",
			Config{CallTimeout: 30 * time.Second}, func(c *Client) error {
				s, err := c.ReportState(ctx, AgentState{Start: true, Binary: "ndp-proxy-agent",
					Configurations: map[string]any{"routers": 1, "proxies": 1}})
				if err == nil && s != ReportNew {
					return fmt.Errorf("answer %q", s)
				}
				return err
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, client := newTestClient(t, c.cfg, raw(t, c.answer))
			if err := c.call(client); err != nil {
				t.Fatal(err)
			}
			want, got := request(t, c.name), s.calls[0]
			if got.Method != want.Method || got.Version != want.Version || got.Namespace != want.Namespace {
				t.Errorf("calls %s %s, captured %s %s", got.Method, got.Version, want.Method, want.Version)
			}
			if diff := cmp.Diff(plainArgs(t, want), plainArgs(t, got)); diff != "" {
				t.Errorf("arguments (-captured +ours):\n%s", diff)
			}
			meta, sent := readCapture(t, c.name).AMQP, s.sent[0]
			// What is left of the time when it leaves: a busy machine takes some.
			ms := fmt.Sprint(sent.Expiration.Round(time.Second).Milliseconds())
			if sent.Exchange != meta.Exchange || sent.Key != meta.RoutingKey[0] || ms != meta.Properties.Expiration {
				t.Errorf("published to %s %s, expiration %s; captured %+v", sent.Exchange, sent.Key, ms, meta)
			}
		})
	}
}

// plainArgs are the arguments of a call, with ids replaced and without the
// resource versions that we do not send on purpose.
func plainArgs(t *testing.T, r *oslo.Request) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(r.Args, &v); err != nil {
		t.Fatal(err)
	}
	m := v.(map[string]any)
	if _, ok := m["router_ids"]; ok {
		m["router_ids"] = []any{"ROUTER"}
	}
	if f, ok := m["filter_kwargs"].(map[string]any); ok {
		f["router_id"] = []any{"ROUTER"}
	}
	if s, ok := m["agent_state"].(map[string]any); ok {
		delete(s["agent_state"].(map[string]any), "resource_versions")
	}
	return m
}

func TestReportState(t *testing.T) {
	for answer, want := range map[string]string{
		`"new"`: ReportNew, `"alive"`: ReportAlive, `"revived"`: ReportRevived, `null`: ReportIgnored,
	} {
		_, client := newTestClient(t, Config{}, func(*oslo.Request) (any, error) { return json.RawMessage(answer), nil })
		if got, err := client.ReportState(context.Background(), AgentState{}); err != nil || got != want {
			t.Errorf("answer %s: %q, %v", answer, got, err)
		}
	}
	_, client := newTestClient(t, Config{}, func(*oslo.Request) (any, error) { return "dead\x1b", nil })
	if _, err := client.ReportState(context.Background(), AgentState{}); err == nil || !strings.Contains(err.Error(), `dead\`) {
		t.Errorf("unknown answer: %v", err)
	}
	// Defaults, and a time in UTC with its fraction even when that is zero.
	zone := time.FixedZone("east", 3600)
	s, client := newTestClient(t, Config{Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, zone) }}, nil)
	args, err := json.Marshal(client.reportArgs(AgentState{}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"agent_state":{"agent_state":{"binary":"neutron-ndp-proxy-agent","host":"lab-host1","topic":"N/A",` +
		`"configurations":{},"agent_type":"NDP proxy agent"}},"time":"2026-01-02T02:04:05.000000"}`
	if string(args) != want || len(s.calls) != 0 {
		t.Errorf("got  %s\nwant %s", args, want)
	}
}

// A report that waited for a connection tells the time at which it left.
func TestReportTellsWhenItLeft(t *testing.T) {
	now := someTime
	s, client := newTestClient(t, Config{Now: func() time.Time { return now }}, func(*oslo.Request) (any, error) { return ReportAlive, nil })
	s.late = func() { now = now.Add(50 * time.Second) }
	if _, err := client.ReportState(context.Background(), AgentState{}); err != nil {
		t.Fatal(err)
	}
	var a reportArgs
	if err := json.Unmarshal(s.calls[0].Args, &a); err != nil || a.Time != "2026-11-22T17:41:55.576216" {
		t.Errorf("time %q, %v", a.Time, err)
	}
}

// Nothing asked for is nothing, not everything.
func TestEmptyListsAskNothing(t *testing.T) {
	s, client := newTestClient(t, Config{}, nil)
	r, _, err := client.Routers(context.Background(), nil)
	p, _, err2 := client.NDPProxies(context.Background(), []string{})
	ports, _, err3 := client.Ports(context.Background(), nil)
	agents, _, err4 := client.L3Agents(context.Background(), []string{})
	if err := errors.Join(err, err2, err3, err4); err != nil || len(r)+len(p)+len(ports)+len(agents)+len(s.calls) != 0 {
		t.Errorf("%v %v %v %v %v, %d calls", r, p, ports, agents, err, len(s.calls))
	}
}

func TestNDPProxiesChunks(t *testing.T) {
	var sizes []int
	_, client := newTestClient(t, Config{ProxyChunk: 1000}, func(r *oslo.Request) (any, error) {
		var a pullArgs
		if err := json.Unmarshal(r.Args, &a); err != nil {
			return nil, err
		}
		sizes = append(sizes, len(a.Filter["router_id"]))
		return result(t, "17b-bulk_pull-ndpproxy-reply"), nil
	})
	p, _, err := client.NDPProxies(context.Background(), names(2500))
	if err != nil || len(p) != 3 {
		t.Errorf("%d proxies, %v", len(p), err)
	}
	if diff := cmp.Diff([]int{1000, 1000, 500}, sizes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
