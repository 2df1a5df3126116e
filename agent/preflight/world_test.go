package preflight

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/dataplane/probe"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

const password = "pa55word"

// world is a machine on which all is well, and what a test may spoil.
type world struct {
	Environment
	dir     string // where the files are, the current directory
	unit    Unit
	server  *fakeServer
	results []probe.Result
}

// fakeServer answers like neutron-server behind a broker.
type fakeServer struct {
	plugins    []string
	pluginsErr error
	reports    []rpc.Reported
	bad        []rpc.Malformed
	reportsErr error
	asked      []string // the hosts
}

func (s *fakeServer) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (s *fakeServer) ServicePlugins(context.Context) ([]string, error) {
	return s.plugins, s.pluginsErr
}

func (s *fakeServer) Reports(_ context.Context, hosts []string) ([]rpc.Reported, []rpc.Malformed, error) {
	s.asked = hosts
	return s.reports, s.bad, s.reportsErr
}

// newWorld writes the files into a directory of the test's own, which becomes the
// current one: names in what is found are then the same everywhere.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	t.Chdir(w.dir)
	w.put(t, "neutron.conf", "[DEFAULT]\ntransport_url = rabbit://neutron:"+password+"@mq1:5672,neutron:"+password+"@mq2:5672/cloud\nhost = net1\n")
	w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\n[agent]\nextensions = port_forwarding\n")
	w.put(t, "ndp_proxy_agent.ini", "[ndp_proxy]\nnetns_dir = "+w.dir+"/netns\nruntime_dir = "+w.dir+"\ncontrol_socket = "+w.dir+"/control.sock\nuplinks = bond*\n")
	if err := os.MkdirAll("netns", 0o755); err != nil {
		t.Fatal(err)
	}
	w.put(t, "netns/qrouter-1", "")
	w.put(t, "netns/qdhcp-1", "")
	w.unit = Unit{
		"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "SubState": "running", "ExecMainStatus": "0", "NeedDaemonReload": "no",
		"ExecStart": "{ path=/usr/bin/neutron-ndp-proxy-agent ; argv[]=/usr/bin/neutron-ndp-proxy-agent --config-file neutron.conf --config-file=l3_agent.ini --config-file ndp_proxy_agent.ini ; ignore_errors=no ; pid=7 }",
		"User":      "neutron-ndp-proxy", "Group": "neutron", "SystemCallFilter": "read write", "ReadWritePaths": "-/var/log/neutron " + w.dir,
		"RuntimeDirectory": program, "AmbientCapabilities": "cap_net_admin cap_net_raw cap_sys_admin", "CapabilityBoundingSet": "cap_net_admin cap_net_raw cap_sys_admin",
	}
	for _, s := range shipped() {
		w.unit[s.property] = s.value
	}
	w.unit["PrivateTmp"] = "no" // the files are in a temporary directory
	delete(w.unit, "PrivateTmp")
	w.server = &fakeServer{plugins: []string{"CORE", "L3_ROUTER_NAT", "NDPPROXY"}, reports: []rpc.Reported{
		{ID: "a1", Host: "net1", Type: rpc.L3AgentType, AdminUp: true, Heartbeat: now.Add(-12 * time.Second), Mode: "dvr_snat", Extensions: []string{"port_forwarding"}},
		{ID: "a2", Host: "net1", Type: rpc.DefaultAgentType, AdminUp: true, Heartbeat: now.Add(-3 * time.Second), Mode: "dvr_snat", Extensions: []string{"ndp_proxy"}},
	}}
	for _, f := range []probe.Feature{probe.Namespace, probe.IPv6, probe.Sysctls, probe.Neighbours, probe.Filter, probe.Rules} {
		w.results = append(w.results, probe.Result{Feature: f})
	}
	w.Environment = Environment{
		Version: "1.2.3", UID: 0, Now: func() time.Time { return now },
		Args: config.Args{Hostname: func() (string, error) { return "net1.example.org", nil }},
		Unit: func(context.Context) (Unit, error) { return w.unit, nil },
		Account: func(user, group string) (Account, error) {
			return Account{User: user, Group: group, UID: 990, GID: 991}, nil
		},
		As: func(_ Account, fn func() error) error { return fn() },
		Needs: func(bool) ([]Need, error) {
			return []Need{{"CAP_NET_ADMIN", "to write", true, true}, {"CAP_SYS_ADMIN", "to enter", true, true}}, nil
		},
		Kernel:   func(context.Context, probe.Options) []probe.Result { return w.results },
		HasChain: func(context.Context, string, string, string, string) (bool, error) { return false, nil },
		Mounts:   func() ([]byte, error) { return []byte("22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"), nil },
		Devices:  func() ([]string, error) { return []string{"lo", "eth0", "bond0"}, nil },
		Processes: func() ([]Process, error) {
			return []Process{{7, []string{"/usr/bin/neutron-ndp-proxy-agent", "--config-file", "neutron.conf"}}, {8, l3Agent()}}, nil
		},
		Synchronised: func() (bool, error) { return true, nil },
		Daemon: func(context.Context, string) (admin.Status, error) {
			return admin.Status{Version: "1.2.3", Ready: true, Started: now.Add(-time.Hour), Totals: admin.Totals{Routers: 4, Proxies: 40}}, nil
		},
		Broker: func(context.Context, *config.Config, config.Endpoint) error { return nil },
		Server: func(*config.Config, []config.Endpoint) (Server, error) { return w.server, nil },
	}
	return w
}

func l3Agent() []string {
	return []string{"/usr/bin/python3", "/usr/bin/neutron-l3-agent", "--config-file=neutron.conf", "--config-file", "l3_agent.ini", "--config-dir", "nosuch.d"}
}

func (w *world) put(t *testing.T, name, text string) {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(w.dir, name)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

// screen is what a person sees.
func (w *world) screen(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Print(&b, nil); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), w.dir, "/run/here")
}

var errSpoilt = errors.New("spoilt")
