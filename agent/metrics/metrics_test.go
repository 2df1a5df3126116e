package metrics_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/metrics"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// net/http keeps a refused connection half open for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// loop stands for the agent.
type loop struct{}

func (loop) Totals() agent.Totals {
	return agent.Totals{Routers: 5, Enabled: 3, Proxies: 20, Pending: 1, Failed: 2, Elsewhere: 4, Disabled: 3, Answered: 10}
}

func (loop) Drift() map[dataplane.Kind]int {
	d := map[dataplane.Kind]int{}
	for i, k := range dataplane.Kinds() {
		d[k] = i
	}
	return d
}

func (loop) Namespaces() []agent.Namespace {
	return []agent.Namespace{{}, {Looked: true}, {Looked: true}, {Looked: true, Trouble: "x"}, {Looked: true, Trouble: "x", Error: true}}
}

func (loop) Queue() (waiting, running, retrying int) { return 7, 8, 9 }

func (loop) Discovery() dataplane.Discovery {
	return dataplane.Discovery{Solicitations: 40, Advertisements: 41}
}

// daemon is metrics of parts whose answers may be changed.
type daemon struct {
	*metrics.Metrics
	handlers map[string]http.Handler
	ready    chan struct{}
	link     string
	stuck    []string
}

func newDaemon(withNeutron bool) *daemon {
	d := &daemon{
		Metrics: metrics.New(metrics.Options{Version: "1.2.3", Commit: "abc", Neutron: withNeutron}),
		ready:   make(chan struct{}),
	}
	health := metrics.Health{Overdue: func() []string { return d.stuck }, Ready: d.ready, Link: func() string { return d.link }}
	parts := metrics.Parts{
		Loop: loop{}, SyncedAt: func() time.Time { return time.Unix(1000, 5e8) }, Health: health,
		Announcer: func() announcer.Stats {
			return announcer.Stats{Sent: 30, Failed: map[ndsend.Reason]uint64{ndsend.ReasonNotReady: 3}, Rejected: 1, GivenUp: 2, Owed: 4, Repeating: 5}
		},
		Dropped: func() (uint64, uint64) { return 11, 12 },
	}
	if withNeutron {
		parts.Broker = func() rpc.Status {
			return rpc.Status{Connected: true, Blocked: "memory", Connections: 2, Attempts: 5, Losses: 1, Events: 100, Garbled: 1, StrayReplies: 3}
		}
	}
	d.Watch(parts)
	d.handlers = d.Handlers(health, zap.NewNop())
	return d
}

// get returns code and body of the answer to GET path.
func (d *daemon) get(path string) (int, string) {
	w := httptest.NewRecorder()
	d.handlers["GET "+path].ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// samples are the lines of /metrics, by what stands before the value.
func (d *daemon) samples(t *testing.T) map[string]float64 {
	t.Helper()
	code, body := d.get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "#") || !found {
			continue
		}
		if i := strings.LastIndex(line, "} "); i > 0 { // a value of a label may have a space
			name, value = line[:i+1], strings.TrimSpace(line[i+2:])
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[name] = v
	}
	return out
}

// The table is what is served: each metric of it with its type and every combination
// of the labels' values, and no other metric of ours.
func TestTableIsWhatIsServed(t *testing.T) {
	for _, withNeutron := range []bool{true, false} {
		d := newDaemon(withNeutron)
		_, body := d.get("/metrics")
		got, want := map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "# TYPE "+metrics.Prefix) {
				got[strings.TrimSpace(strings.TrimPrefix(line, "# TYPE "))] = true
			}
		}
		series := d.samples(t)
		for _, m := range metrics.Descriptions() {
			if m.Neutron && !withNeutron {
				continue
			}
			want[m.Name+" "+string(m.Type)] = true
			combinations := []string{""}
			for _, l := range m.Labels {
				values := l.Values
				if len(values) == 0 {
					values = map[string][]string{"version": {"1.2.3"}, "commit": {"abc"}}[l.Name]
				}
				var more []string
				for _, c := range combinations {
					for _, v := range values {
						more = append(more, c+","+l.Name+`="`+v+`"`)
					}
				}
				combinations = more
			}
			for _, c := range combinations {
				labels := strings.Split(strings.TrimPrefix(c, ","), ",")
				slices.Sort(labels) // as they are served
				name := m.Name
				if m.Type == metrics.Histogram {
					name += "_count"
				}
				if c != "" {
					name += "{" + strings.Join(labels, ",") + "}"
				}
				if _, there := series[name]; !there {
					t.Errorf("neutron %v: no series %s", withNeutron, name)
				}
			}
			n := 0
			for name := range series {
				base, _, _ := strings.Cut(name, "{")
				if base == m.Name || m.Type == metrics.Histogram && base == m.Name+"_count" {
					n++
				}
			}
			if n != len(combinations) {
				t.Errorf("neutron %v: %d series of %s, want %d", withNeutron, n, m.Name, len(combinations))
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("neutron %v (-table +served):\n%s", withNeutron, diff)
		}
		problems, err := promlint.New(strings.NewReader(body)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, metrics.Prefix) {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
		if len(series) > 1500 {
			t.Errorf("%d series", len(series))
		}
	}
}

func TestDocs(t *testing.T) {
	const begin, end = "<!-- From here on generated by go test ./agent/metrics -update -->\n\n", "<!-- Until here -->\n"
	path := filepath.Join("..", "..", "docs", "metrics.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has lost its marks", path)
	}
	want := before + begin + metrics.Reference() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("%s: -want +got (go test ./agent/metrics -update rewrites it)\n%s", path, diff)
	}
}

// What is told ends in the series that it is for.
func TestHooks(t *testing.T) {
	d := newDaemon(true)
	before := d.samples(t)
	d.Looked(agent.Look{Deep: true, End: agent.Troubled, Took: time.Second, Waited: 2 * time.Second})
	d.Looked(agent.Look{End: agent.Settled, Applied: true, Writes: 3, Applying: 4 * time.Second, Message: 5 * time.Second})
	d.Looked(agent.Look{End: agent.Settled, Applied: true, Writes: 1, Failures: 1})
	d.Left([]time.Duration{time.Second, 2 * time.Second})
	d.Called(rpc.MethodPorts, time.Second, nil)
	d.Called(rpc.MethodPorts, 2*time.Second, errors.New("x"))
	d.Asked(neutron.Audit, time.Second, nil)
	d.Asked(neutron.FullSync, time.Second, errors.New("x"))
	changed := map[string]float64{}
	for name, v := range d.samples(t) {
		if v != before[name] && !strings.Contains(name, "_bucket{") && strings.HasPrefix(name, metrics.Prefix) {
			changed[strings.TrimPrefix(name, metrics.Prefix)] = v - before[name]
		}
	}
	const succeeded = `sync_last_success_timestamp_seconds{what="audit"}`
	if since := time.Since(time.Unix(int64(changed[succeeded]), 0)); since < 0 || since > time.Minute {
		t.Errorf("the audit succeeded %v ago", since)
	}
	delete(changed, succeeded)
	want := map[string]float64{
		`looks_total{depth="deep",outcome="troubled"}`: 1, `looks_total{depth="quick",outcome="settled"}`: 2,
		`look_duration_seconds_count{depth="deep"}`: 1, `look_duration_seconds_sum{depth="deep"}`: 1, `look_duration_seconds_count{depth="quick"}`: 2,
		`queue_wait_seconds_count{depth="deep"}`: 1, `queue_wait_seconds_sum{depth="deep"}`: 2, `queue_wait_seconds_count{depth="quick"}`: 2,
		`applies_total{result="ok"}`: 1, `applies_total{result="failed"}`: 1, `kernel_writes_total`: 4,
		`apply_duration_seconds_count`: 2, `apply_duration_seconds_sum`: 4,
		`message_to_kernel_seconds_count`: 1, `message_to_kernel_seconds_sum`: 5,
		`kernel_to_wire_seconds_count`: 2, `kernel_to_wire_seconds_sum`: 3,
		`rpc_duration_seconds_count{method="bulk_pull:Port"}`: 2, `rpc_duration_seconds_sum{method="bulk_pull:Port"}`: 3,
		`rpc_errors_total{class="other",method="bulk_pull:Port"}`: 1,
		`syncs_total{result="ok",what="audit"}`:                   1, `syncs_total{result="failed",what="full_sync"}`: 1,
		`sync_duration_seconds_count{what="audit"}`: 1, `sync_duration_seconds_sum{what="audit"}`: 1,
		`sync_duration_seconds_count{what="full_sync"}`: 1, `sync_duration_seconds_sum{what="full_sync"}`: 1,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// What is asked for is what the parts say.
func TestParts(t *testing.T) {
	d := newDaemon(true)
	d.stuck = []string{"a", "b"}
	got := d.samples(t)
	for name, want := range map[string]float64{
		`routers{state="enabled"}`: 3, `routers{state="disabled"}`: 2, `proxies_wanted`: 13,
		`proxies{state="answered"}`: 10, `proxies{state="pending"}`: 1, `proxies{state="failed"}`: 2, `proxies{state="elsewhere"}`: 4, `proxies{state="disabled"}`: 3,
		`namespaces{state="new"}`: 1, `namespaces{state="ok"}`: 2, `namespaces{state="waiting"}`: 1, `namespaces{state="failed"}`: 1,
		`drift_repaired_total{kind="sysctl"}`: 1, `queue_length{state="waiting"}`: 7, `queue_length{state="running"}`: 8, `queue_length{state="retrying"}`: 9,
		`neighbor_solicitations_total`: 40, `neighbor_advertisements_total`: 41, `announcements_sent_total`: 30, `announcement_failures_total{reason="not-ready"}`: 3, `announcement_failures_total{reason="permission"}`: 0,
		`announcements_rejected_total`: 1, `announcements_given_up_total`: 2, `announcements_owed`: 4, `announcements_repeating`: 5,
		`broker_connected`: 1, `broker_subscribed`: 0, `broker_blocked`: 1, `broker_connections_total`: 2, `broker_connect_attempts_total`: 5,
		`broker_connection_losses_total`: 1, `messages_total{result="event"}`: 100, `messages_total{result="garbled"}`: 1, `replies_dropped_total{reason="stray"}`: 3,
		`log_lines_dropped_total{reason="flood"}`: 11, `log_lines_dropped_total{reason="not_written"}`: 12,
		`last_full_sync_timestamp_seconds`: 1000.5, `overdue_parts`: 2, `ready`: 0, `build_info{commit="abc",version="1.2.3"}`: 1,
	} {
		if v, there := got[metrics.Prefix+name]; !there || v != want {
			t.Errorf("%s is %v, %v; want %v", name, v, there, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "process_open_fds", "process_resident_memory_bytes"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

func TestHealth(t *testing.T) {
	d := newDaemon(true)
	want := func(path string, code int, body string) {
		t.Helper()
		if c, b := d.get(path); c != code || b != body {
			t.Errorf("%s: %d %q, want %d %q", path, c, b, code, body)
		}
	}
	metric := func(v float64) {
		t.Helper()
		if got := d.samples(t)[metrics.Prefix+"ready"]; got != v {
			t.Errorf("ready is %v, want %v", got, v)
		}
	}
	want("/healthz", 200, "ok\n")
	want("/readyz", 503, "what the first full sync names is not applied yet\n")
	metric(0)
	close(d.ready)
	want("/readyz", 200, "ok\n")
	metric(1)
	d.link = "not connected to a broker since 2026"
	want("/healthz", 200, "ok\n")
	want("/readyz", 503, "not connected to a broker since 2026\n")
	metric(0)
	d.stuck = []string{"the queue"}
	want("/healthz", 503, "stuck: the queue\n")
	want("/readyz", 503, "stuck: the queue\nnot connected to a broker since 2026\n")
}

// What a hook costs in the path of a failover.
func BenchmarkLooked(b *testing.B) {
	d := newDaemon(true)
	l := agent.Look{End: agent.Settled, Applied: true, Writes: 3, Applying: time.Millisecond, Message: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		d.Looked(l)
	}
}

func BenchmarkScrape(b *testing.B) {
	d := newDaemon(true)
	for b.Loop() {
		if code, _ := d.get("/metrics"); code != http.StatusOK {
			b.Fatal(code)
		}
	}
	_, body := d.get("/metrics")
	b.ReportMetric(float64(len(body)), "bytes/scrape")
	_, _ = fmt.Fprint(io.Discard, body)
}
