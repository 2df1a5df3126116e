package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/dataplane/probe"
	"neutron-ndp-proxy-agent/rpc/amqp"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// What people see: all well, and as much as possible wrong at once.
func TestScreen(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(w *world){
		"well": func(*world) {},
		"ill": func(w *world) {
			w.put(t, "ndp_proxy_agent.ini", "[ndp_proxy]\nnetns_dir = "+w.dir+"/netns\nruntime_dir = "+w.dir+"\nworkerz = 3\nuplinks = eno1\n[ndp-proxy]\n")
			w.put(t, "l3_agent.ini", "[DEFAULT]\nlogdir = /nosuch\n[agent]\nextensions = ndp_proxy\n")
			w.unit["ActiveState"], w.unit["SubState"], w.unit["ExecMainStatus"] = "failed", "failed", "2"
			w.unit["ProtectKernelTunables"], w.unit["NoNewPrivileges"], w.unit["DropInPaths"] = "yes", "no", "/etc/systemd/system/x.conf"
			w.unit["AmbientCapabilities"] = "cap_net_admin"
			w.Account = func(string, string) (Account, error) {
				return Account{}, errors.New("user neutron-ndp-proxy does not exist")
			}
			w.Broker = func(_ context.Context, _ *config.Config, e config.Endpoint) error {
				if e.Host == "mq1" {
					return errSpoilt
				}
				return nil
			}
			w.server.plugins = []string{"CORE"}
			w.server.reports = []rpc.Reported{
				{ID: "a1", Host: "net1", Type: rpc.L3AgentType, Heartbeat: now.Add(-time.Hour), Mode: "dvr", Extensions: []string{"ndp_proxy"}},
				{ID: "a2", Host: "net1", Type: rpc.DefaultAgentType, Heartbeat: now.Add(30 * time.Second)},
			}
			w.Synchronised = func() (bool, error) { return false, nil }
			for i := range w.results {
				w.results[i].Err = errSpoilt
			}
			w.Mounts = func() ([]byte, error) { return []byte("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), nil }
			w.Daemon = func(context.Context, string) (admin.Status, error) { return admin.Status{}, admin.ErrNotRunning }
			w.Processes = func() ([]Process, error) { return []Process{{9, []string{"/usr/sbin/ndppd", "-d"}}}, nil }
			w.HasChain = func(context.Context, string, string, string, string) (bool, error) { return true, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			spoil(w)
			got := w.screen(t, Run(context.Background(), w.Environment))
			golden := filepath.Join(here, "testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if strings.Contains(got, password) {
				t.Error("the password is shown")
			}
		})
	}
}

func agent(change func(r *rpc.Reported)) func(w *world) {
	return func(w *world) { change(&w.server.reports[0]) }
}

func result(f probe.Feature, err error) func(w *world) {
	return func(w *world) {
		i := slices.IndexFunc(w.results, func(r probe.Result) bool { return r.Feature == f })
		w.results[i].Err = err
	}
}

// brokerMeets makes all brokers fail.
func brokerMeets(err error) func(w *world) {
	return func(w *world) { w.Broker = func(context.Context, *config.Config, config.Endpoint) error { return err } }
}

// Each thing that is wrong is named, with the fix, by the check that is for it; what
// has nothing to do with it stays as it is.
func TestEach(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		check string
		want  Status
		found string // in what was found
		fix   string // in the fix
		also  string // other checks that may change, too
	}{
		"no file": {func(w *world) { w.Args.Sources = []config.Source{config.File("nosuch.ini")} }, "options", Fail, "nosuch.ini", "make it", "files mode extension uplinks runtime-dir source broker server plugin l3-agent ndp-agent host server-clock daemon namespaces access log l3-files rules"},
		"unknown option": {func(w *world) {
			w.put(t, "ndp_proxy_agent.ini", "[ndp_proxy]\nnetns_dir = "+w.dir+"/netns\nruntime_dir = "+w.dir+"\nuplinks = bond0\nworkerz = 1\n")
		}, "options", Fail, "did you mean workers", "exit code 2", "uplinks"},
		"deprecated": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\nlogfile = "+w.dir+"/x.log\n")
		}, "options", Warn, "deprecated name", "configure.md", "log"},
		"not readable": {func(w *world) { w.As = func(_ Account, fn func() error) error { return errSpoilt } }, "access", Warn, "not checked", "as root", "runtime-dir log"},
		"file of root": {func(w *world) { w.As = blind(w) }, "access", Fail, "neutron.conf", "chgrp neutron", "runtime-dir log"},
		"hidden": {func(w *world) {
			w.unit["PrivateTmp"] = "yes"
			w.put(t, "neutron.conf", "[DEFAULT]\ntransport_url = rabbit://a:b@mq1,a:b@mq2/\nhost = net1\n[oslo_messaging_rabbit]\nssl = true\nssl_ca_file = /tmp/nosuch.pem\n")
		}, "access", Fail, "hides /tmp/nosuch.pem", "elsewhere", "options broker"},
		"extension": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\n[agent]\nextensions = ndp_proxy\n")
		}, "extension", Fail, "l3_agent.ini:4", "migrate.md", ""},
		"extension, beside": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\n[agent]\nextensions = ndp_proxy\n[ndp_proxy]\nbeside_extension = true\n")
		}, "extension", Warn, "both publish", "migrate.md", "options"},
		"chain": {func(w *world) {
			w.HasChain = func(_ context.Context, _, ns, table, chain string) (bool, error) {
				return ns == "qrouter-1" && table == "filter", nil
			}
		}, "extension", Warn, "neutron-l3-agent-NDP) is in qrouter-1", "migrate.md", ""},
		"chains, no right": {func(w *world) {
			w.HasChain = func(context.Context, string, string, string, string) (bool, error) { return false, unix.EPERM }
		}, "extension", Warn, "not checked", "as root", ""},
		"more files": {func(w *world) {
			w.put(t, "more.conf", "")
			args := append(l3Agent(), "--config-file", "more.conf")
			w.Processes = func() ([]Process, error) { return []Process{{8, args}}, nil }
		}, "l3-files", Warn, "more.conf", "install.md", ""},
		"no L3 agent": {func(w *world) { w.Processes = func() ([]Process, error) { return nil, nil } }, "l3-files", Warn, "no L3 agent", "start neutron-l3-agent", ""},
		"dvr_no_external": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_no_external\n")
			w.server.reports[0].Mode = "dvr_no_external"
		}, "mode", Warn, "no address is published", "snat-", "l3-agent options rules"},
		"no uplink":       {func(w *world) { w.Devices = func() ([]string, error) { return []string{"eth0"}, nil } }, "uplinks", Warn, "bond*", "ip link", ""},
		"one broker down": {func(w *world) { w.Broker = only("mq2") }, "broker", Warn, "mq1:5672: spoilt", "log of the broker", ""},
		"no broker":       {brokerMeets(errSpoilt), "broker", Fail, "mq2:5672: spoilt", "log of the broker", "server plugin host l3-agent ndp-agent server-clock"},
		"nobody listens":  {func(w *world) { w.server.pluginsErr = amqp.ErrUnroutable }, "server", Fail, "virtual host cloud, exchange neutron", "control_exchange", "plugin host l3-agent ndp-agent server-clock"},
		"no answer":       {func(w *world) { w.server.pluginsErr = fmt.Errorf("call: %w", oslo.ErrTimeout) }, "server", Fail, "did not answer", "rpc_workers", "plugin host l3-agent ndp-agent server-clock"},
		"blocked":         {func(w *world) { w.server.pluginsErr = amqp.ErrBlocked }, "server", Fail, "blocks publishers", "alarms", "plugin host l3-agent ndp-agent server-clock"},
		"refused":         {func(w *world) { w.server.pluginsErr = errSpoilt }, "server", Fail, "spoilt", "list_permissions", "plugin host l3-agent ndp-agent server-clock"},
		"no client": {func(w *world) {
			w.Server = func(*config.Config, []config.Endpoint) (Server, error) { return nil, errSpoilt }
		}, "server", Warn, "spoilt", "options", "plugin host l3-agent ndp-agent server-clock"},
		"no plug-in":         {func(w *world) { w.server.plugins = []string{"CORE", "L3_ROUTER_NAT"} }, "plugin", Fail, "but CORE, L3_ROUTER_NAT", "service_plugins = router,ndp_proxy", ""},
		"plug-ins not told":  {func(w *world) { w.server.pluginsErr = &oslo.RemoteError{Class: "NoSuchMethod"} }, "plugin", Warn, "NoSuchMethod", "extension show", ""},
		"agents not told":    {func(w *world) { w.server.reportsErr = errSpoilt }, "l3-agent", Warn, "spoilt", "--host net1", "host ndp-agent server-clock"},
		"no such host":       {func(w *world) { w.server.reports = w.server.reports[1:] }, "host", Fail, "no L3 agent of host net1 (neutron.conf:3)", "agent list", "l3-agent"},
		"another name":       {agent(func(r *rpc.Reported) { r.Host = "net1.example.org" }), "host", Fail, "but one of net1.example.org", "host = net1.example.org", "l3-agent"},
		"L3 agent odd":       {func(w *world) { w.server.bad = []rpc.Malformed{{ID: "net1", Err: errSpoilt}} }, "l3-agent", Warn, "not understood", "report it", ""},
		"L3 agent down":      {agent(func(r *rpc.Reported) { r.AdminUp = false }), "l3-agent", Fail, "administratively down", "--enable a1", ""},
		"L3 agent dead":      {agent(func(r *rpc.Reported) { r.Heartbeat = now.Add(-76 * time.Second) }), "l3-agent", Fail, "1m16s old", "start neutron-l3-agent", ""},
		"another mode":       {agent(func(r *rpc.Reported) { r.Mode = "legacy" }), "l3-agent", Fail, "legacy, the daemon would in dvr_snat (l3_agent.ini:2)", "agent_mode", ""},
		"extension loaded":   {agent(func(r *rpc.Reported) { r.Extensions = []string{"ndp_proxy"} }), "l3-agent", Fail, "own ndp_proxy loaded", "migrate.md", ""},
		"never heard of":     {func(w *world) { w.server.reports = w.server.reports[:1] }, "ndp-agent", Fail, "heard nothing", "state report failed", ""},
		"daemon dead":        {func(w *world) { w.server.reports[1].Heartbeat = now.Add(-2 * time.Minute) }, "ndp-agent", Fail, "2m0s old", "state report failed", ""},
		"server ahead":       {func(w *world) { w.server.reports[1].Heartbeat = now.Add(30 * time.Second) }, "server-clock", Warn, "30s behind", "chrony", "ndp-agent"},
		"server far ahead":   {func(w *world) { w.server.reports[1].Heartbeat = now.Add(time.Hour) }, "server-clock", Fail, "1h0m0s behind", "chrony", "ndp-agent"},
		"clock":              {func(w *world) { w.Synchronised = func() (bool, error) { return false, nil } }, "clock", Warn, "unsynchronised", "chrony", ""},
		"capability of unit": {func(w *world) { w.unit["AmbientCapabilities"] = "cap_net_admin" }, "capabilities", Fail, "does not give CAP_SYS_ADMIN", "AmbientCapabilities=", ""},
		"capability at all": {func(w *world) {
			w.Needs = func(bool) ([]Need, error) { return []Need{{"CAP_SYS_ADMIN", "to enter", true, false}}, nil }
		}, "capabilities", Fail, "by nobody here", "container", ""},
		"no namespace": {func(w *world) { w.results = []probe.Result{{Feature: probe.Namespace, Err: errSpoilt}} }, "kernel", Fail, "spoilt", "CONFIG_NET_NS", "ipv6 sysctls neighbours nftables rules"},
		"no right":     {func(w *world) { w.results = []probe.Result{{Feature: probe.Namespace, Err: unix.EPERM}} }, "kernel", Warn, "not permitted", "as root", "ipv6 sysctls neighbours nftables rules"},
		"no IPv6":      {result(probe.IPv6, errSpoilt), "ipv6", Fail, "spoilt", "disable_ipv6", ""},
		"no sysctls":   {result(probe.Sysctls, errSpoilt), "sysctls", Fail, "spoilt", "/proc/sys", ""},
		"no mark":      {result(probe.Neighbours, probe.ErrUnmarked), "neighbours", Fail, "NDA_PROTOCOL", "Linux 5.0", ""},
		"no nftables":  {result(probe.Filter, errSpoilt), "nftables", Fail, "spoilt", "CONFIG_NF_TABLES", ""},
		"no rules":     {result(probe.Rules, errSpoilt), "rules", Fail, "spoilt", "CONFIG_IPV6_MULTIPLE_TABLES", ""},
		"private mount": {func(w *world) {
			w.Mounts = func() ([]byte, error) { return []byte("22 1 8:1 / / rw - ext4 x rw\n"), nil }
		}, "namespaces", Warn, "is private", "make-rshared", ""},
		"no directory":  {func(w *world) { must(t, os.RemoveAll("netns")) }, "namespaces", Warn, "does not exist yet", "systemd-tmpfiles", ""},
		"no user":       {func(w *world) { w.Account = func(string, string) (Account, error) { return Account{}, errSpoilt } }, "user", Fail, "can't start", "systemd-sysusers", "access runtime-dir log"},
		"log elsewhere": {func(w *world) { w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\nlog_dir = /srv/log\n") }, "log", Fail, "elsewhere only", "ReadWritePaths=/srv/log", ""},
		"log nowhere": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\nlog_dir = "+w.dir+"/none/none\n")
		}, "log", Fail, "can't write", "chown neutron-ndp-proxy:neutron ", ""},
		"runtime elsewhere": {func(w *world) {
			w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\n")
			w.unit["ReadWritePaths"] = ""
		}, "runtime-dir", Fail, "elsewhere only", "ReadWritePaths=", "options"},
		"unit failed":   {func(w *world) { w.unit["ActiveState"], w.unit["ExecMainStatus"] = "failed", "77" }, "unit", Fail, "exit status 77", "journalctl", ""},
		"unit off":      {func(w *world) { w.unit["ActiveState"] = "inactive" }, "unit", Warn, "inactive", "enable --now", ""},
		"unit disabled": {func(w *world) { w.unit["UnitFileState"] = "disabled" }, "unit", Warn, "next boot", "systemctl enable", ""},
		"unit masked":   {func(w *world) { w.unit["LoadState"] = "masked" }, "unit", Fail, "masked", "systemctl status", ""},
		"unit breaks":   {func(w *world) { w.unit["ProtectKernelTunables"] = "yes" }, "unit", Fail, "ProtectKernelTunables=yes", "systemctl cat", ""},
		"unit weak":     {func(w *world) { w.unit["ProtectSystem"], w.unit["DropInPaths"] = "no", "/etc/x.conf" }, "unit", Warn, "ProtectSystem=no (shipped: strict); drop-ins: /etc/x.conf", "security.md", ""},
		"unit as root":  {func(w *world) { w.unit["User"] = "" }, "unit", Warn, "runs as root", "security.md", "user capabilities"},
		"unit changed":  {func(w *world) { w.unit["NeedDaemonReload"] = "yes" }, "unit", Warn, "newer", "daemon-reload", ""},
		"systemd silent": {func(w *world) {
			w.Environment.Unit = func(context.Context) (Unit, error) { return nil, errSpoilt }
			w.Args.Sources = w.unit.sources()
		}, "unit", Warn, "spoilt", "as root", "files capabilities"},
		"daemon not there":   {daemonSays(admin.Status{}, admin.ErrNotRunning), "daemon", Fail, "unit is active", "journalctl", ""},
		"daemon waits":       {daemonSays(admin.Status{}, nil), "daemon", Warn, "waits for its first", "status", ""},
		"daemon has trouble": {daemonSays(admin.Status{Ready: true, Started: now, Totals: admin.Totals{Failed: 1}}, nil), "daemon", Warn, "in its way", "status", ""},
		"daemon silent":      {daemonSays(admin.Status{}, errSpoilt), "daemon", Fail, "spoilt", "journalctl", ""},
		"daemon, no right":   {daemonSays(admin.Status{}, admin.ErrNoPermission), "daemon", Warn, "not checked", "as root", ""},
		"ndppd":              {func(w *world) { w.Processes = processesToo(w, "/usr/sbin/ndppd") }, "others", Warn, "ndppd (process 99)", "other devices", ""},
		"two daemons":        {func(w *world) { w.Processes = processesToo(w, "neutron-ndp-proxy-agent") }, "others", Warn, "2 daemons", "all but one", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			well := Run(context.Background(), w.Environment)
			if well.Result != OK {
				t.Fatalf("not well to begin with:\n%s", w.screen(t, well))
			}
			c.spoil(w)
			got := Run(context.Background(), w.Environment)
			hit := slices.ContainsFunc(got.Lines, func(l Line) bool {
				return l.Check == c.check && l.Status == c.want && strings.Contains(l.Found, c.found) && strings.Contains(l.Fix, c.fix)
			})
			if !hit || got.Result == OK {
				t.Errorf("no %s %s with %q, %q:\n%s", c.want, c.check, c.found, c.fix, w.screen(t, got))
			}
			spared := func(l Line) bool { return l.Check != c.check && !slices.Contains(strings.Fields(c.also), l.Check) }
			if a, b := linesOf(well, spared), linesOf(got, spared); a != b {
				t.Errorf("others changed, from\n%s\nto\n%s", a, b)
			}
			for _, l := range got.Lines {
				if l.Status == Fail && l.Fix == "" || l.Status == OK && l.Fix != "" || l.Found == "" || l.Check == "" {
					t.Errorf("%+v", l)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// blind makes a file unreadable, for root too, while the daemon's user looks.
func blind(w *world) func(Account, func() error) error {
	path := w.dir + "/neutron.conf"
	var one sync.Mutex // checks run beside each other
	return func(_ Account, fn func() error) error {
		one.Lock()
		defer one.Unlock()
		if err := os.Rename(path, w.dir+"/away"); err == nil && os.Symlink(path, path) == nil {
			defer func() { _ = os.Remove(path); _ = os.Rename(w.dir+"/away", path) }()
		}
		return fn()
	}
}

// only says which broker can be reached.
func only(host string) func(context.Context, *config.Config, config.Endpoint) error {
	return func(_ context.Context, _ *config.Config, e config.Endpoint) error {
		if e.Host == host {
			return nil
		}
		return errSpoilt
	}
}

func daemonSays(s admin.Status, err error) func(w *world) {
	return func(w *world) { w.Daemon = func(context.Context, string) (admin.Status, error) { return s, err } }
}

func processesToo(w *world, program string) func() ([]Process, error) {
	before := w.Processes
	return func() ([]Process, error) {
		all, err := before()
		return append(all, Process{99, []string{program}}), err
	}
}

func linesOf(r Report, want func(Line) bool) string {
	var b strings.Builder
	for _, l := range r.Lines {
		if want(l) {
			fmt.Fprintf(&b, "%s %s %s | %s\n", l.Status, l.Check, l.Found, l.Fix)
		}
	}
	return b.String()
}

// What is only asked of a cloud is not asked with a file; before the installation
// nothing is wrong with what is not there.
func TestFromFileBeforeInstalling(t *testing.T) {
	w := newWorld(t)
	w.unit = Unit{"LoadState": "not-found"}
	w.put(t, "published.yaml", "version: 1\nnamespaces:\n- name: qrouter-1\n  devices:\n  - name: qg-1\n    gateway_addresses: ['2001:db8::1']\n    internal_subnets: ['2001:db8:1::/64']\n    published: ['2001:db8:1::2']\n")
	w.put(t, "ndp_proxy_agent.ini", "[ndp_proxy]\nnetns_dir = "+w.dir+"/netns\nruntime_dir = "+w.dir+"\nsource = file\nsource_file = "+w.dir+"/published.yaml\n")
	w.Args.Sources = []config.Source{config.File("ndp_proxy_agent.ini")}
	w.Daemon = func(context.Context, string) (admin.Status, error) { return admin.Status{}, admin.ErrNotRunning }
	w.Broker, w.Server = nil, nil
	r := Run(context.Background(), w.Environment)
	if got := linesOf(r, func(l Line) bool { return l.Status != OK }); got != "warn unit the unit is not installed | docs/install.md\n" {
		t.Errorf("not ok:\n%s", got)
	}
	if got := linesOf(r, func(l Line) bool { return l.Check == "source" }); !strings.Contains(got, "1 devices, 1 published addresses") {
		t.Errorf("source: %s", got)
	}
	w.put(t, "published.yaml", "version: 1\nnamespaces:\n- name: qrouter-1\n  devicez: []\n")
	if got := linesOf(Run(context.Background(), w.Environment), func(l Line) bool { return l.Status == Fail }); !strings.Contains(got, "fail source") || !strings.Contains(got, "devicez") {
		t.Errorf("a mistake in the source: %s", got)
	}
}

// In a container there is no unit, and the daemon runs as who asks does.
func TestWithoutSystemd(t *testing.T) {
	w := newWorld(t)
	w.Args.Sources = w.unit.sources()
	w.Environment.Unit = func(context.Context) (Unit, error) { return nil, ErrNoSystemd }
	w.Account = func(string, string) (Account, error) { return Account{}, errSpoilt }
	w.As = func(Account, func() error) error { t.Error("tried to become another user"); return nil }
	r := Run(context.Background(), w.Environment)
	if r.Result != OK {
		t.Errorf("result %s:\n%s", r.Result, w.screen(t, r))
	}
	w.put(t, "l3_agent.ini", "[DEFAULT]\nagent_mode = dvr_snat\nlog_dir = "+w.dir+"/none/none\n")
	if got := linesOf(Run(context.Background(), w.Environment), func(l Line) bool { return l.Status == Fail }); !strings.HasPrefix(got, "fail log ") {
		t.Errorf("a log directory that is not there: %s", got)
	}
}

// Who is not root hears what could not be looked at, and nothing is taken for broken.
func TestNotRoot(t *testing.T) {
	w := newWorld(t)
	w.UID = 1000
	w.As = func(Account, func() error) error { t.Error("tried to become the daemon's user"); return nil }
	w.results = []probe.Result{{Feature: probe.Namespace, Err: unix.EPERM}}
	w.HasChain = func(context.Context, string, string, string, string) (bool, error) { return false, unix.EPERM }
	r := Run(context.Background(), w.Environment)
	if r.Result != Warn {
		t.Errorf("result %s:\n%s", r.Result, w.screen(t, r))
	}
	for _, check := range []string{"access", "runtime-dir", "kernel", "extension"} {
		if got := linesOf(r, func(l Line) bool { return l.Check == check }); !strings.HasPrefix(got, "warn "+check+" not checked: ") || !strings.Contains(got, "as root") {
			t.Errorf("%s: %s", check, got)
		}
	}
}

// What hangs is named in time, and the others are heard.
func TestWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.Synchronised = func() (bool, error) { <-release; return true, nil }
		w.Broker = func(ctx context.Context, _ *config.Config, _ config.Endpoint) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		r := Run(context.Background(), w.Environment)
		if took := time.Since(began); took > limit+2*time.Second {
			t.Errorf("took %v", took)
		}
		if got := linesOf(r, func(l Line) bool { return l.Check == "clock" }); !strings.HasPrefix(got, "fail clock no end within 20s") {
			t.Errorf("clock: %s", got)
		}
		if got := linesOf(r, func(l Line) bool { return l.Check == "broker" }); strings.Count(got, "deadline exceeded") != 2 {
			t.Errorf("broker: %s", got)
		}
		if got := linesOf(r, func(l Line) bool { return l.Check == "options" }); !strings.HasPrefix(got, "ok options") {
			t.Errorf("options: %s", got)
		}
		close(release)
	})
}

func TestJSON(t *testing.T) {
	w := newWorld(t)
	w.Synchronised = func() (bool, error) { return false, errors.New("line\none\x1b[31m <&> " + strings.Repeat("x", 3000)) }
	var out bytes.Buffer
	must(t, Run(context.Background(), w.Environment).JSON(&out))
	var got Report
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	must(t, d.Decode(&got))
	if got.Version != "1.2.3" || got.Host != "net1" || got.Result != Warn || len(got.Lines) < 20 {
		t.Errorf("%+v", got)
	}
	for _, l := range got.Lines {
		if len(l.Found) > maxText+3 || strings.ContainsAny(l.Found, "\n\x1b") {
			t.Errorf("%q", l.Found)
		}
	}
}
