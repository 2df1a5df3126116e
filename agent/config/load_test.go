package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		Host:    "node1", AgentMode: "legacy", StatePath: "/var/lib/neutron", ControlExchange: "neutron",
		ReportInterval: 30 * time.Second, RPCResponseTimeout: time.Minute,
		Transport: Transport{VHost: "/", Hosts: []Endpoint{{"broker", 5672, "u", NewSecret("p")}}},
		Rabbit: Rabbit{
			SSLVerifyHostname: true, HeartbeatTimeout: time.Minute, HeartbeatRate: 3, LoginMethod: "AMQPLAIN",
			FailoverStrategy: "round-robin", RetryInterval: time.Second, RetryBackoff: 2 * time.Second, RetryMax: 30 * time.Second,
			ReconnectDelay: time.Second, MissingConsumerRetry: time.Minute, TransientQueuesTTL: 30 * time.Minute,
			Hostname: "node1", ProcessName: "neutron-ndp-proxy-agent",
		},
		NDPProxy: NDPProxy{
			Source: "neutron", SourceFile: "/etc/neutron/ndp_proxy.yaml", AuditInterval: time.Minute, FullSyncInterval: 10 * time.Minute,
			SyncChunkSize: 64, Workers: 4, Announce: true, NetnsDir: "/run/netns", Protocol: 110, Table: "neutron_ndp_proxy",
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
	c, warnings, err := Load(Args{
		Sources:  []Source{File("testdata/neutron.conf"), File("testdata/l3_agent.ini"), File("testdata/ndp_proxy_agent.ini"), Dir("testdata/conf.d")},
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
	golden(t, "testdata/operator.golden", b.String()+c.String())
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown option", "[ndp_proxy]\naudit_intervall = 5\n",
			"ndp.ini:2: [ndp_proxy] audit_intervall: unknown option; did you mean audit_interval?"},
		{"unknown, like none", "[ndp_proxy]\nfrobnicate = 5\n", "ndp.ini:2: [ndp_proxy] frobnicate: unknown option"},
		{"of another group", "[ndp_proxy]\ntransport_url = x\n", "ndp.ini:2: [ndp_proxy] transport_url: unknown option; it belongs to [DEFAULT]"},
		{"hyphens are no underscores", "[NDP_Proxy]\nnetns-dir = /x\n", "ndp.ini:2: [ndp_proxy] netns-dir: unknown option; did you mean netns_dir?"},
		{"not an integer", "[ndp_proxy]\nworkers = four\n", `ndp.ini:2: [ndp_proxy] workers: "four" is not an integer`},
		{"an inline comment", "[ndp_proxy]\nworkers = 4 # all\n", `ndp.ini:2: [ndp_proxy] workers: "4 # all" is not an integer`},
		{"nothing", "[ndp_proxy]\nworkers =\n", `ndp.ini:2: [ndp_proxy] workers: "" is not an integer`},
		{"too small", "[ndp_proxy]\naudit_interval = 4\n", "ndp.ini:2: [ndp_proxy] audit_interval: 4 is out of range: it must be between 5 and 3600 seconds"},
		{"too big", "[ndp_proxy]\nprotocol = 256\n", "ndp.ini:2: [ndp_proxy] protocol: 256 is out of range: it must be between 5 and 255"},
		{"far too big", "[oslo_messaging_rabbit]\nheartbeat_timeout_threshold = " + strings.Repeat("9", 400) + "\n",
			"ndp.ini:2: [oslo_messaging_rabbit] heartbeat_timeout_threshold: " + strings.Repeat("9", 400) +
				" is out of range: it must be between 0 and 4611686018 seconds"},
		{"negative", "[DEFAULT]\nrpc_response_timeout = 0\n", "ndp.ini:2: [DEFAULT] rpc_response_timeout: 0 is out of range: it must be at least 1 seconds"},
		{"not a number", "[agent]\nreport_interval = nan\n", `ndp.ini:2: [agent] report_interval: "nan" is not a number`},
		{"not a boolean", "[ndp_proxy]\nannounce = maybe\n",
			`ndp.ini:2: [ndp_proxy] announce: "maybe" is not a boolean: true, false, yes, no, on, off, 1 or 0`},
		{"not a choice", "[ndp_proxy]\nsource = newtron\n", `ndp.ini:2: [ndp_proxy] source: "newtron" is not one of neutron, file; did you mean neutron?`},
		{"choices have a case", "[DEFAULT]\nagent_mode = DVR\n",
			`ndp.ini:2: [DEFAULT] agent_mode: "DVR" is not one of legacy, dvr, dvr_snat, dvr_no_external; did you mean dvr?`},
		{"relative path", "[ndp_proxy]\nnetns_dir = run/netns\n", `ndp.ini:2: [ndp_proxy] netns_dir: "run/netns" is not an absolute path`},
		{"table's name", "[ndp_proxy]\ntable = a b\n",
			`ndp.ini:2: [ndp_proxy] table: "a b" is not a letter or _, then at most 63 letters, digits, '_', '.' or '-'`},
		{"empty host", "[DEFAULT]\nhost =\n", "ndp.ini:2: [DEFAULT] host: must not be empty"},
		{"no source file", "[ndp_proxy]\nsource = file\nsource_file =\n", "ndp.ini:3: [ndp_proxy] source_file: must name a file, because source = file"},
		{"syntax", "[ndp_proxy\n", "ndp.ini:1: a section must end with ], and nothing may follow it"},
		{"unknown reference", "[ndp_proxy]\nnetns_dir = /x/$nothing\n",
			"ndp.ini:2: [ndp_proxy] netns_dir: $nothing refers to an option that no file sets; a literal $ is written $$"},
		{"circle", "[DEFAULT]\nhost = $state_path\nstate_path = ${host}\n",
			"ndp.ini:2: [DEFAULT] host: [DEFAULT] host refers to itself\nndp.ini:3: [DEFAULT] state_path: [DEFAULT] state_path refers to itself"},
		{"reference in a password", "[DEFAULT]\ntransport_url = rabbit://u:p$secret@h/\n",
			"ndp.ini:2: [DEFAULT] transport_url: a $ in it refers to an option that no file sets; a literal $ is written $$"},
		{"transport_url emptied", "[DEFAULT]\ntransport_url =\n",
			"ndp.ini:2: [DEFAULT] transport_url: not set in neutron.conf, ndp.ini (is neutron.conf among the files?)"},
		{"transport_url", "[DEFAULT]\ntransport_url = rabbit://u:geheim/1@h/\n",
			"ndp.ini:2: [DEFAULT] transport_url: has an @ behind the hosts: in a user or password, write / as %2F, ? as %3F and # as %23; in a virtual host, @ as %40"},
		{"query", "[DEFAULT]\ntransport_url = rabbit://u:p@h/?ssl=geheim\n",
			"ndp.ini:2: [oslo_messaging_rabbit] ssl: the value in the query of transport_url is not valid"},
		{"quorum and mirrored", "[oslo_messaging_rabbit]\nrabbit_quorum_queue = 1\nrabbit_ha_queues = 1\n",
			"ndp.ini:2: [oslo_messaging_rabbit] rabbit_quorum_queue: excludes rabbit_ha_queues: a queue is either of quorum type or mirrored"},
		{"streams", "[oslo_messaging_rabbit]\nrabbit_stream_fanout = 1\n",
			"ndp.ini:2: [oslo_messaging_rabbit] rabbit_stream_fanout: needs rabbit_qos_prefetch_count above 0 and rabbit_transient_quorum_queue = true"},
		{"TLS files", "[oslo_messaging_rabbit]\nssl = 1\nssl_ca_file = /nowhere/ca\nssl_cert_file = /nowhere/c\nssl_version = SSLv3\n",
			"ndp.ini:5: [oslo_messaging_rabbit] ssl_version: sslv3 is broken and not supported; leave it empty to negotiate\n" +
				"ndp.ini:3: [oslo_messaging_rabbit] ssl_ca_file: cannot read file /nowhere/ca: no such file or directory\n" +
				"ndp.ini:4: [oslo_messaging_rabbit] ssl_cert_file: certificate /nowhere/c with key /nowhere/c: open /nowhere/c: no such file or directory"},
		{"all at once", "[ndp_proxy]\nworkers = 0\nanounce = 1\n[agent]\nreport_interval = -1\n",
			"ndp.ini:5: [agent] report_interval: -1 is out of range: it must be at least 0 seconds\n" +
				"ndp.ini:2: [ndp_proxy] workers: 0 is out of range: it must be between 1 and 64\n" +
				"ndp.ini:3: [ndp_proxy] anounce: unknown option; did you mean announce?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, failure := loadText(t, tc.text)
			if diff := cmp.Diff(tc.want, failure); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"none", "[ndp_proxy]\nworkers = 2\n[nonsense]\nx = 1\n[ndp_proxies]\n", ""},
		{"section like ours", "[ndp-proxy]\nworkers = 2\n", "ndp.ini:1: [ndp-proxy] is not [ndp_proxy], so nobody reads it"},
		{"blanks around it", "[ ndp_proxy ]\nworkers = 2\n", "ndp.ini:1: [ ndp_proxy ] is not [ndp_proxy], so nobody reads it"},
		{"named like the file", "[ndp_proxy_agent]\n", "ndp.ini:1: [ndp_proxy_agent] is not [ndp_proxy], so nobody reads it"},
		{"default", "[default]\nhost = x\n", "ndp.ini:1: [default] is not [DEFAULT], so nobody reads it"},
		{"twice", "[ndp_proxy]\nworkers = 2\nworkers = 3\n", "ndp.ini:3: [ndp_proxy] workers was already set in line 2; this value counts"},
		{"deprecated name", "[DEFAULT]\nlogdir = /var/log\n", "ndp.ini:2: [DEFAULT] logdir is a deprecated name of [DEFAULT] log_dir"},
		{"dead name", "[DEFAULT]\nrabbit_durable_queues = 1\n",
			"ndp.ini:2: [DEFAULT] rabbit_durable_queues has had no effect in Neutron since 2018 and has none here; the option is [oslo_messaging_rabbit] amqp_durable_queues"},
		{"extension", "[agent]\nextensions = port_forwarding, ndp_proxy\n",
			"ndp.ini:2: [agent] extensions still has ndp_proxy: the L3 agent goes on programming the same addresses, and withdraws them when a router is updated; take it out once this daemon runs"},
		{"late reports", "[agent]\nreport_interval = 40\n",
			"ndp.ini:2: [agent] report_interval (40s) is more than half of agent_down_time (1m15s): one late report shows this agent as dead"},
		{"late, but the server knows", "[agent]\nreport_interval = 40\n[DEFAULT]\nagent_down_time = 100\n", ""},
		{"no reports", "[agent]\nreport_interval = 0\n",
			"ndp.ini:2: [agent] report_interval is 0: no state is reported, and `network agent list` will not show this agent alive"},
		{"query", "[DEFAULT]\ntransport_url = rabbit://u:p@h/?geheim=1&heartbeat_in_pthread=1\n",
			"ndp.ini:2: an option in the query of transport_url is not one of oslo_messaging_rabbit that mean something here; ignored"},
		{"Python's logging", "[DEFAULT]\nlog-config = /x\n", "ndp.ini:2: [DEFAULT] log-config is a deprecated name of [DEFAULT] log_config_append\n" +
			"ndp.ini:2: [DEFAULT] log_config_append is a configuration of Python's logging and is not read"},
		{"weak TLS", "[oslo_messaging_rabbit]\nssl = 1\nssl_version = TLSv1\nssl_enforce_hostname_verification = 0\nssl_key_file = /k\nssl_enforce_fips_mode = 1\n",
			"ndp.ini:2: no ssl_cert_file is set, so no client certificate is sent (and ssl_key_file is not used)\n" +
				"ndp.ini:4: the broker's name is not verified: any certificate of the same authority is accepted\n" +
				"ndp.ini:3: ssl_version tlsv1 is obsolete; leave it empty to negotiate the best\n" +
				"ndp.ini:6: ssl_enforce_fips_mode has no effect here: start the daemon with GODEBUG=fips140=on instead"},
		{"certificate login without TLS", "[oslo_messaging_rabbit]\nrabbit_login_method = EXTERNAL\n",
			"ndp.ini:2: rabbit_login_method EXTERNAL identifies by a client certificate, but ssl is off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, warnings, failure := loadText(t, tc.text)
			if failure != "" {
				t.Fatal(failure)
			}
			if diff := cmp.Diff(tc.want, strings.Join(warnings, "\n")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestNoTransport(t *testing.T) {
	dir := t.TempDir()
	empty := File(write(t, dir, "a.conf", "[DEFAULT]\n"))
	for _, tc := range []struct {
		name string
		args Args
		want string
	}{
		{"no file", Args{}, "[DEFAULT] transport_url: not set; no configuration file was found"},
		{"not in the files", Args{Sources: []Source{empty}}, "[DEFAULT] transport_url: not set in a.conf (is neutron.conf among the files?)"},
		{"options of old", Args{Sources: []Source{File(write(t, dir, "old.conf", "[DEFAULT]\nrabbit_password = x\n"))}},
			"[DEFAULT] transport_url: not set; [DEFAULT] rabbit_password (old.conf:2) has been without effect in Neutron for years"},
		{"only the cause is reported", Args{Sources: []Source{empty, File(dir + "/missing.conf")}},
			"cannot read config file missing.conf: no such file or directory"},
		{"not needed", Args{Sources: []Source{File(write(t, dir, "file.ini", "[ndp_proxy]\nsource = file\n"))}}, ""},
		{"not even looked at", Args{Sources: []Source{File(write(t, dir, "file2.ini",
			"[ndp_proxy]\nsource = file\n[DEFAULT]\ntransport_url = nonsense\n[oslo_messaging_rabbit]\nssl=1\nssl_ca_file=/nowhere\n"))}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, failure := load(t, dir, tc.args)
			if diff := cmp.Diff(tc.want, failure); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
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

// TestSample keeps configs/ndp_proxy_agent.ini what the table says, and shows
// that the file, with every option switched on, is what no file means.
func TestSample(t *testing.T) {
	var b strings.Builder
	if err := GenerateSample(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "..", "configs", "ndp_proxy_agent.ini"), b.String())

	active := 0
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		if len(l) > 1 && l[0] == '#' && l[1] != ' ' {
			lines[i] = l[1:]
			active++
		}
		if len(l) > 79 {
			t.Errorf("line %d is %d wide", i+1, len(l))
		}
	}
	if active != len(Options()) {
		t.Errorf("%d options in the sample, %d in the table", active, len(Options()))
	}
	c, warnings, failure := loadText(t, strings.Join(lines, "\n"))
	if failure != "" || len(warnings) > 0 {
		t.Fatalf("%s %v", failure, warnings)
	}
	plain, _, _ := loadText(t, "")
	if diff := cmp.Diff(plain.NDPProxy, c.NDPProxy); diff != "" {
		t.Errorf("the sample's values are not the defaults: -defaults +sample\n%s", diff)
	}
}

// TestTable checks what the table promises: it is complete, its defaults obey
// its own rules, and set and get are inverse.
func TestTable(t *testing.T) {
	seen := map[name]bool{}
	for _, r := range rows() {
		for _, n := range append([]name{r.name()}, r.aliases...) {
			if seen[n] {
				t.Errorf("%v is in the table twice", n)
			}
			seen[n] = true
		}
		tg := &target{Config: &Config{}}
		if hostDefault := r.nonEmpty && r.Default == ""; !hostDefault {
			if err := r.set(tg, r.Default); err != nil {
				t.Errorf("%v: the default: %v", r.name(), err)
			}
		}
		if got, want := r.get(tg), r.Default; got != want && got+".0" != want && !r.secret() {
			t.Errorf("%v: default %q reads back as %q", r.name(), want, got)
		}
		if r.Group == groupNDPProxy && (r.Help == "" || r.Since == "" || r.Default == "") {
			t.Errorf("%v lacks help, since or default", r.name())
		}
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	ok := File(write(t, dir, "neutron.conf", minimal))
	if err := os.MkdirAll(dir+"/d/sub.conf", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/x", dir+"/d/dangling.conf"); err != nil {
		t.Fatal(err)
	}
	_, _, failure := load(t, dir, Args{Sources: []Source{ok, File(dir + "/none"), Dir(dir + "/nodir"), Dir(dir + "/neutron.conf"), Dir(dir + "/d"), File(dir + "/d")}})
	want := strings.Join([]string{
		"cannot read config file none: no such file or directory",
		"cannot read config directory nodir: no such file or directory",
		"cannot read config directory neutron.conf: not a directory",
		"cannot read config file d/dangling.conf: no such file or directory",
		"cannot read config file d/sub.conf: is a directory",
		"cannot read config file d: is a directory",
	}, "\n")
	if diff := cmp.Diff(want, failure); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
