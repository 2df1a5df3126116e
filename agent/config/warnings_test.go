package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		{"extension", "[agent]\nextensions = port_forwarding, ndp_proxy\n[ndp_proxy]\nbeside_extension = true\n",
			"ndp.ini:2: [agent] extensions still has ndp_proxy: the L3 agent goes on programming the same addresses, and withdraws them when a router is updated; take it out once this daemon runs"},
		{"late reports", "[agent]\nreport_interval = 40\n",
			"ndp.ini:2: [agent] report_interval (40s) is more than half of agent_down_time (1m15s): one late report shows this agent as dead"},
		{"late, but the server knows", "[agent]\nreport_interval = 40\n[DEFAULT]\nagent_down_time = 100\n", ""},
		{"no reports", "[agent]\nreport_interval = 0\n",
			"ndp.ini:2: [agent] report_interval is 0: no state is reported, and `network agent list` will not show this agent alive"},
		{"query", "[DEFAULT]\ntransport_url = rabbit://u:p@h/?geheim=1&heartbeat_in_pthread=1\n",
			"ndp.ini:2: an option in the query of transport_url is not one of oslo_messaging_rabbit that mean something here; ignored"},
		{"Python's logging", "[DEFAULT]\nlog-config = /x\n", "ndp.ini:2: [DEFAULT] log-config is a deprecated name of [DEFAULT] log_config_append\n" +
			"ndp.ini:2: [DEFAULT] log_config_append has no effect here: it names a configuration of Python's logging"},
		{"what is not obeyed", "[DEFAULT]\nuse_syslog = 1\nuse_journal = 1\n[oslo_messaging_rabbit]\nheartbeat_rate = 2\n" +
			"kombu_missing_consumer_retry_timeout = 5\nkombu_compression = gzip\nrabbit_transient_queues_ttl = 600\n" +
			"enable_cancel_on_failover = 1\nuse_queue_manager = 1\nhostname = x\n",
			"ndp.ini:3: [DEFAULT] use_journal has no effect here: under systemd the journal reads standard error, where the log goes unless log_file or log_dir names a file; with use_stderr it goes to both\n" +
				"ndp.ini:2: [DEFAULT] use_syslog has no effect here: the log goes to a file or to standard error; under systemd the journal reads that, and hands it on to syslog if told to\n" +
				"ndp.ini:5: [oslo_messaging_rabbit] heartbeat_rate has no effect here: how often to look for heartbeats follows from heartbeat_timeout_threshold\n" +
				"ndp.ini:6: [oslo_messaging_rabbit] kombu_missing_consumer_retry_timeout has no effect here: it is about replies, and this daemon answers no calls\n" +
				"ndp.ini:7: [oslo_messaging_rabbit] kombu_compression has no effect here: what is sent is not compressed; compressed messages that come in are read\n" +
				"ndp.ini:8: [oslo_messaging_rabbit] rabbit_transient_queues_ttl has no effect here: how long the broker keeps the daemon's queues is [ndp_proxy] queue_expires\n" +
				"ndp.ini:9: [oslo_messaging_rabbit] enable_cancel_on_failover has no effect here: it is about mirrored queues, which the daemon's are not\n" +
				"ndp.ini:10: [oslo_messaging_rabbit] use_queue_manager has no effect here: the daemon's queues have names of their own"},
		{"not obeyed, at its default", "[DEFAULT]\nuse_syslog = no\n[oslo_messaging_rabbit]\nheartbeat_rate = 3\nkombu_compression =\n", ""},
		{"not obeyed, in the URL", "[DEFAULT]\ntransport_url = rabbit://u:p@h/?heartbeat_rate=9&processname=x\n",
			"ndp.ini:2 (transport_url): [oslo_messaging_rabbit] heartbeat_rate has no effect here: how often to look for heartbeats follows from heartbeat_timeout_threshold"},
		{"not obeyed, and no broker", "[ndp_proxy]\nsource = file\n[DEFAULT]\nhost = my host\n[oslo_messaging_rabbit]\nheartbeat_rate = 9\n", ""},
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

func TestRefusal(t *testing.T) {
	const broker = "[DEFAULT]\ntransport_url = rabbit://u:p@h/\n"
	for _, tc := range []struct{ name, text, want string }{
		{"no extension", "[agent]\nextensions = port_forwarding\n", ""},
		{"the extension", "[agent]\nextensions = port_forwarding, ndp_proxy\n", "ndp.ini:2: [agent] extensions: names ndp_proxy, so the L3 agent"},
		{"told to start", "[agent]\nextensions = ndp_proxy\n[ndp_proxy]\nbeside_extension = true\n", ""},
		{"without Neutron", "[agent]\nextensions = ndp_proxy\n[ndp_proxy]\nsource = file\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ndp.ini")
			if err := os.WriteFile(path, []byte(tc.text+broker), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, _, err := Load(Args{Sources: []Source{File(path)}, Defaults: []Source{}, Hostname: os.Hostname})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := cfg.Refusal(); err != nil {
				got = strings.TrimPrefix(err.Error(), filepath.Dir(path)+"/")
			}
			if !strings.HasPrefix(got, tc.want) || tc.want == "" && got != "" {
				t.Errorf("refused with %q, want %q", got, tc.want)
			}
		})
	}
}
