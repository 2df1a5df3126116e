package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// scrape asks on a Unix socket (a path) or a TCP address.
func scrape(t *testing.T, at, path string) (code int, body string) {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(at, "/") {
		network = "unix"
	}
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
	}}
	r, err := c.Get("http://daemon" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// metric is one value of /metrics, by its name without our prefix and its labels.
func metric(t *testing.T, at, name string) float64 {
	t.Helper()
	_, body := scrape(t, at, "/metrics")
	for line := range strings.Lines(body) {
		if text, found := strings.CutPrefix(line, "ndp_proxy_agent_"+name+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in\n%s", name, body)
	return 0
}

// What happens in the kernel and on the wire is what the numbers say.
func TestMetrics(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String() // in use until after the start
	dir := t.TempDir()
	source, ini, socket := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini"), filepath.Join(dir, "run", "control.sock")
	put(t, ini, "[ndp_proxy]\nsource = file\nsource_file = "+source+"\nnetns_dir = "+p.Dir+"\nruntime_dir = "+dir+"/run\n"+
		"metrics_listen = "+address+"\npprof = true\nannounce_count = 1\n")
	publish := func(addrs string) {
		put(t, source, "version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: "+nettest.External+"\n    gateway_addresses: ['"+p.GatewayAddr.String()+
			"']\n    internal_subnets: ['"+p.InternalNet.String()+"']\n    published: ["+addrs+"]\n")
	}
	publish("")
	d := launch(t, ini)
	d.await(t, "READY=1")
	saying(t, d, "metrics_listen can't be used")
	want := func(name string, v float64) {
		t.Helper()
		nettest.Eventually(t, 10*time.Second, fmt.Sprint(name, " to be ", v), func() bool { return metric(t, socket, name) == v })
	}
	want("proxies_wanted", 0)
	want(`proxies{state="answered"}`, 0)
	want("announcements_sent_total", 0)
	writes := metric(t, socket, "kernel_writes_total")

	wire := p.Upstream.Capture("eth0")
	publish("'" + p.InstanceAddr.String() + "'")
	want("proxies_wanted", 1)
	want(`proxies{state="answered"}`, 1)
	want("announcements_sent_total", 1)
	want("kernel_to_wire_seconds_count", 1)
	want("announcements_owed", 0)
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
	heard := func() int {
		return len(wire.Frames(func(f nettest.Frame) bool {
			target, solicited, is := f.Advertises()
			return is && !solicited && !f.Outgoing && target == p.InstanceAddr
		}))
	}
	nettest.Eventually(t, 5*time.Second, "an advertisement that nobody asked for", func() bool { return heard() > 0 }) // whoever captures may be late
	if n := heard(); n != 1 {
		t.Errorf("the upstream heard %d advertisements that nobody asked for, 1 was counted", n)
	}
	if now := metric(t, socket, "kernel_writes_total"); now <= writes {
		t.Errorf("%v writes before, %v after an address was published", writes, now)
	}

	// What the kernel answers is read with the audits, here by SIGHUP.
	looks := func() float64 { return metric(t, socket, `looks_total{depth="deep",outcome="settled"}`) }
	audit := func() {
		t.Helper()
		before := looks()
		d.signal(t, syscall.SIGHUP)
		nettest.Eventually(t, 5*time.Second, "a look", func() bool { return looks() > before })
	}
	audit()
	p.Upstream.IP("-6", "neigh", "flush", "dev", "eth0")
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
	audit()
	if asked, answered := metric(t, socket, "neighbor_solicitations_total"), metric(t, socket, "neighbor_advertisements_total"); asked < 1 || answered < 1 {
		t.Errorf("%v solicitations and %v advertisements were counted after the upstream asked", asked, answered)
	}

	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "0")
	want(`drift_repaired_total{kind="sysctl"}`, 1)
	if got := p.Router.ReadSysctl("net/ipv6/conf/" + nettest.External + "/proxy_ndp"); got != "1" {
		t.Errorf("counted as repaired, and proxy_ndp is %s", got)
	}

	// On an address that was in use at first; profiles are not for there.
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	saying(t, d, "metrics are served")
	for _, c := range []struct {
		at, path string
		code     int
		body     string
	}{
		{address, "/metrics", 200, `ndp_proxy_agent_proxies{state="answered"} 1`}, {socket, "/metrics", 200, "process_open_fds "},
		{address, "/healthz", 200, "ok\n"}, {socket, "/healthz", 200, "ok\n"},
		{address, "/readyz", 200, "ok\n"}, {socket, "/readyz", 200, "ok\n"},
		{address, "/debug/pprof/goroutine?debug=1", 404, ""}, {socket, "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{address, "/v1/status", 404, ""},
	} {
		if code, body := scrape(t, c.at, c.path); code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s%s: %d\n%.200s", c.at, c.path, code, body)
		}
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}

// Without a broker the daemon is alive and not ready, and says why.
func TestReadyzWithoutABroker(t *testing.T) {
	dir := t.TempDir()
	ini, socket := filepath.Join(dir, "agent.ini"), filepath.Join(dir, "run", "control.sock")
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:topsecret@127.0.0.1:1/\n[ndp_proxy]\nnetns_dir = "+dir+"\nruntime_dir = "+dir+"/run\n")
	d := launch(t, ini)
	saying(t, d, "cannot connect to broker")
	if code, body := scrape(t, socket, "/healthz"); code != 200 {
		t.Errorf("/healthz: %d %s", code, body)
	}
	code, body := scrape(t, socket, "/readyz")
	if code != 503 || !strings.Contains(body, "not connected to a broker since") || !strings.Contains(body, "full sync") || strings.Contains(body, "topsecret") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, body := scrape(t, socket, "/debug/pprof/"); code != 404 {
		t.Errorf("profiles though nobody asked for them: %d %.100s", code, body)
	}
	if v := metric(t, socket, "ready") + metric(t, socket, "broker_connected"); v != 0 {
		t.Errorf("ready and connected are %v", v)
	}
	nettest.Eventually(t, 5*time.Second, "an attempt", func() bool { return metric(t, socket, "broker_connect_attempts_total") > 0 })
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}
