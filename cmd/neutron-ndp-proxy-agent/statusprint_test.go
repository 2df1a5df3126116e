package main

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
	"neutron-ndp-proxy-agent/dataplane"
)

var update = flag.Bool("update", false, "write what is printed now to testdata/status")

// shown is a status with something of everything.
func shown() admin.Status {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := at.Add(-26 * time.Hour)
	const legacy, ha, dvr, late = "1596edf1-d27f-4b01-a7ae-9f10b3ab9c16", "2b3c4d5e-0000-4b01-a7ae-9f10b3ab9c16", "3c4d5e6f-0000-4b01-a7ae-9f10b3ab9c16", "4d5e6f70-0000-4b01-a7ae-9f10b3ab9c16"
	return admin.Status{
		Version: "1.2", Host: "net1", AgentMode: "dvr_snat", Source: "neutron", Started: before, Time: at, Ready: true, LastFullSync: &before,
		Broker: &admin.Broker{Connected: true, Subscribed: true, Endpoint: "b:5672", Since: before},
		Server: &admin.NeutronServer{Answers: true, LastAnswer: &at},
		Totals: admin.Totals{Routers: 5, Enabled: 4, Proxies: 10, Answered: 4, Pending: 3, Failed: 1, Elsewhere: 1, Disabled: 1},
		Drift:  map[dataplane.Kind]int{"entry": 2, "rule": 0, "filter": 1},
		Waiting: []admin.Waiting{
			{Router: late, For: "the L3 agent's own port on the external network n1"}, {Router: "another", For: "a device"},
		},
		Routers: []admin.Router{
			{ID: legacy, Name: "web", Kind: "legacy", State: admin.StateFailed, Enabled: true, Proxies: 4, Answered: 3, Failed: 1,
				Attachments: []admin.Attachment{{Namespace: "qrouter-" + legacy, Device: "qg-1b796465-2e", Role: agent.Active, Since: &before, LookedAt: &at,
					Answered: 3, Failed: 1, Trouble: "inside 2001:db8::/112, a subnet of the external network: it may be another's there"}},
				Addresses: []admin.Address{
					{Address: netip.MustParseAddr("2001:db8::77"), Proxy: "p4", State: agent.Failed, Why: "inside 2001:db8::/112, a subnet of the external network: it may be another's there", Since: &at},
					{Address: netip.MustParseAddr("2001:db8:1::10"), Proxy: "p1", State: agent.Answered, Since: &before},
					{Address: netip.MustParseAddr("2001:db8:1::11"), Proxy: "p2", State: agent.Answered},
				}},
			{ID: ha, Kind: "ha", State: admin.StateWaiting, Enabled: true, Proxies: 2, Pending: 2,
				Attachments: []admin.Attachment{{Namespace: "qrouter-" + ha, Device: "qg-2c796465-2e", Role: agent.Standby, Why: "device qg-2c796465-2e does not hold the gateway's address", LookedAt: &at, Pending: 2}}},
			{ID: dvr, Kind: "distributed", State: admin.StateOK, Enabled: true, Proxies: 2, Answered: 1, Elsewhere: 1,
				Attachments: []admin.Attachment{
					{Namespace: "fip-352c29b2-501d-4b9f-b31f-bc08542476e4", Device: "fg-304724c5-12", Role: agent.Active, LookedAt: &at, Answered: 1},
					{Namespace: "snat-" + dvr, Device: "qg-3d796465-2e", Role: agent.Absent, Why: "the namespace is not on this host", LookedAt: &at}}},
			{ID: late, Kind: "distributed", State: admin.StateWaiting, Enabled: true, Proxies: 1, Pending: 1, Obstacle: "the L3 agent's own port on the external network n1"},
			{ID: "5e6f7081-0000-4b01-a7ae-9f10b3ab9c16", State: admin.StateDisabled},
		},
		Namespaces: []admin.Namespace{
			{Name: "qrouter-" + legacy, State: admin.StateFailed, Routers: 1, Proxies: 4, Failed: 1, Refused: "1 not published, the first 2001:db8::77: inside 2001:db8::/112", Drift: map[dataplane.Kind]int{"entry": 2}},
			{Name: "qrouter-" + ha, State: admin.StateWaiting, Routers: 1, Trouble: "device qg-2c796465-2e does not hold the gateway's address"},
			{Name: "qrouter-old", State: admin.StateWaiting, Trouble: "no router of this host is known to be in it"},
		},
		Omitted: 3,
	}
}

// spoiled is one where nothing is well.
func spoiled() admin.Status {
	s := shown()
	since := s.Time.Add(-3 * time.Minute)
	s.Broker = &admin.Broker{Endpoint: "b:5672", Since: since, LastError: "dial tcp: connection refused"}
	s.Server = &admin.NeutronServer{FailingSince: &since, LastAnswer: s.LastFullSync, LastError: "no broker is connected"}
	s.Stuck = []string{"a look at qrouter-x, for 5m0s"}
	s.Waiting, s.Routers, s.Namespaces, s.Omitted = nil, nil, nil, 0
	return s
}

// What is printed, as files to look at: go test -run TestStatusPages -update.
func TestStatusPages(t *testing.T) {
	narrow := shown()
	narrow.Routers, narrow.Namespaces, narrow.Omitted = narrow.Routers[:1], narrow.Namespaces[:1], 0
	for name, got := range map[string]string{
		"page-no-terminal":  page(shown(), terminal.Screen{}),
		"page-wide-colour":  page(shown(), terminal.Screen{Terminal: true, Width: 160, Colour: true}),
		"page-80":           page(shown(), terminal.Screen{Terminal: true, Width: 80}),
		"page-spoiled":      page(spoiled(), terminal.Screen{}),
		"details":           details(narrow, terminal.Screen{}),
		"details-80-colour": details(narrow, terminal.Screen{Terminal: true, Width: 80, Colour: true}),
	} {
		file := filepath.Join("testdata", "status", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, file, got)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		if strings.Contains(name, "80") {
			for l := range strings.Lines(uncoloured(got)) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > 80 {
					t.Errorf("%s: %d columns: %s", name, n, l)
				}
			}
		}
	}
	// Colour only repeats what the words say.
	if plain := page(shown(), terminal.Screen{Terminal: true, Width: 160}); uncoloured(page(shown(), terminal.Screen{Terminal: true, Width: 160, Colour: true})) != plain {
		t.Error("with colour it says something else")
	}
}

func uncoloured(text string) string {
	for _, code := range []string{"\x1b[m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[2m"} {
		text = strings.ReplaceAll(text, code, "")
	}
	return text
}

// What is not well is never called in sync.
func TestWhatIsNotWellIsSaid(t *testing.T) {
	for name, spoil := range map[string]func(*admin.Status){
		"not ready": func(s *admin.Status) { s.Ready = false }, "failed": func(s *admin.Status) { s.Totals.Failed = 1 },
		"stuck": func(s *admin.Status) { s.Stuck = []string{"x"} }, "no broker": func(s *admin.Status) { s.Broker.Connected = false },
		"not subscribed": func(s *admin.Status) { s.Broker.Subscribed = false }, "blocked": func(s *admin.Status) { s.Broker.Blocked = "disk" },
		"no server": func(s *admin.Status) { since := s.Time.Add(-time.Hour); s.Server.FailingSince = &since },
	} {
		s := shown()
		s.Totals.Failed, s.Namespaces = 0, nil
		if !s.Well() || !strings.Contains(page(s, terminal.Screen{}), "state           in sync\n") {
			t.Fatalf("not well from the start:\n%s", page(s, terminal.Screen{}))
		}
		spoil(&s)
		if s.Well() || strings.Contains(page(s, terminal.Screen{}), "state           in sync\n") {
			t.Errorf("%s: well, or called so", name)
		}
	}
}

// FuzzStatusPage: any answer that is taken for a status prints as plain text.
func FuzzStatusPage(f *testing.F) {
	f.Add([]byte(`{"version":"\u001b[2J","broker":{"endpoint":"a\nb"},"drift":{"\u009b":1},"stuck":["\u202e"],"waiting":[{"router":"\t","for":"\u0000"}],"namespaces":[{"name":"x\u001b","state":"\n","trouble":"\r"}]}`))
	f.Add([]byte(`{"started":"9999-01-01T00:00:00Z","time":"0001-01-01T00:00:00Z","last_full_sync":null}`))
	f.Add([]byte(`{"routers":[{"id":"\u001b","name":"\n","kind":"\u0007","attachments":[{"device":"\u001b","role":"\u001b","why":"\u001b"}],"addresses":[{"address":"fe80::1%\u001b","state":"\u001b","proxy":"\u001b"}]}],"server":{"last_error":"\u001b"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s admin.Status
		if json.Unmarshal(body, &s) != nil {
			return
		}
		for _, width := range []int{0, 80, 1} {
			for _, text := range []string{page(s, terminal.Screen{Width: width}), details(s, terminal.Screen{Width: width})} {
				if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
					t.Fatalf("%q", text)
				}
			}
		}
		s.Well()
		s.WellInPart()
	})
}
