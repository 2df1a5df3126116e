//go:build rabbitmq

package neutron_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// Our queue is deleted: Disconnected, Subscribed, on the same connection.
func TestQueueDeletedUnderUs(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	deleteQueue(t, url, neutron.QueueName(testHost))
	if d, _ := await[neutron.Disconnected](t, c); !strings.Contains(d.Err.Error(), neutron.QueueName(testHost)) {
		t.Errorf("%v", d.Err)
	}
	await[neutron.Subscribed](t, c)
	must(t, s.Push(neutron.Created, proxyNo(0)))
	await[neutron.ProxiesPushed](t, c)
	if st := c.Status(); st.Losses != 0 || !st.Subscribed {
		t.Errorf("status %+v", st)
	}
}

// The reply queue is deleted: calls under way fail at once, the next one works.
func TestReplyQueueDeleted(t *testing.T) {
	vhost, url := broker.VHost(t)
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	for name := range broker.Queues(t, vhost) {
		if strings.HasPrefix(name, "reply_") {
			deleteQueue(t, url, name)
		}
	}
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.SetRouter(testHost, neutron.Router{ID: "router-1", AdminStateUp: true})
	if ids, err := c.RouterIDs(context.Background()); err != nil || len(ids) != 1 {
		// The cancellation and the call may cross.
		if !errors.Is(err, amqp.ErrConnectionLost) {
			t.Fatalf("%v, %v", ids, err)
		}
		if _, err = c.RouterIDs(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func deleteQueue(t *testing.T, url, name string) {
	t.Helper()
	conn, err := amqp091.Dial(url)
	must(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	must(t, err)
	_, err = ch.QueueDelete(name, false, false, false)
	must(t, err)
}

// Whatever the cloud chose, and also when it chose otherwise before.
func TestQueueTypes(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{Durable: true, FanoutDurable: true})
	s.SetL3Agent(testHost, true)
	must(t, s.DeclareFanouts())
	for i, q := range []neutron.Queues{
		{}, {Durable: true}, {Quorum: true, DeliveryLimit: 5}, {Quorum: true, TransientQuorum: true},
		{StreamFanout: true}, {Expires: time.Minute},
	} {
		cfg := brokerConfig(vhost)
		cfg.Queues = q
		c, stop := runClient(t, cfg)
		await[neutron.Subscribed](t, c)
		must(t, s.Push(neutron.Created, proxyNo(i)))
		if e, _ := await[neutron.ProxiesPushed](t, c); e.Proxies[0].ID != proxyNo(i).ID {
			t.Errorf("%+v: %+v", q, e)
		}
		if _, err := c.RouterIDs(context.Background()); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
		got := broker.Queues(t, vhost)[neutron.QueueName(testHost)]
		quorum := q.Quorum || q.TransientQuorum
		if got.Durable != (q.Durable || quorum) || (got.Arguments["x-queue-type"] == "quorum") != quorum {
			t.Errorf("%+v: queue %+v", q, got)
		}
		stop()
	}
}
