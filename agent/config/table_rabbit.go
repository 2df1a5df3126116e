package config

import (
	"math"
	"time"
)

const groupRabbit = "oslo_messaging_rabbit"

// rabbitRows is [oslo_messaging_rabbit] as far as it changes what a client
// does: oslo_messaging/_drivers/impl_rabbit.py and amqp.py, 14.0 (Zed) to 18.1,
// with the names and groups that any of these still honours. Two defaults
// changed on the way; we take the newer one (ssl_enforce_hostname_verification
// was false before 2026, heartbeat_rate was 2 before 2023).
//
// rabbit_durable_queues is absent on purpose: oslo.messaging stopped reading it
// in 9.0 (2018), so obeying a line left over from then would make exchanges
// durable that everybody else declares transient.
func rabbitRows() []row {
	opt := func(option string, kind Kind, def string, field func(*Rabbit) any) row {
		return row{
			Option: Option{Group: groupRabbit, Name: option, Kind: kind, Default: def},
			field:  func(t *target) any { return field(&t.Rabbit) },
		}
	}
	ignoredOpt := func(option string, kind Kind, def string, field func(*ignored) any) row {
		return row{
			Option: Option{Group: groupRabbit, Name: option, Kind: kind, Default: def},
			field:  func(t *target) any { return field(&t.ignored) },
		}
	}
	from := func(r row, least float64) row {
		r.Range = &Range{least, math.Inf(1)}
		return r
	}
	seconds := func(r row, least float64) row {
		r.Unit = time.Second
		return from(r, least)
	}
	also := func(r row, group, option string) row {
		r.aliases = append(r.aliases, name{group, option})
		return r
	}
	unused := func(r row, why string) row { r.unused = why; return r }
	login := opt("rabbit_login_method", Choice, "AMQPLAIN", func(r *Rabbit) any { return &r.LoginMethod })
	login.Choices = []ChoiceOption{{Value: "PLAIN"}, {Value: "AMQPLAIN"}, {Value: "EXTERNAL"}}
	failover := opt("kombu_failover_strategy", Choice, "round-robin", func(r *Rabbit) any { return &r.FailoverStrategy })
	failover.Choices = []ChoiceOption{{Value: "round-robin"}, {Value: "shuffle"}}

	return []row{
		also(opt("ssl", Bool, "false", func(r *Rabbit) any { return &r.SSL }), groupRabbit, "rabbit_use_ssl"),
		also(opt("ssl_version", String, "", func(r *Rabbit) any { return &r.SSLVersion }), groupRabbit, "kombu_ssl_version"),
		also(opt("ssl_key_file", Path, "", func(r *Rabbit) any { return &r.SSLKeyFile }), groupRabbit, "kombu_ssl_keyfile"),
		also(opt("ssl_cert_file", Path, "", func(r *Rabbit) any { return &r.SSLCertFile }), groupRabbit, "kombu_ssl_certfile"),
		also(opt("ssl_ca_file", Path, "", func(r *Rabbit) any { return &r.SSLCAFile }), groupRabbit, "kombu_ssl_ca_certs"),
		opt("ssl_enforce_hostname_verification", Bool, "true", func(r *Rabbit) any { return &r.SSLVerifyHostname }),
		opt("ssl_enforce_fips_mode", Bool, "false", func(r *Rabbit) any { return &r.SSLEnforceFIPS }),

		seconds(opt("heartbeat_timeout_threshold", Int, "60", func(r *Rabbit) any { return &r.HeartbeatTimeout }), 0),

		also(login, groupDefault, "rabbit_login_method"),
		failover,
		seconds(opt("rabbit_retry_interval", Int, "1", func(r *Rabbit) any { return &r.RetryInterval }), 0),
		also(seconds(opt("rabbit_retry_backoff", Int, "2", func(r *Rabbit) any { return &r.RetryBackoff }), 0),
			groupDefault, "rabbit_retry_backoff"),
		seconds(opt("rabbit_interval_max", Int, "30", func(r *Rabbit) any { return &r.RetryMax }), 0),
		// Newer oslo.messaging refuses more than 4.5, nine tenths of its longest
		// wait for an ack. Nothing here waits for one, so what an older one
		// takes is taken.
		also(seconds(opt("kombu_reconnect_delay", Float, "1.0", func(r *Rabbit) any { return &r.ReconnectDelay }), 0),
			groupDefault, "kombu_reconnect_delay"),
		seconds(opt("kombu_reconnect_splay", Float, "0.0", func(r *Rabbit) any { return &r.ReconnectSplay }), 0),

		from(opt("rabbit_qos_prefetch_count", Int, "0", func(r *Rabbit) any { return &r.PrefetchCount }), 0),

		opt("amqp_durable_queues", Bool, "false", func(r *Rabbit) any { return &r.DurableQueues }),
		also(opt("amqp_auto_delete", Bool, "false", func(r *Rabbit) any { return &r.AutoDelete }),
			groupDefault, "amqp_auto_delete"),
		also(opt("rabbit_ha_queues", Bool, "false", func(r *Rabbit) any { return &r.HAQueues }),
			groupDefault, "rabbit_ha_queues"),
		opt("rabbit_quorum_queue", Bool, "false", func(r *Rabbit) any { return &r.QuorumQueue }),
		from(opt("rabbit_quorum_delivery_limit", Int, "0", func(r *Rabbit) any { return &r.QuorumDeliveryLimit }), 0),
		also(from(opt("rabbit_quorum_max_memory_length", Int, "0",
			func(r *Rabbit) any { return &r.QuorumMemoryLength }), 0), groupRabbit, "rabbit_quroum_max_memory_length"),
		also(from(opt("rabbit_quorum_max_memory_bytes", Int, "0",
			func(r *Rabbit) any { return &r.QuorumMemoryBytes }), 0), groupRabbit, "rabbit_quroum_max_memory_bytes"),
		opt("rabbit_transient_quorum_queue", Bool, "false", func(r *Rabbit) any { return &r.TransientQuorumQueue }),
		opt("rabbit_stream_fanout", Bool, "false", func(r *Rabbit) any { return &r.StreamFanout }),

		unused(from(ignoredOpt("heartbeat_rate", Int, "3", func(i *ignored) any { return &i.heartbeatRate }), 1),
			"how often to look for heartbeats follows from heartbeat_timeout_threshold"),
		unused(also(seconds(ignoredOpt("kombu_missing_consumer_retry_timeout", Int, "60",
			func(i *ignored) any { return &i.missingConsumerRetry }), 0), groupRabbit, "kombu_reconnect_timeout"),
			"it is about replies, and this daemon answers no calls"),
		unused(ignoredOpt("kombu_compression", String, "", func(i *ignored) any { return &i.compression }),
			"what is sent is not compressed; compressed messages that come in are read"),
		unused(seconds(ignoredOpt("rabbit_transient_queues_ttl", Int, "1800",
			func(i *ignored) any { return &i.transientQueuesTTL }), 0),
			"how long the broker keeps the daemon's queues is [ndp_proxy] queue_expires"),
		unused(ignoredOpt("enable_cancel_on_failover", Bool, "false", func(i *ignored) any { return &i.cancelOnFailover }),
			"it is about mirrored queues, which the daemon's are not"),
		unused(ignoredOpt("use_queue_manager", Bool, "false", func(i *ignored) any { return &i.queueManager }),
			"the daemon's queues have names of their own"),
	}
}

// unusedRabbitOptions are the other options of the group that oslo.messaging
// accepts, in a transport_url's query too. They are about Python's threads and
// pools or the names of its queues, or have no effect there either.
func unusedRabbitOptions() []string {
	return []string{
		"heartbeat_in_pthread", "direct_mandatory_flag", "rpc_conn_pool_size", "conn_pool_min_size", "conn_pool_ttl",
		"hostname", "processname",
	}
}
