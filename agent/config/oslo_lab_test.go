//go:build lab

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/config/inifile"
	"neutron-ndp-proxy-agent/rpc/secret"
)

// The tests of this file hand the same generated input to OpenStack's own code
// (Debian's python3-neutron and what it depends on) and to ours.

type job struct {
	Kind    string      `json:"kind"`
	Text    string      `json:"text"`
	Options [][2]string `json:"options,omitempty"`
}

type answer struct {
	OK    json.RawMessage `json:"ok"`
	Error string          `json:"error"`
}

func askOslo(t *testing.T, jobs []job) []answer {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import neutron.agent.l3_agent").CombinedOutput(); err != nil {
		t.Skipf("needs Debian's python3-neutron: %v: %s", err, out)
	}
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/oslo.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(jobs) {
		t.Fatalf("%d answers to %d jobs", len(answers), len(jobs))
	}
	return answers
}

func decode(t *testing.T, raw json.RawMessage, to any) {
	t.Helper()
	if err := json.Unmarshal(raw, to); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}

// pieces strings together up to n of the given texts.
func pieces(r *rand.Rand, n int, from []string) string {
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(from[r.IntN(len(from))])
	}
	return b.String()
}

func TestOsloParses(t *testing.T) {
	tokens := []string{
		"[a]", "[A]", "[DEFAULT]", "[", "]", "x", "y", "=", ":", " ", "\t", "\n", "\n", "\n", "\n ", "\r\n", "\r", "#", ";", "\"", "'", "\\",
		"x = 1", "x = 2\n  3", "$x", "%(x)s", "\f", "\v", "\u00a0", "\u2028", "\u0085", "\x1c", "é", "\ufeff", "\n[b]\n", "y=\"q\"\n",
	}
	r := rand.New(rand.NewPCG(1, 2))
	jobs := make([]job, 3000)
	for i := range jobs {
		text := pieces(r, 12, tokens)
		if i%3 > 0 {
			text = "[a]\n" + text
		}
		jobs[i] = job{Kind: "parse", Text: text}
	}
	refused := 0
	for i, a := range askOslo(t, jobs) {
		f, err := inifile.Parse("f", []byte(jobs[i].Text))
		if (err != nil) != (a.Error != "") {
			t.Errorf("%q: ours %v, oslo %s", jobs[i].Text, err, a.Error)
			continue
		}
		if err != nil {
			refused++
			continue
		}
		want := map[string]map[string][]string{}
		decode(t, a.OK, &want)
		got := map[string]map[string][]string{}
		for _, s := range f.Sections {
			if got[s.Name] == nil {
				got[s.Name] = map[string][]string{}
			}
			for _, e := range s.Entries {
				got[s.Name][e.Key] = append(got[s.Name][e.Key], e.Value)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -oslo +ours\n%s", jobs[i].Text, diff)
		}
	}
	t.Logf("%d files, of which both refused %d", len(jobs), refused)
	if refused == 0 || refused == len(jobs) {
		t.Error("the generator makes only one kind of file")
	}
}

func TestOsloValues(t *testing.T) {
	words := []string{"", "a", "/x y", "$host", "${oslo_messaging_rabbit.rabbit_login_method}", "$$", `\$`, "$control_exchange", "$nosuch", "$ ", "$1", ",", "é", "\n  z", "'q'", "$agent_mode"}
	values := map[Kind]func(*rand.Rand) string{
		Bool: func(r *rand.Rand) string {
			return []string{"true", "FALSE", "On", "no", "1", "0", "t", "", "yes "}[r.IntN(9)]
		},
		Int: func(r *rand.Rand) string {
			return []string{"1", " 2_0", "+3", "007", "1.5", "x", "0x1", "4 # c"}[r.IntN(8)]
		},
		Float: func(r *rand.Rand) string {
			return []string{"1", "2.5", ".5", "1e0", "1_0.0", "x", "1.", "+2"}[r.IntN(8)]
		},
		List: func(r *rand.Rand) string { return pieces(r, 4, []string{"a", " b", ",", ", ", "c d"}) },
	}
	str := func(r *rand.Rand) string { return pieces(r, 4, words) }

	var all []row
	var options [][2]string
	for _, row := range append(neutronRows(), rabbitRows()...) {
		all = append(all, row)
		options = append(options, [2]string{row.Group, row.Name})
	}
	r := rand.New(rand.NewPCG(3, 4))
	jobs := make([]job, 400)
	for i := range jobs {
		var b strings.Builder
		for range r.IntN(30) {
			o := all[r.IntN(len(all))]
			n := o.name()
			if len(o.aliases) > 0 && r.IntN(2) == 0 {
				n = o.aliases[r.IntN(len(o.aliases))]
			}
			group := []string{n.group, n.group, strings.ToUpper(n.group), strings.ToLower(n.group)}[r.IntN(4)]
			value := values[o.Kind]
			_, log := o.field(&target{Config: &Config{}}).(*bool)
			switch {
			case o.Group == groupDefault && (log || strings.HasPrefix(o.Name, "log_") || o.Name == "state_path"):
				// The command line's options: a bad one makes oslo give up
				// before any other value can be asked for.
				value = func(r *rand.Rand) string { return []string{"1", "No"}[r.IntN(2)] }
			case o.Name == "agent_mode" || o.Name == "rabbit_login_method": // referred to by others
				value = func(r *rand.Rand) string { return o.Choices[r.IntN(len(o.Choices))].Value }
			case len(o.Choices) > 0:
				value = func(r *rand.Rand) string {
					return append(o.Choices, ChoiceOption{Value: "X"})[r.IntN(len(o.Choices)+1)].Value
				}
			case value == nil:
				value = str
			}
			if n.option == "host" {
				value = func(r *rand.Rand) string { return []string{"h1", "10.0.0.1", "$agent_mode.x"}[r.IntN(2)] }
			}
			fmt.Fprintf(&b, "[%s]\n%s = %s\n", group, n.option, value(r))
		}
		jobs[i] = job{Kind: "values", Text: b.String(), Options: options}
	}
	// Where we differ on purpose: see docs/decisions/0007 and table_rabbit.go.
	newerDefault := map[string]bool{
		"[oslo_messaging_rabbit] heartbeat_rate": true, "[oslo_messaging_rabbit] ssl_enforce_hostname_verification": true,
		"[DEFAULT] transport_url": true,
	}
	compared, wrong := 0, 0
	for i, a := range askOslo(t, jobs) {
		f, err := inifile.Parse("f", []byte(jobs[i].Text))
		if err != nil || a.Error != "" {
			t.Errorf("%d: ours %v, oslo %s\n%s", i, err, a.Error, jobs[i].Text)
			continue
		}
		l := newLayered([]*inifile.File{f}, nil)
		l.defaults[name{groupDefault, "host"}] = "unused"
		want := map[string]struct{ Value, Error string }{}
		decode(t, a.OK, &want)
		for _, row := range all {
			key := row.name().String()
			w, known := want[key]
			if _, set := l.find(row.name()); !known || (newerDefault[key] && !set) || key == "[oslo_messaging_rabbit] processname" {
				continue
			}
			compared++
			tg := &target{Config: &Config{}}
			v, err := l.value(row.name())
			if err == nil {
				err = row.set(tg, v.text)
			}
			if w.Error != "" || err != nil {
				wrong++
				if w.Error != "" && key == "[oslo_messaging_rabbit] kombu_reconnect_delay" {
					continue // a limit that only newer versions have
				}
				if (w.Error != "") != (err != nil) && !row.nonEmpty {
					t.Errorf("%d: %s: ours %v, oslo %q\n%s", i, key, err, w.Error, jobs[i].Text)
				}
				continue
			}
			got := row.get(tg)
			if row.secret() {
				got = row.field(tg).(*secret.Text).Reveal()
			}
			if got != w.Value && !sameNumber(got, w.Value) {
				t.Errorf("%d: %s: ours %q, oslo %q\n%s", i, key, got, w.Value, jobs[i].Text)
			}
		}
	}
	t.Logf("%d values compared, of which %d are not valid", compared, wrong)
	if compared < 1000 || wrong == 0 {
		t.Error("too little was compared")
	}
}

func sameNumber(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && x == y
}

func TestOsloTransportURL(t *testing.T) {
	tokens := []string{
		"u", "p", ":", "@", "h", "h2", ",", "/", "?", "[::1]", "%2F", "%40", "%zz", "5672", "0", "ssl=1", "&", "=", "a", "+", "%252F", "\n", ".", "u:p@h", ",u:p@h2:1",
	}
	r := rand.New(rand.NewPCG(5, 6))
	jobs := make([]job, 5000)
	for i := range jobs {
		prefix := []string{"rabbit://", "rabbit://u:p@h", "Rabbit://u:p@h:1,u2:p2@"}[r.IntN(3)]
		jobs[i] = job{Kind: "url", Text: prefix + pieces(r, 7, tokens)}
	}
	same, refused, stricter := 0, 0, 0
	for i, a := range askOslo(t, jobs) {
		p, err := parseTransportURL(jobs[i].Text)
		if err != nil {
			refused++
			if a.Error == "" {
				stricter++
				if !strings.Contains(err.Error(), "behind the hosts") && !strings.Contains(err.Error(), "is not a ") &&
					!strings.Contains(err.Error(), "nothing is inherited") {
					t.Errorf("%q: ours %v, oslo accepts it: %s", jobs[i].Text, err, a.OK)
				}
			}
			continue
		}
		if a.Error != "" {
			// A bare IPv6 address is understood by newer oslo.messaging only.
			if !strings.Contains(jobs[i].Text, "::") {
				t.Errorf("%q: ours %v, oslo %s", jobs[i].Text, p.Transport, a.Error)
			}
			continue
		}
		want := struct {
			Hosts [][]any
			Query map[string]string
		}{}
		decode(t, a.OK, &want)
		var hosts [][]any
		for _, h := range p.Hosts {
			hosts = append(hosts, []any{h.Host, float64(h.Port), h.User, h.Password.Reveal(), p.VHost})
		}
		if diff := cmp.Diff(want.Hosts, hosts); diff != "" {
			t.Errorf("%q: -oslo +ours\n%s", jobs[i].Text, diff)
		}
		if diff := cmp.Diff(want.Query, p.query); diff != "" {
			t.Errorf("%q: query: -oslo +ours\n%s", jobs[i].Text, diff)
		}
		same++
	}
	t.Logf("%d URLs: %d the same, %d refused, of which oslo.messaging accepts %d", len(jobs), same, refused, stricter)
	if same < len(jobs)/10 {
		t.Error("too little was compared")
	}
}
