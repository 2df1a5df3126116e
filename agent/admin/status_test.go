package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	routers    []agent.Router
	// asked is the last question.
	asked *agent.Wanted
}

func (l loop) Ready() <-chan struct{}        { return l.ready }
func (l loop) Totals() agent.Totals          { return l.totals }
func (l loop) Drift() map[dataplane.Kind]int { return l.drift }
func (l loop) Namespaces() []agent.Namespace { return slices.Clone(l.namespaces) }
func (l loop) Waiting() map[string]string    { return l.waiting }
func (l loop) RouterNames() map[string]string {
	names := map[string]string{}
	for _, r := range l.routers {
		names[r.ID] = r.Name
	}
	return names
}

func (l loop) Routers(w agent.Wanted) []agent.Router {
	if l.asked != nil {
		*l.asked = w
	}
	var out []agent.Router
	for _, r := range l.routers {
		if w.Routers == nil || slices.Contains(w.Routers, r.ID) {
			out = append(out, r)
		}
	}
	return out
}

// status of everything.
func (d daemon) status(t *testing.T) Status {
	t.Helper()
	s, err := d.Status(Query{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type daemon struct{ Daemon }

// from is a daemon with a word in every field.
func from(l loop) daemon {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	return daemon{Daemon{
		Version: "1.2", Host: "net1", AgentMode: "dvr", Source: "neutron", Started: at, Loop: l,
		SyncedAt: func() time.Time { return at }, Overdue: func() []string { return []string{"a look, for 5m0s"} },
		Broker: func() *Broker {
			return &Broker{Connected: true, Subscribed: true, Endpoint: "b:5672", Since: at, Blocked: "memory", LastError: "x\x1b[2J"}
		},
		Server: func() *NeutronServer { return &NeutronServer{LastAnswer: &at, FailingSince: &at, LastError: "y\x1b"} },
	}}
}

// The shape that docs promise: a change here is one that breaks those who read it.
func TestShape(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	s := from(loop{
		ready: ready, totals: agent.Totals{Routers: 1, Enabled: 2, Proxies: 3, Pending: 4, Failed: 5, Elsewhere: 6, Answered: 7, Disabled: 8},
		drift: map[dataplane.Kind]int{dataplane.KindEntry: 7}, waiting: map[string]string{"r9": "a device"},
		namespaces: []agent.Namespace{
			{Name: "b", Looked: true}, {Name: "new"}, {Name: "waits", Looked: true, Pending: 1, Trouble: "device"},
			{Name: "a", Looked: true, Routers: 1, Proxies: 2, Pending: 3, Failed: 4, Elsewhere: 5, Trouble: "t", Refused: "r", Notice: "n",
				At: at, Drift: map[dataplane.Kind]int{dataplane.KindEntry: 7, dataplane.KindRoute: 0}},
			{Name: "error", Looked: true, Trouble: "EPERM", Error: true},
		},
		routers: []agent.Router{{ID: "off"}, {
			ID: "r1", Name: "web\n", Kind: "ha", Enabled: true, Obstacle: "o", Proxies: 9, Answered: 1, Pending: 2, Failed: 3, Elsewhere: 4,
			Attachments: []agent.Attachment{{Namespace: "a", Device: "qg-1", Role: agent.Active, Why: "w", Since: at, Looked: at, Answered: 1, Pending: 2, Failed: 3, Trouble: "t"}},
			Addresses: []agent.Address{{Addr: netip.MustParseAddr("2001:db8::1"), ID: "p1", PortID: "port", Namespace: "a", Device: "qg-1", State: agent.Answered, Why: "w", Since: at},
				{Addr: netip.MustParseAddr("2001:db8::2"), State: agent.Failed}},
		}},
	}).status(t)
	if since := time.Since(s.Time); since < 0 || since > time.Minute || s.Time.Location() != time.UTC {
		t.Errorf("answered at %v", s.Time)
	}
	s.Time = at.UTC()
	got, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "version": "1.2",
 "host": "net1",
 "agent_mode": "dvr",
 "source": "neutron",
 "started": "2026-01-02T02:04:05Z",
 "time": "2026-01-02T02:04:05Z",
 "ready": true,
 "last_full_sync": "2026-01-02T02:04:05Z",
 "broker": {"connected": true, "subscribed": true, "endpoint": "b:5672", "since": "2026-01-02T02:04:05Z", "blocked": "memory", "last_error": "x?[2J"},
 "server": {"answers": false, "last_answer": "2026-01-02T02:04:05Z", "failing_since": "2026-01-02T02:04:05Z", "last_error": "y?"},
 "source_trouble": "",
 "totals": {"routers": 1, "enabled": 2, "proxies": 3, "pending": 4, "failed": 5, "elsewhere": 6, "answered": 7, "disabled": 8},
 "drift": {"entry": 7},
 "stuck": ["a look, for 5m0s"],
 "waiting": [{"router": "r9", "for": "a device"}],
 "namespaces": [
  {"name": "a", "state": "failed", "routers": 1, "proxies": 2, "pending": 3, "failed": 4, "elsewhere": 5, "trouble": "t", "refused": "r", "notice": "n", "looked_at": "2026-01-02T02:04:05Z", "drift": {"entry": 7}},
  {"name": "error", "state": "failed", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "EPERM", "refused": "", "notice": "", "looked_at": null, "drift": {}},
  {"name": "waits", "state": "waiting", "routers": 0, "proxies": 0, "pending": 1, "failed": 0, "elsewhere": 0, "trouble": "device", "refused": "", "notice": "", "looked_at": null, "drift": {}},
  {"name": "new", "state": "new", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "", "refused": "", "notice": "", "looked_at": null, "drift": {}},
  {"name": "b", "state": "ok", "routers": 0, "proxies": 0, "pending": 0, "failed": 0, "elsewhere": 0, "trouble": "", "refused": "", "notice": "", "looked_at": null, "drift": {}}
 ],
 "routers": [
  {"id": "r1", "name": "web?", "kind": "ha", "state": "failed", "enabled": true, "obstacle": "o", "attachments": [
   {"namespace": "a", "device": "qg-1", "role": "active", "why": "w", "since": "2026-01-02T02:04:05Z", "looked_at": "2026-01-02T02:04:05Z", "answered": 1, "pending": 2, "failed": 3, "trouble": "t"}],
   "proxies": 9, "answered": 1, "pending": 2, "failed": 3, "elsewhere": 4, "addresses": [
   {"address": "2001:db8::2", "proxy": "", "port": "", "state": "failed", "namespace": "", "device": "", "why": "", "since": null},
   {"address": "2001:db8::1", "proxy": "p1", "port": "port", "state": "answered", "namespace": "a", "device": "qg-1", "why": "w", "since": "2026-01-02T02:04:05Z"}]},
  {"id": "off", "name": "", "kind": "", "state": "disabled", "enabled": false, "obstacle": "", "attachments": [], "proxies": 0, "answered": 0, "pending": 0, "failed": 0, "elsewhere": 0}
 ],
 "omitted": 0
}`
	if diff := cmp.Diff(compact(t, want), compact(t, string(got))); diff != "" {
		t.Errorf("-want +got\n%s\n%s", diff, got)
	}
	// What there is nothing of is null, [] or {}, and always there.
	none := from(loop{drift: map[dataplane.Kind]int{}})
	none.SyncedAt, none.Overdue, none.Broker = func() time.Time { return time.Time{} }, func() []string { return nil }, func() *Broker { return nil }
	none.Server = func() *NeutronServer { return nil }
	got, err = json.Marshal(none.status(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"last_full_sync":null`, `"broker":null`, `"drift":{}`, `"stuck":[]`, `"waiting":[]`, `"namespaces":[]`, `"routers":[]`, `"server":null`, `"ready":false`} {
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
		l.routers = append(l.routers, agent.Router{ID: fmt.Sprintf("%05d", i), Name: long, Obstacle: long, Enabled: true, Failed: i % 2, Attachments: []agent.Attachment{{Namespace: long, Device: long, Why: long, Trouble: long}},
			Addresses: []agent.Address{{Why: long}, {Why: long}, {Why: long, State: agent.Failed}}})
	}
	d := from(l)
	d.Overdue = func() []string { return strings.Split(strings.Repeat(long+",", 100), ",") }
	start := time.Now()
	s := d.status(t)
	body, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes in %v", len(body), time.Since(start))
	if len(body) > 40<<20 || time.Since(start) > computeLimit*10 {
		t.Errorf("%d bytes in %v", len(body), time.Since(start))
	}
	if len(s.Namespaces) != maxListed || len(s.Waiting) != maxListed || s.Omitted != 50_000 || len(s.Routers) != maxListed || len(s.Stuck) != maxStuck {
		t.Errorf("%d namespaces, %d waiting, %d routers, %d left out, %d stuck", len(s.Namespaces), len(s.Waiting), len(s.Routers), s.Omitted, len(s.Stuck))
	}
	for _, n := range s.Namespaces {
		if n.State != StateFailed {
			t.Fatalf("%s is among them, and is %s", n.Name, n.State)
		}
	}
}

// Ten thousand routers and namespaces are listed in a moment.
func TestTenThousandNamespaces(t *testing.T) {
	var l loop
	for i := range 10_000 {
		l.namespaces = append(l.namespaces, agent.Namespace{Name: fmt.Sprintf("qrouter-%036d", i), Looked: true, Routers: 1, Proxies: 4, At: time.Now()})
		l.routers = append(l.routers, agent.Router{
			ID: fmt.Sprintf("%036d", i), Kind: "legacy", Enabled: true, Proxies: 4, Answered: 4,
			Attachments: []agent.Attachment{{Namespace: fmt.Sprintf("qrouter-%036d", i), Device: "qg-1b796465-2e", Role: agent.Active, Since: time.Now(), Looked: time.Now(), Answered: 4}},
		})
	}
	path := socketIn(t)
	answering(t, path, from(l).Status)
	eventually(t, "an answer", func() bool { _, err := ask(t, path); return err == nil })
	start := time.Now()
	s, raw, err := NewClient(path).Status(t.Context())
	if err != nil || len(s.Namespaces) != 10_000 || len(s.Routers) != 10_000 {
		t.Fatalf("%d namespaces, %d routers, %v", len(s.Namespaces), len(s.Routers), err)
	}
	t.Logf("%d bytes, made and read in %v", len(raw), time.Since(start))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
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
