//go:build rabbitmq

package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// metrics: the daemon is ready while it hears of what changes, and not while the way
// to the broker is cut; what it asks the server is counted. (Here for the broker, which
// takes its time to start.)
func (c *tlsCloud) metrics(t *testing.T) {
	vhost, url := c.broker.VHost(t)
	neutrontest.StartServer(t, url, neutrontest.Options{}).SetL3Agent("h", true)
	way := c.broker.NewProxy(t)
	ini := c.ini(t, []string{fmt.Sprintf("127.0.0.1:%d", way.Port)}, vhost, "kombu_reconnect_delay = 0.1")
	socket := filepath.Join(filepath.Dir(ini), "run", "control.sock")
	d := launch(t, ini)
	d.await(t, "READY=1")
	want := func(code int, text string) {
		t.Helper()
		var got int
		var body string
		until(t, fmt.Sprint("/readyz ", code), func() string { return fmt.Sprint(got, body, d.log) }, func() bool {
			got, body = scrape(t, socket, "/readyz")
			return got == code
		})
		if !strings.Contains(body, text) {
			t.Errorf("/readyz: %d %s", got, body)
		}
	}
	want(200, "ok")
	for name, least := range map[string]float64{
		"ready": 1, "broker_connected": 1, "broker_subscribed": 1, "broker_connections_total": 1,
		`syncs_total{result="ok",what="full_sync"}`: 1, `rpc_duration_seconds_count{method="get_router_ids"}`: 1,
		`sync_last_success_timestamp_seconds{what="full_sync"}`: 1, "last_full_sync_timestamp_seconds": 1,
	} {
		if v := metric(t, socket, name); v < least {
			t.Errorf("%s is %v", name, v)
		}
	}
	until(t, "a state report", d.log.String, func() bool { return metric(t, socket, `rpc_duration_seconds_count{method="report_state"}`) >= 1 })

	// An order asks the server for everything, once, and hears of it.
	syncs := `syncs_total{result="ok",what="full_sync"}`
	before := metric(t, socket, syncs)
	if out, complaints, code := told("reconcile", "--socket", socket); code != exitOK || metric(t, socket, syncs) != before+1 {
		t.Errorf("reconcile: code %d, %v full syncs after %v\n%s%s", code, metric(t, socket, syncs), before, out, complaints)
	}

	way.Freeze()
	way.Cut()
	want(503, "not connected to a broker since")
	if code, body := scrape(t, socket, "/healthz"); code != 200 {
		t.Errorf("/healthz without a broker: %d %s", code, body)
	}
	if v := metric(t, socket, "broker_connection_losses_total"); v != 1 {
		t.Errorf("%v losses", v)
	}
	if v := metric(t, socket, "ready") + metric(t, socket, "broker_connected"); v != 0 {
		t.Errorf("ready and connected are %v", v)
	}
	if out, complaints, code := told("reconcile", "--socket", socket); code != exitFailed || !strings.Contains(complaints, "the server was not asked: not connected") {
		t.Errorf("reconcile without a broker: code %d\n%s%s", code, out, complaints)
	}
	way.Thaw()
	want(200, "ok")
	if v := metric(t, socket, "broker_connections_total"); v < 2 {
		t.Errorf("%v connections", v)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the socket outlasts the daemon")
	}
}
