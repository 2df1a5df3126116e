package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/test/nettest"
)

// asked is what the command prints, and its exit code.
func asked(args ...string) (stdout, stderr string, code int) {
	var out, complaints bytes.Buffer
	code = run(append([]string{"status"}, args...), &out, &complaints)
	return out.String(), complaints.String(), code
}

// toldOf is the daemon's status as JSON.
func toldOf(t *testing.T, ini string) (admin.Status, int) {
	t.Helper()
	out, complaints, code := asked("--json", "--config-file", ini)
	var s admin.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s%s", err, out, complaints)
	}
	return s, code
}

func TestStatusWithoutADaemon(t *testing.T) {
	dir := t.TempDir()
	ini, none, wrong := filepath.Join(dir, "a.ini"), filepath.Join(dir, "none.ini"), filepath.Join(dir, "wrong.ini")
	put(t, ini, "[ndp_proxy]\nruntime_dir = "+dir+"/run\nnonsense = 1\n")
	put(t, none, "[ndp_proxy]\ncontrol_socket =\n")
	put(t, wrong, "[ndp_proxy]\ncontrol_socket = x\n")
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"not running":     {[]string{"--config-file", ini}, exitUnreachable, "control socket " + dir + "/run/control.sock: no daemon listens there"},
		"named":           {[]string{"--socket", dir + "/x.sock", "--config-file", ini}, exitUnreachable, "control socket " + dir + "/x.sock: no daemon listens there"},
		"no socket":       {[]string{"--config-file", none}, exitUnreachable, "control_socket is empty"},
		"wrong option":    {[]string{"--config-file", wrong}, exitUsage, "wrong.ini:2"},
		"no file":         {[]string{"--config-file", dir + "/nosuch.ini"}, exitUsage, "nosuch.ini"},
		"argument":        {[]string{"router"}, exitUsage, `unexpected argument "router"`},
		"flag":            {[]string{"--nonsense"}, exitUsage, "nonsense"},
		"help":            {[]string{"--help"}, exitOK, "-socket"},
		"colour":          {[]string{"--color=blue"}, exitUsage, "auto, always or never"},
		"watch":           {[]string{"--watch=0"}, exitUsage, "seconds"},
		"no address":      {[]string{"--address=10.0.0.1"}, exitUsage, "no IPv6 address"},
		"a file":          {[]string{"--socket", ini}, exitUnreachable, "no daemon listens there"},
		"unreadable file": {[]string{"--config-file", dir}, exitUnreachable, "could not be read"},
	} {
		out, complaints, code := asked(c.args...)
		if code != c.code || !strings.Contains(complaints, c.stderr) || out != "" {
			t.Errorf("%s: code %d, want %d, %q\n%s", name, code, c.code, out, complaints)
		}
	}
}

// What a daemon with a file says: how it stands, in time, until it ends.
func TestStatus(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	dir := t.TempDir()
	source, ini := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = net1\n[ndp_proxy]\nsource = file\nsource_file = "+source+"\nnetns_dir = "+p.Dir+"\nruntime_dir = "+dir+"/run\n")
	device := func(ns, published string) string {
		return "- name: " + ns + "\n  devices:\n  - name: " + nettest.External + "\n    gateway_addresses: ['" + p.GatewayAddr.String() +
			"']\n    internal_subnets: ['" + p.InternalNet.String() + "']\n    published: [" + published + "]\n"
	}
	put(t, source, "version: 1\nnamespaces:\n"+device("router", "'"+p.InstanceAddr.String()+"'")+device("absent", "'"+p.InstanceAddr.String()+"'"))
	d := launch(t, ini)
	d.await(t, "READY=1")
	got, code := toldOf(t, ini)
	if code != exitOK || !got.Ready || got.Host != "net1" || got.Source != "file" || got.Broker != nil || got.LastFullSync == nil ||
		time.Since(got.Started) > time.Minute || got.Version == "" {
		t.Errorf("code %d, %+v", code, got)
	}
	want := admin.Totals{Routers: 2, Enabled: 2, Proxies: 2, Pending: 1, Answered: 1}
	if got.Totals != want {
		t.Errorf("totals %+v, want %+v", got.Totals, want)
	}
	if len(got.Namespaces) != 2 || got.Namespaces[0].Name != "absent" || got.Namespaces[0].State != admin.StateWaiting ||
		!strings.Contains(got.Namespaces[0].Trouble, "does not exist yet") || got.Namespaces[1].State != admin.StateOK || got.Namespaces[1].Proxies != 1 {
		t.Errorf("namespaces %+v", got.Namespaces)
	}
	out, complaints, code := asked("--socket", dir+"/run/control.sock")
	if code != exitOK || complaints != "" || !strings.Contains(out, "in sync") || !strings.Contains(out, "router ") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	inPart(t, ini, p)
	// A file that is edited badly is not used, and that is said.
	good, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	put(t, source, string(good)+"oops\n")
	nettest.Eventually(t, 10*time.Second, "the mistake in the file", func() bool {
		s, code := toldOf(t, ini)
		return code == exitFailed && strings.Contains(s.SourceTrouble, source) && s.Totals == want
	})
	if out, _, _ := asked("--config-file", ini); !strings.Contains(out, "not used") {
		t.Errorf("nothing is said of the file:\n%s", out)
	}
	put(t, source, string(good))
	nettest.Eventually(t, 10*time.Second, "the file is used again", func() bool { _, code := toldOf(t, ini); return code == exitOK })
	// Somebody's hand is counted, and seen here.
	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "0")
	nettest.Eventually(t, 5*time.Second, "the drift", func() bool {
		s, _ := toldOf(t, ini)
		return s.Drift["sysctl"] == 1 && s.Namespaces[1].Drift["sysctl"] == 1
	})
	// Killed, its socket stays, nobody is behind it, and the next one replaces it.
	if err := d.end(t, syscall.SIGKILL); err == nil {
		t.Error("killed, and ended well")
	}
	if _, err := os.Lstat(dir + "/run/control.sock"); err != nil {
		t.Errorf("the socket of one that was killed: %v", err)
	}
	if _, complaints, code := asked("--config-file", ini); code != exitUnreachable || !strings.Contains(complaints, "not running") {
		t.Errorf("code %d: %s", code, complaints)
	}
	d = launch(t, ini)
	d.await(t, "READY=1")
	if _, code := toldOf(t, ini); code != exitOK {
		t.Errorf("code %d", code)
	}
	// A second one with the same directory says whose it is, and works.
	second := launch(t, ini)
	second.await(t, "READY=1")
	saying(t, second, "another daemon listens on "+dir+"/run/control.sock")
	if err := second.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, second.log)
	}
	if _, code := toldOf(t, ini); code != exitOK {
		t.Errorf("the first one after the second: code %d", code)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	if left, err := filepath.Glob(dir + "/run/control*"); err != nil || len(left) > 0 {
		t.Errorf("left after the end: %v %v", left, err)
	}
}

// inPart asks a daemon with the routers "router" and "absent", each with the instance's
// address, for parts of what it knows.
func inPart(t *testing.T, ini string, p *nettest.Topology) {
	t.Helper()
	instance := p.InstanceAddr.String()
	for _, c := range []struct {
		args   []string
		code   int
		has    []string
		hasNot []string
		says   string
	}{
		{args: []string{"--router=rou"}, has: []string{"router          router/qg-1\n", "active", instance, "answered  20"}, hasNot: []string{"absent"}},
		{args: []string{"--namespace=abs"}, has: []string{"router          absent/qg-1\n", "pending", "does not exist yet"}, hasNot: []string{"answered  20"}},
		{args: []string{"--address", instance}, has: []string{"router          absent/qg-1\n", "router          router/qg-1\n"}},
		{args: []string{"--address", p.InstanceAddr.StringExpanded(), "--router", "router"}, has: []string{"answered  20"}, hasNot: []string{"absent"}},
		{args: []string{"--address", p.UpstreamAddr.String()}, code: exitFailed, says: "no router of this host has an NDP proxy for " + p.UpstreamAddr.String()},
		{args: []string{"--router=nosuch"}, code: exitFailed, says: `no router of this host is called "nosuch"`},
		{args: []string{"--namespace=nosuch"}, code: exitFailed, says: `no namespace of this host is called "nosuch"`},
		{args: []string{"--router=router", "--namespace=absent"}, code: exitFailed, says: "the router is not in this namespace"},
	} {
		out, complaints, code := asked(append([]string{"--config-file", ini}, c.args...)...)
		if code != c.code || !strings.Contains(complaints, c.says) || (complaints == "") != (c.says == "") {
			t.Errorf("%q: code %d, %s\n%s", c.args, code, complaints, out)
		}
		for _, want := range c.has {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in\n%s", c.args, want, out)
			}
		}
		for _, bad := range c.hasNot {
			if strings.Contains(out, bad) {
				t.Errorf("%q: %q is in\n%s", c.args, bad, out)
			}
		}
	}
}

// One that has no broker answers, and says what it waits for; where no socket can be
// made it works all the same.
func TestStatusWithoutABroker(t *testing.T) {
	dir := t.TempDir()
	ini := filepath.Join(dir, "agent.ini")
	config := "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:topsecret@127.0.0.1:1/\n[ndp_proxy]\nnetns_dir = " + dir + "\nruntime_dir = " + dir + "/run\n"
	put(t, ini, config)
	d := launch(t, ini)
	saying(t, d, "cannot connect to broker")
	listening(t, ini)
	got, code := toldOf(t, ini)
	if code != exitFailed || got.Ready || got.LastFullSync != nil || got.Broker == nil || got.Broker.Connected || got.Broker.Endpoint != "127.0.0.1:1" ||
		!strings.Contains(got.Broker.LastError, "refused") {
		t.Errorf("code %d, %+v %+v", code, got, got.Broker)
	}
	out, _, code := asked("--config-file", ini)
	if code != exitFailed || !strings.Contains(out, "waiting for the first full sync") || !strings.Contains(out, "not connected since") || strings.Contains(out, "topsecret") {
		t.Errorf("code %d\n%s", code, out)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	put(t, ini, idle(t, "[ndp_proxy]\ncontrol_socket = /proc/nowhere/control.sock\n"))
	d = launch(t, ini)
	d.await(t, "READY=1")
	saying(t, d, "the control socket can't be used")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}

// listening waits for the control socket, which is made beside everything else.
func listening(t *testing.T, ini string) {
	t.Helper()
	nettest.Eventually(t, 10*time.Second, "the control socket", func() bool {
		_, _, code := asked("--config-file", ini)
		return code != exitUnreachable
	})
}

// A broker that takes the connection and then says nothing keeps nobody from being told.
func TestStatusWithASilentBroker(t *testing.T) {
	dir := t.TempDir()
	ini := filepath.Join(dir, "agent.ini")
	reached := make(chan struct{}, 1)
	silent := peer(t, func(c net.Conn) {
		select {
		case reached <- struct{}{}:
		default:
		}
		_, _ = c.Read(make([]byte, 64)) // the protocol header
		_, _ = c.Read(make([]byte, 1))  // until it gives up
	})
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:p@"+silent+"/\n[ndp_proxy]\nnetns_dir = "+dir+"\nruntime_dir = "+dir+"/run\n")
	d := launch(t, ini)
	<-reached
	listening(t, ini)
	for range 5 {
		start := time.Now()
		got, code := toldOf(t, ini)
		if took := time.Since(start); code != exitFailed || got.Broker == nil || got.Broker.Connected || got.Server == nil || got.Server.Answers || took > 2*time.Second {
			t.Errorf("code %d after %v, %+v %+v", code, took, got.Broker, got.Server)
		}
	}
	if _, complaints, code := asked("--config-file", ini, "--address", "2001:db8::1"); code != exitFailed ||
		!strings.Contains(complaints, "no router of this host has an NDP proxy for 2001:db8::1; but the daemon waits for its first full sync") {
		t.Errorf("code %d, %s", code, complaints)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}
