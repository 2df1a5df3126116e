package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/config"
)

// Every field of the client's configuration is filled in from an option, or is
// listed here with the reason why not: an option that is read and goes nowhere
// would be obeyed by nobody.
func TestEveryOptionReachesTheClient(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "all.ini")
	put(t, ini, `[DEFAULT]
host = h
transport_url = rabbit://u:p@broker:1/v
control_exchange = x
[oslo_messaging_rabbit]
ssl = true
rabbit_login_method = PLAIN
kombu_failover_strategy = shuffle
heartbeat_timeout_threshold = 7
rabbit_retry_interval = 2
kombu_reconnect_delay = 1.5
kombu_reconnect_splay = 2.5
amqp_durable_queues = true
amqp_auto_delete = true
rabbit_quorum_queue = true
rabbit_transient_quorum_queue = true
rabbit_stream_fanout = true
rabbit_qos_prefetch_count = 9
rabbit_quorum_delivery_limit = 3
rabbit_quorum_max_memory_length = 4
rabbit_quorum_max_memory_bytes = 5
`)
	cfg, _, err := config.Load(config.Args{
		Sources: []config.Source{config.File(ini)}, Defaults: []config.Source{}, Hostname: os.Hostname,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := clientConfig(cfg, zap.NewNop())
	notOptions := map[string]bool{
		"ProxyChunk": true, "PortChunk": true, "Now": true, "Rand": true, // the client's own choice
		"Called":      true, // the metrics': newNeutronFeed
		"WantPort":    true, // of the inventory, according to agent_mode: newNeutronFeed
		"DialTimeout": true, "OpTimeout": true,
		"ConnectionName": true, "Product": true, "Broker.Version": true, // made from Host and Version
	}
	for prefix, v := range map[string]reflect.Value{
		"": reflect.ValueOf(got), "Broker.": reflect.ValueOf(got.Broker), "Queues.": reflect.ValueOf(got.Queues),
		"Retry.": reflect.ValueOf(got.Broker.Retry), "Hosts.": reflect.ValueOf(got.Broker.Hosts[0]),
	} {
		for i := range v.NumField() {
			n := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !notOptions[n] && !notOptions[prefix+n] {
				t.Errorf("%s%s is filled in by no option", prefix, n)
			}
		}
	}
	if b := got.Broker; b.ReconnectDelay != 1500*time.Millisecond || b.ReconnectSplay != 2500*time.Millisecond {
		t.Errorf("reconnect delay %v, splay %v", b.ReconnectDelay, b.ReconnectSplay)
	}
}
