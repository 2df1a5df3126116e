//go:build rabbitmq

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/preflight"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
	"neutron-ndp-proxy-agent/test/rabbit"
)

// check asks a broker that listens with and without TLS, and servers behind it, each
// with something else that is wrong.
func (c *tlsCloud) check(t *testing.T) {
	mute, err := net.Listen("tcp4", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	plain := fmt.Sprintf("127.0.0.1:%d", c.broker.Port)
	ca := "ssl = true\nssl_ca_file = " + c.ours.File + "\n"
	l3 := func(change func(*rpc.Reported)) func(*neutrontest.Server) {
		return func(s *neutrontest.Server) {
			r := rpc.Reported{ID: "a1", Host: "h", Type: rpc.L3AgentType, AdminUp: true, Heartbeat: time.Now(), Mode: rpc.ModeLegacy}
			change(&r)
			s.SetAgent(r)
		}
	}
	type want struct {
		check  string
		status preflight.Status
		found  string
	}
	for name, tc := range map[string]struct {
		hosts    []string
		password string
		vhost    string // instead of the one where the server is
		options  string
		server   func(s *neutrontest.Server) // nil: there is none
		want     []want
	}{
		"good": {hosts: []string{plain}, server: l3(func(*rpc.Reported) {}), want: []want{
			{"broker", preflight.OK, plain + ": user neutron"}, {"server", preflight.OK, "answers"}, {"plugin", preflight.OK, "ndp_proxy"},
			{"host", preflight.OK, "h "}, {"l3-agent", preflight.OK, "alive"}, {"l3-agent", preflight.OK, "agent_mode legacy"}, {"ndp-agent", preflight.OK, "not heard"}}},
		"good, TLS": {hosts: []string{fmt.Sprintf("localhost:%d", c.port["good"])}, options: ca, server: l3(func(*rpc.Reported) {}), want: []want{
			{"broker", preflight.OK, ", TLS"}, {"server", preflight.OK, "answers"}}},
		"one of two": {hosts: []string{"127.0.0.1:1", plain}, server: l3(func(*rpc.Reported) {}), want: []want{
			{"broker", preflight.Warn, "127.0.0.1:1: connect: connection refused"}, {"broker", preflight.OK, plain}, {"server", preflight.OK, "answers"}}},
		"wrong password": {hosts: []string{plain}, password: "wr0ngpa55", want: []want{
			{"broker", preflight.Fail, `login as "neutron" refused`}, {"broker", preflight.Fail, "authenticate_user"}, {"server", preflight.Warn, "not checked"}}},
		"wrong virtual host": {hosts: []string{plain}, vhost: "nosuch", want: []want{{"broker", preflight.Fail, `virtual host "nosuch"`}, {"broker", preflight.Fail, "list_vhosts"}}},
		"unreachable":        {hosts: []string{"127.0.0.1:1"}, want: []want{{"broker", preflight.Fail, "connection refused"}, {"broker", preflight.Fail, "listens on port 1"}}},
		"no such name":       {hosts: []string{"nosuch.invalid:5672"}, want: []want{{"broker", preflight.Fail, "nosuch.invalid"}, {"broker", preflight.Fail, "resolver"}}},
		"silent broker":      {hosts: []string{mute.Addr().String()}, want: []want{{"broker", preflight.Fail, "no answer in the AMQP handshake"}, {"broker", preflight.Fail, "says nothing"}}},
		"TLS, wrong CA":      {hosts: []string{fmt.Sprintf("localhost:%d", c.port["foreign"])}, options: ca, want: []want{{"broker", preflight.Fail, "not of a trusted authority"}, {"broker", preflight.Fail, "TLS to the broker"}}},
		"TLS not spoken":     {hosts: []string{plain}, options: ca, want: []want{{"broker", preflight.Fail, "speaks AMQP without TLS"}, {"broker", preflight.Fail, "TLS to the broker"}}},
		"no server":          {hosts: []string{plain}, want: []want{{"broker", preflight.OK, plain}, {"server", preflight.Fail, "no neutron-server listens in virtual host"}}},
		"silent server":      {hosts: []string{plain}, server: func(s *neutrontest.Server) { s.Mute("get_service_plugin_list", true) }, want: []want{{"broker", preflight.OK, plain}, {"server", preflight.Fail, "did not answer"}}},
		"old server": {hosts: []string{plain}, server: func(s *neutrontest.Server) {
			s.Fail("get_service_plugin_list", "NoSuchMethod", "no such method", -1)
			s.SetL3Agent("h", true)
		}, want: []want{{"server", preflight.OK, "answers"}, {"plugin", preflight.Warn, "NoSuchMethod"}, {"l3-agent", preflight.OK, "alive"}}},
		"no plug-in": {hosts: []string{plain}, server: func(s *neutrontest.Server) { s.SetServicePlugins("CORE", "L3_ROUTER_NAT"); s.SetL3Agent("h", true) }, want: []want{
			{"plugin", preflight.Fail, "no service plug-in ndp_proxy, but CORE, L3_ROUTER_NAT"}, {"l3-agent", preflight.OK, "alive"}}},
		"no L3 agent":    {hosts: []string{plain}, server: func(*neutrontest.Server) {}, want: []want{{"plugin", preflight.OK, "ndp_proxy"}, {"host", preflight.Fail, "knows no L3 agent of host h"}}},
		"dead L3 agent":  {hosts: []string{plain}, server: l3(func(r *rpc.Reported) { r.Heartbeat = time.Now().Add(-time.Hour) }), want: []want{{"l3-agent", preflight.Fail, "dead for Neutron"}}},
		"another mode":   {hosts: []string{plain}, server: l3(func(r *rpc.Reported) { r.Mode = rpc.ModeDVR }), want: []want{{"l3-agent", preflight.Fail, "agent_mode dvr, the daemon would in legacy"}}},
		"extension":      {hosts: []string{plain}, server: l3(func(r *rpc.Reported) { r.Extensions = []string{"ndp_proxy"} }), want: []want{{"l3-agent", preflight.Fail, "own ndp_proxy loaded"}}},
		"the clock late": {hosts: []string{plain}, server: l3(func(r *rpc.Reported) { r.Heartbeat = time.Now().Add(time.Minute) }), want: []want{{"server-clock", preflight.Warn, "behind the server's"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vhost, url := c.broker.VHost(t)
			if tc.server != nil {
				tc.server(neutrontest.StartServer(t, url, neutrontest.Options{}))
			}
			ini := c.ini(t, tc.hosts, vhost, tc.options)
			if tc.password != "" || tc.vhost != "" {
				replaceIn(t, ini, rabbit.Password, tc.password, "/"+vhost, "/"+tc.vhost)
			}
			before := c.state(t, vhost)
			r, shown := checked(t, ini)
			for _, w := range tc.want {
				hit := false
				for _, l := range r.Lines {
					hit = hit || l.Check == w.check && l.Status == w.status && strings.Contains(l.Found+" > "+l.Fix, w.found)
				}
				if !hit {
					t.Errorf("no %s %s %q in\n%s", w.status, w.check, w.found, shown)
				}
			}
			for _, l := range r.Lines {
				if l.Check == "kernel" && l.Status == preflight.Fail {
					t.Errorf("what has nothing to do with it: %+v", l)
				}
			}
			if after := c.state(t, vhost); !cmp.Equal(before, after) {
				t.Errorf("the broker is not as it was (-before +after):\n%s", cmp.Diff(before, after))
			}
			for _, secret := range []string{rabbit.Password, "wr0ngpa55"} {
				if strings.Contains(shown, secret) {
					t.Errorf("the password is shown:\n%s", shown)
				}
			}
		})
	}
}

// replaceIn writes a file anew with pairs of old and new replaced; a new one that is
// empty, or ends in a slash, leaves the old.
func replaceIn(t *testing.T, path string, pairs ...string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(pairs); i += 2 {
		if to := pairs[i+1]; to != "" && to != "/" {
			text = strings.ReplaceAll(text, pairs[i], to)
		}
	}
	put(t, path, text)
}

// checked runs the command for machines, and returns what it said as it came, too.
func checked(t *testing.T, ini string) (preflight.Report, string) {
	t.Helper()
	var out, complaints bytes.Buffer
	code := run([]string{"check", "--json", "--config-file", ini}, &out, &complaints)
	var r preflight.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || complaints.Len() > 0 {
		t.Fatalf("%v: %s%s", err, out.String(), complaints.String())
	}
	if want := map[bool]int{true: exitFailed, false: exitOK}[r.Result == preflight.Fail]; code != want {
		t.Errorf("exit code %d, want %d: %s", code, want, out.String())
	}
	return r, out.String()
}

// state is what a virtual host holds: its queues, exchanges and bindings.
func (c *tlsCloud) state(t *testing.T, vhost string) map[string]any {
	t.Helper()
	out := map[string]any{}
	for name := range c.broker.Queues(t, vhost) {
		out["queue "+name] = true
	}
	for name := range c.broker.Exchanges(t, vhost) {
		out["exchange "+name] = true
	}
	var bindings []map[string]any
	c.broker.API(t, "GET", "/api/bindings/"+vhost, nil, &bindings)
	for _, b := range bindings {
		out[fmt.Sprintf("binding %v %v %v", b["source"], b["destination"], b["routing_key"])] = true
	}
	return out
}
