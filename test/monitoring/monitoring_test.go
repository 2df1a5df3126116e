package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"neutron-ndp-proxy-agent/agent/metrics"
)

var (
	root      = filepath.Join("..", "..")
	rulesFile = filepath.Join(root, "configs", "prometheus", "neutron-ndp-proxy-agent.rules.yml")
	boardFile = filepath.Join(root, "configs", "grafana", "neutron-ndp-proxy-agent.json")
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus' own judge.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatal("no promtool: test/lab/install metrics")
		}
		t.Skip("no promtool here")
	}
	out, err := exec.Command("promtool", args...).CombinedOutput()
	return string(out), err
}

// rule is an alert of the file.
type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) == 0 {
		t.Fatal("no rules")
	}
	return out
}

// panel is one of the dashboard, as far as it is looked at.
type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	var board struct{ Panels []panel }
	if err := json.Unmarshal([]byte(read(t, boardFile)), &board); err != nil {
		t.Fatal(err)
	}
	return board.Panels
}

// filledIn is a query as Grafana sends it.
func filledIn(expr string) string {
	return strings.NewReplacer("$__rate_interval", "2m", "$instance", ".*").Replace(expr)
}

func TestRules(t *testing.T) {
	if out, err := promtool(t, "check", "rules", rulesFile); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	cases := read(t, filepath.Join("testdata", "alerts.yml"))
	run := func(rules string) (string, error) {
		path := filepath.Join(t.TempDir(), "alerts.yml")
		if err := os.WriteFile(path, []byte(strings.Replace(cases, "RULES", rules, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return promtool(t, "test", "rules", path)
	}
	if out, err := run(whole); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The cases see an alert that never fires, and one that always does.
	for was, is := range map[string]string{`== 0`: `== 9`, `[30m])) > 5`: `[30m])) > -1`} {
		mutant := filepath.Join(t.TempDir(), "rules.yml")
		if err := os.WriteFile(mutant, []byte(strings.Replace(read(t, rulesFile), was, is, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(mutant); err == nil {
			t.Errorf("the cases pass with %q instead of %q", is, was)
		}
	}
	troubleshoot := read(t, filepath.Join(root, "docs", "troubleshoot.md"))
	for _, r := range rules(t) {
		if !strings.Contains(cases, "alertname: "+r.Alert+"\n        exp_alerts:") {
			t.Errorf("%s: no case in which it fires", r.Alert)
		}
		if !strings.Contains(cases, "alertname: "+r.Alert+"}") {
			t.Errorf("%s: no case in which it does not", r.Alert)
		}
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks severity, summary or description", r.Alert)
		}
		anchor, ours := strings.CutPrefix(r.Annotations["runbook"], "docs/troubleshoot.md#")
		if !ours || !slices.Contains(anchors(troubleshoot), anchor) {
			t.Errorf("%s: docs/troubleshoot.md has no %q", r.Alert, r.Annotations["runbook"])
		}
	}
}

// anchors are those of a page's headings, as they are made of simple ones.
func anchors(page string) (out []string) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			out = append(out, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "# "))), " ", "-"))
		}
	}
	return out
}

// Grafana's own schema is not at hand: the panels fit into the grid, none lies over
// another, and Prometheus understands each query.
func TestDashboard(t *testing.T) {
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	var file strings.Builder
	file.WriteString("groups:\n- name: dashboard\n  rules:\n")
	n := 0
	for _, p := range panels(t) {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: no title, or the id twice", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beside the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("%q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			n++
			fmt.Fprintf(&file, "  - record: q%d\n    expr: %q\n", n, filledIn(q.Expr))
			if rest := regexp.MustCompile(`\$\w+`).FindString(filledIn(q.Expr)); rest != "" {
				t.Errorf("%q: unknown variable %s", p.Title, rest)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "check", "rules", path); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	metricName = regexp.MustCompile(`\b((?:ndp_proxy_agent|process|go)_[a-z_]+)\b(\{[^}]*\})?`)
	matcher    = regexp.MustCompile(`(\w+)(=~|!~|=|!=)"([^"]*)"`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
)

// Every metric, label and value that the alerts and the dashboard name exists.
func TestNamesExist(t *testing.T) {
	w := httptest.NewRecorder()
	m := metrics.New(metrics.Options{Neutron: true})
	m.Handlers(metrics.Health{}, zap.NewNop())["GET /metrics"].ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	served := w.Body.String()
	table := map[string]map[string][]string{} // name -> label -> values
	labels := map[string]bool{"instance": true, "job": true, "le": true}
	for _, d := range metrics.Descriptions() {
		table[d.Name] = map[string][]string{}
		for _, l := range d.Labels {
			table[d.Name][l.Name] = l.Values
			labels[l.Name] = true
		}
		if d.Type == metrics.Histogram {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				table[d.Name+suffix] = table[d.Name]
			}
			delete(table, d.Name)
		}
	}
	used := map[string]bool{}
	check := func(where, expr string) {
		for _, found := range metricName.FindAllStringSubmatch(expr, -1) {
			name := found[1]
			used[name] = true
			known, ours := table[name]
			if !ours && (strings.HasPrefix(name, metrics.Prefix) || !strings.Contains(served, "\n"+name+" ")) {
				t.Errorf("%s: there is no %s", where, name)
				continue
			}
			for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
				if m[1] == "instance" || m[1] == "job" {
					continue
				}
				for _, value := range strings.Split(m[3], "|") {
					if !slices.Contains(known[m[1]], value) {
						t.Errorf("%s: %s has no %s=%q", where, name, m[1], value)
					}
				}
			}
		}
		for _, by := range grouping.FindAllStringSubmatch(expr, -1) {
			for _, l := range strings.Split(by[1], ",") {
				if l = strings.TrimSpace(l); !labels[l] {
					t.Errorf("%s: no metric has a label %s", where, l)
				}
			}
		}
	}
	for _, r := range rules(t) {
		check(r.Alert, r.Expr)
	}
	for _, p := range panels(t) {
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
		}
	}
	if len(used) < 25 {
		t.Errorf("only %d names were found: %v", len(used), slices.Sorted(maps.Keys(used)))
	}
	// And the documents name no metric that does not exist.
	for _, page := range []string{"metrics.md", "troubleshoot.md", "configure.md", "security.md"} {
		for _, found := range metricName.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", page)), -1) {
			name := found[1]
			if _, exists := table[name]; !exists && strings.HasPrefix(name, metrics.Prefix) && table[name+"_count"] == nil {
				t.Errorf("docs/%s: there is no %s", page, name)
			}
		}
	}
}
