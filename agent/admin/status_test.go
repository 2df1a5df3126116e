package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/dataplane"
)

type loop struct {
	ready      chan struct{}
	totals     agent.Totals
	drift      map[dataplane.Kind]int
	namespaces []agent.Namespace
	waiting    map[string]string
}

func (l loop) Ready() <-chan struct{}        { return l.ready }
func (l loop) Totals() agent.Totals          { return l.totals }
func (l loop) Drift() map[dataplane.Kind]int { return l.drift }
func (l loop) Namespaces() []agent.Namespace { return l.namespaces }
func (l loop) Waiting() map[string]string    { return l.waiting }

// of is a daemon with a word in every field.
func of(l loop) Daemon {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	return Daemon{
		Version: "1.2", Host: "net1", AgentMode: "dvr", Source: "neutron", Started: at, Loop: l,
		SyncedAt: func() time.Time { return at }, Overdue: func() []string { return []string{"a look, for 5m0s"} },
		Broker: func() *Broker {
			return &Broker{Connected: true, Subscribed: true, Endpoint: "b:5672", Since: at, Blocked: "memory", LastError: "x\x1b[2J"}
		},
	}
}

// The shape that docs promise: a change here is one that breaks those who read it.
func TestShape(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	got, err := json.MarshalIndent(of(loop{
		ready: ready, totals: agent.Totals{Routers: 1, Enabled: 2, Proxies: 3, Pending: 4, Failed: 5, Elsewhere: 6},
		drift: map[dataplane.Kind]int{dataplane.KindEntry: 7}, waiting: map[string]string{"r9": "a device"},
		namespaces: []agent.Namespace{
			{Name: "b", Looked: true}, {Name: "new"}, {Name: "waits", Looked: true, Pending: 1, Trouble: "device"},
			{Name: "a", Looked: true, Routers: 1, Proxies: 2, Pending: 3, Failed: 4, Elsewhere: 5, Trouble: "t", Refused: "r", Notice: "n"},
			{Name: "error", Looked: true, Trouble: "EPERM", Error: true},
		},
	}).Status(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "version": "1.2",
 "host": "net1",
 "agent_mode": "dvr",
 "source": "neutron",
 "started": "2026-01-02T02:04:05Z",
 "ready": true,
 "last_full_sync": "2026-01-02T02:04:05Z",
 "broker": {"connected": true, "subscribed": true, "endpoint": "b:5672", "since": "2026-01-02T02:04:05Z", "blocked": "memory", "last_error": "x?[2J"},
 "totals": {"routers": 1, "enabled": 2, "proxies": 3, "pending": 4, "failed": 5, "elsewhere": 6},
 "drift": {"entry": 7},
 "stuck": ["a look, for 5m0s"],
 "waiting": [{"router": "r9", "for": "a device"}],
 "namespaces": [
  {"name": "a", "state": "failed", "routers": 1, "proxies": 2, "pending": 3, "failed": 4, "elsewhere": 5, "trouble": "t", "refused": "r", "notice": "n"},
  {"name": "error", "state": "failed", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "EPERM", "refused": "", "notice": ""},
  {"name": "waits", "state": "waiting", "routers": 0, "proxies": 0, "pending": 1, "failed": 0, "elsewhere": 0, "trouble": "device", "refused": "", "notice": ""},
  {"name": "new", "state": "new", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "", "refused": "", "notice": ""},
  {"name": "b", "state": "ok", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "", "refused": "", "notice": ""}
 ],
 "omitted": 0
}`
	if diff := cmp.Diff(compact(t, want), compact(t, string(got))); diff != "" {
		t.Errorf("-want +got\n%s\n%s", diff, got)
	}
	// What there is nothing of is null, [] or {}, and always there.
	none := of(loop{drift: map[dataplane.Kind]int{}})
	none.SyncedAt, none.Overdue, none.Broker = func() time.Time { return time.Time{} }, func() []string { return nil }, func() *Broker { return nil }
	got, err = json.Marshal(none.Status())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"last_full_sync":null`, `"broker":null`, `"drift":{}`, `"stuck":[]`, `"waiting":[]`, `"namespaces":[]`, `"ready":false`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "},", "},\n")
}

// A host with more than there may be is answered for in time, with what is in trouble,
// and within some megabytes.
func TestBounds(t *testing.T) {
	long := strings.Repeat("ü\x00", 4000)
	l := loop{waiting: map[string]string{}}
	for i := range 20_000 {
		l.namespaces = append(l.namespaces, agent.Namespace{Name: fmt.Sprintf("qrouter-%05d", i), Looked: true, Error: i%2 == 1, Trouble: long, Refused: long, Notice: long})
		l.waiting[fmt.Sprint(i)] = long
	}
	d := of(l)
	d.Overdue = func() []string { return strings.Split(strings.Repeat(long+",", 100), ",") }
	start := time.Now()
	s := d.Status()
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes in %v", len(body), time.Since(start))
	if len(body) > 32<<20 || time.Since(start) > computeLimit*5 {
		t.Errorf("%d bytes in %v", len(body), time.Since(start))
	}
	if len(s.Namespaces) != maxListed || len(s.Waiting) != maxListed || s.Omitted != 20_000 || len(s.Stuck) != maxStuck {
		t.Errorf("%d namespaces, %d waiting, %d left out, %d stuck", len(s.Namespaces), len(s.Waiting), s.Omitted, len(s.Stuck))
	}
	for _, n := range s.Namespaces {
		if n.State != StateFailed {
			t.Fatalf("%s is among them, and is %s", n.Name, n.State)
		}
	}
}

// Ten thousand namespaces are listed in a moment.
func TestTenThousandNamespaces(t *testing.T) {
	var l loop
	for i := range 10_000 {
		l.namespaces = append(l.namespaces, agent.Namespace{Name: fmt.Sprintf("qrouter-%036d", i), Looked: true, Routers: 1, Proxies: 4})
	}
	path := socketIn(t)
	serving(t, path, of(l).Status)
	eventually(t, "an answer", func() bool { _, err := ask(t, path); return err == nil })
	start := time.Now()
	s, raw, err := NewClient(path).Status(t.Context())
	if err != nil || len(s.Namespaces) != 10_000 {
		t.Fatalf("%d namespaces, %v", len(s.Namespaces), err)
	}
	t.Logf("%d bytes, made and read in %v", len(raw), time.Since(start))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestPrint(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Status{
		Version: "1.2", Host: "net1", AgentMode: "legacy", Source: "neutron", Started: at, Ready: true, LastFullSync: &at,
		Broker: &Broker{Connected: true, Subscribed: true, Endpoint: "b:5672", Since: at},
		Totals: Totals{Routers: 2, Enabled: 1, Proxies: 3, Pending: 1}, Drift: map[dataplane.Kind]int{"entry": 2, "rule": 0, "filter": 1},
		Waiting:    []Waiting{{"r9", "its device"}},
		Namespaces: []Namespace{{Name: "qrouter-b", State: StateWaiting, Routers: 1, Proxies: 3, Pending: 1, Trouble: "device", Notice: "others"}, {Name: "a", State: StateOK}},
	}
	const want = `host            net1, agent_mode legacy, source neutron
version         1.2, started 2026-01-02T03:04:05Z
state           in sync
broker          connected to b:5672 since 2026-01-02T03:04:05Z
last full sync  2026-01-02T03:04:05Z
routers         2, of which 1 publish
proxies         3: 1 pending, 0 failed, 0 on other hosts
drift repaired  entry 2, filter 1
router waits    r9: for its device

NAMESPACE  STATE    ROUTERS  PROXIES  PENDING  FAILED  ELSEWHERE  WHAT
qrouter-b  waiting  1        3        1        0       0          device; others
a          ok       0        0        0        0       0          
`
	var b strings.Builder
	if err := Print(&b, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Waiting is well, everything else is not.
func TestWell(t *testing.T) {
	good := func() Status {
		return Status{Ready: true, Broker: &Broker{Connected: true, Subscribed: true}, Totals: Totals{Pending: 3}, Namespaces: []Namespace{{State: StateWaiting}}}
	}
	if !good().Well() {
		t.Error("what waits is not well")
	}
	for name, spoil := range map[string]func(*Status){
		"not ready": func(s *Status) { s.Ready = false }, "failed": func(s *Status) { s.Totals.Failed = 1 },
		"a namespace": func(s *Status) { s.Namespaces[0].State = StateFailed }, "stuck": func(s *Status) { s.Stuck = []string{"x"} },
		"no broker": func(s *Status) { s.Broker.Connected = false }, "not subscribed": func(s *Status) { s.Broker.Subscribed = false },
		"blocked": func(s *Status) { s.Broker.Blocked = "disk" },
	} {
		s := good()
		spoil(&s)
		if s.Well() {
			t.Errorf("%s is well", name)
		}
		var b strings.Builder
		if err := Print(&b, s); err != nil || strings.Contains(b.String(), "state           in sync\n") {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}

// Whoever listens at the socket: the client ends, and prints plain text.
func TestBadServers(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP": "SSH-2.0-x\r\n", "nothing": "", "not JSON": "HTTP/1.0 200 OK\r\n\r\n<html>",
		"another shape": "HTTP/1.0 200 OK\r\n\r\n{\"ready\": 7}", "no such method": "HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n",
		"a header without end": "HTTP/1.0 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"control characters":   "HTTP/1.0 500 x\r\n\r\n{\"error\": \"\\u001b[2J\"}",
	} {
		path := socketIn(t)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = c.Write([]byte(answer))
				_ = c.Close()
			}
		}()
		if _, err := ask(t, path); err == nil || !strings.Contains(err.Error(), path) || !plain(err.Error()) {
			t.Errorf("%s: %q", name, err)
		}
		_ = l.Close()
	}
}

func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// FuzzPrint: any answer that is taken for a status prints as plain text.
func FuzzPrint(f *testing.F) {
	f.Add([]byte(`{"version":"\u001b[2J","broker":{"endpoint":"a\nb"},"drift":{"\u009b":1},"stuck":["\u202e"],"waiting":[{"router":"\t","for":"\u0000"}],"namespaces":[{"name":"x\u001b","state":"\n","trouble":"\r"}]}`))
	f.Add([]byte(`{"started":"9999-01-01T00:00:00Z","last_full_sync":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s Status
		if json.Unmarshal(body, &s) != nil {
			return
		}
		var b strings.Builder
		if err := Print(&b, s); err != nil || !plain(b.String()) {
			t.Fatalf("%v %q", err, b.String())
		}
		s.Well()
	})
}
