package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		{"no pattern", "[ndp_proxy]\nuplinks = eth0, bond[\n", `ndp.ini:2: [ndp_proxy] uplinks: "bond[" is not a shell pattern`},
		{"nothing between commas", "[ndp_proxy]\nuplinks = eth0,,eth1\n", "ndp.ini:2: [ndp_proxy] uplinks: has an empty item"},
		{"blanks instead of commas", "[ndp_proxy]\nuplinks = eth0 eth1\n", `ndp.ini:2: [ndp_proxy] uplinks: "eth0 eth1" is not the name of a device`},
		{"a name that is too long", "[ndp_proxy]\nuplinks = enp130s0f0np0d123\n",
			`ndp.ini:2: [ndp_proxy] uplinks: "enp130s0f0np0d123" is longer than a device's name can be, 15 bytes`},
		{"empty host", "[DEFAULT]\nhost =\n", "ndp.ini:2: [DEFAULT] host: must not be empty"},
		{"host that is a pattern", "[DEFAULT]\nhost = node*\n",
			`ndp.ini:2: [DEFAULT] host: "node*" cannot be part of a routing key: no white space, *, # or control characters, and at most 200 bytes`},
		{"host of two words", "[DEFAULT]\nhost = my host\n",
			`ndp.ini:2: [DEFAULT] host: "my host" cannot be part of a routing key: no white space, *, # or control characters, and at most 200 bytes`},
		{"host without end", "[DEFAULT]\nhost = " + strings.Repeat("h", 201) + "\n",
			`ndp.ini:2: [DEFAULT] host: "` + strings.Repeat("h", 201) + `" cannot be part of a routing key: no white space, *, # or control characters, and at most 200 bytes`},
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
		{"a comma in the password", "[DEFAULT]\ntransport_url = rabbit://neutron:12,geheim@h/\n",
			"ndp.ini:2: [DEFAULT] transport_url: host 2 has a user without a password, while those before it have no user and password: " +
				"give each host its own user and password, nothing is inherited; in a user or password, write , as %2C"},
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
