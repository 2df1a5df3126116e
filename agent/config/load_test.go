package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/secret"
)

func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	got, warnings, failure := load(t, dir, Args{Sources: []Source{File(write(t, dir, "neutron.conf", minimal))}})
	if failure != "" || len(warnings) != 0 {
		t.Fatalf("error %s, warnings %v", failure, warnings)
	}
	want := &Config{
		Files:   []string{dir + "/neutron.conf"},
		Origins: map[string]string{"[DEFAULT] transport_url": dir + "/neutron.conf:2"},
		Host:    "node1", AgentMode: "legacy", VRRPAdvertInterval: 2 * time.Second, StatePath: "/var/lib/neutron", ControlExchange: "neutron",
		ReportInterval: 30 * time.Second, AgentDownTime: 75 * time.Second, RPCResponseTimeout: time.Minute,
		Transport: Transport{VHost: "/", Hosts: []Endpoint{{"broker", 5672, "u", secret.New("p")}}},
		Rabbit: Rabbit{
			SSLVerifyHostname: true, HeartbeatTimeout: time.Minute, LoginMethod: "AMQPLAIN",
			FailoverStrategy: "round-robin", RetryInterval: time.Second, RetryBackoff: 2 * time.Second, RetryMax: 30 * time.Second,
			ReconnectDelay: time.Second,
		},
		NDPProxy: NDPProxy{
			Source: "neutron", SourceFile: "/etc/neutron/ndp_proxy.yaml", AuditInterval: time.Minute, FullSyncInterval: time.Hour,
			SyncChunkSize: 64, Workers: 4, MaxAddresses: 10000, Announce: true, AnnounceCount: 3, AnnounceInterval: time.Second,
			AnnounceRate: 500, RuntimeDir: "/run/neutron-ndp-proxy-agent", ControlSocket: "/run/neutron-ndp-proxy-agent/control.sock", NetnsDir: "/run/netns", Protocol: 110, Table: "neutron_ndp_proxy",
			QueueExpires: 30 * time.Minute,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestOperator reads files like those of a real node, and shows every value
// with its origin.
func TestOperator(t *testing.T) {
	// The checkout's modes, and where it lies, must not decide about the warning
	// of a password that everybody can read: TestExposedSecrets has that.
	dir := filepath.Join(t.TempDir(), "testdata")
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "neutron.conf"), 0o640); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := Load(Args{
		Sources:  []Source{File(dir + "/neutron.conf"), File(dir + "/l3_agent.ini"), File(dir + "/ndp_proxy_agent.ini"), Dir(dir + "/conf.d")},
		Hostname: func() (string, error) { return "unused", nil },
		LookupEnv: func(v string) (string, bool) {
			return "6", v == "OS_NDP_PROXY__WORKERS"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString("! " + w.String() + "\n")
	}
	golden(t, "testdata/operator.golden", strings.ReplaceAll(b.String()+c.String(), dir, "testdata"))
}

func TestHostname(t *testing.T) {
	dir := t.TempDir()
	broken := func() (string, error) { return "", errNoName }
	if _, _, failure := load(t, dir, Args{Hostname: broken, Sources: []Source{File(write(t, dir, "a", minimal))}}); failure !=
		"[DEFAULT] host: not set, and the machine's name is unknown: no name today" {
		t.Errorf("error = %q", failure)
	}
	c, _, failure := load(t, dir, Args{Hostname: broken, Sources: []Source{File(write(t, dir, "b", minimal+"host = told\n"))}})
	if failure != "" || c.Host != "told" {
		t.Errorf("host = %v, error %s; want told", c, failure)
	}
	_, _, err := Load(Args{Defaults: []Source{File(write(t, dir, "c", minimal))}})
	if err == nil || err.Error() != "[DEFAULT] host: must not be empty" {
		t.Errorf("without Hostname: %v", err)
	}
}

func TestLogPath(t *testing.T) {
	for _, tc := range []struct{ file, dir, want string }{
		{"", "", ""}, {"a.log", "", "a.log"}, {"a.log", "/var/log", "/var/log/a.log"},
		{"/x/a.log", "/var/log", "/x/a.log"}, {"", "/var/log", "/var/log/prog.log"},
	} {
		if got := (Log{File: tc.file, Dir: tc.dir}).Path("prog"); got != tc.want {
			t.Errorf("log_file %q, log_dir %q: %q, want %q", tc.file, tc.dir, got, tc.want)
		}
	}
}
