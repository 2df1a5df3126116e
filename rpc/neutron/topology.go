package neutron

import (
	"time"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Topics, methods and versions as captured; see testdata/wire/README.md.
const (
	topicL3Agent  = "l3_agent"
	topicL3Server = "q-l3-plugin"
	topicServer   = "q-plugin"
	topicReports  = "q-reports-plugin"
	topicNDPProxy = "neutron-vo-NDPProxy-1.0"
	topicPort     = "neutron-vo-Port-" // and the version
)

// QueueName is the name of the queue that the agent of this host consumes.
func QueueName(host string) string { return DefaultBinary + "." + host }

// fanout is the fanout exchange of a topic.
func (q Queues) fanout(topic string) amqp.Exchange {
	// As oslo.messaging declares it; transient unless the cloud's transient
	// queues are quorum queues or its fanouts are streams.
	return amqp.Exchange{Name: topic + "_fanout", Kind: "fanout", AutoDelete: true,
		Durable: q.TransientQuorum || q.StreamFanout}
}

// control is the control exchange.
func (q Queues) control(name string) amqp.Exchange {
	return amqp.Exchange{Name: name, Kind: "topic", Durable: q.Durable || q.Quorum, AutoDelete: q.AutoDelete}
}

// bindings is what an L3 agent's queues are bound to, as far as it concerns
// routers and NDP proxies. The bare key l3_agent is left out: what is sent
// there goes to any one agent of the cloud, and nothing we use is.
func bindings(cfg Config) []amqp.Binding {
	return []amqp.Binding{
		{Exchange: cfg.Queues.control(cfg.ControlExchange), Key: topicL3Agent + "." + cfg.Host},
		{Exchange: cfg.Queues.fanout(topicL3Agent), Key: topicL3Agent},
		{Exchange: cfg.Queues.fanout(topicNDPProxy), Key: topicNDPProxy},
	}
}

// tapQueue is our own queue. It follows the cloud's choice for topic queues,
// because it has a stable name and outlives a restart, and is deleted by the
// broker when the agent has been gone for long.
func (q Queues) tapQueue(host string) amqp.Queue {
	return amqp.Queue{Name: QueueName(host), Durable: q.Durable || q.Quorum || q.TransientQuorum,
		Args: q.args(q.Quorum || q.TransientQuorum)}
}

// replyQueue is the shape of reply queues; the name is the oslo client's.
func (q Queues) replyQueue() amqp.Queue {
	return amqp.Queue{Durable: q.TransientQuorum, Args: q.args(q.TransientQuorum)}
}

func (q Queues) args(quorum bool) map[string]any {
	a := map[string]any{"x-expires": int64(q.Expires / time.Millisecond)}
	if !quorum {
		return a
	}
	a["x-queue-type"] = "quorum"
	for key, v := range map[string]int{
		"x-delivery-limit": q.DeliveryLimit, "x-max-in-memory-length": q.MaxMemoryLength,
		"x-max-in-memory-bytes": q.MaxMemoryBytes,
	} {
		if v > 0 {
			a[key] = int64(v)
		}
	}
	return a
}
