//go:build rabbitmq

package neutron_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// A garbled message on each queue: one clear error that names the queue, and
// the rest goes on.
func TestGarbled(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.SetRouter(testHost, neutron.Router{ID: "router-1", AdminStateUp: true})
	cfg := brokerConfig(vhost)
	core, logs := observer.New(zap.ErrorLevel)
	cfg.Logger = zap.New(core)
	c, _ := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	own := neutron.QueueName(testHost)
	for _, m := range []struct{ exchange, key, body string }{
		{"neutron", "l3_agent." + testHost, "\x00\x1b[2Jrubbish\xff"},
		{"l3_agent_fanout", "", `{"oslo.version": "2.0", "oslo.message": "{\"method\": \"router_deleted\", \"args\": {}}"}`},
		{"neutron-vo-NDPProxy-1.0_fanout", "", `{"oslo.version": "1.0", "oslo.message": "{}"}`},
	} {
		must(t, s.Raw(m.exchange, m.key, []byte(m.body)))
		g, before := await[neutron.Garbled](t, c)
		if len(before) > 0 || g.Queue != own || !strings.Contains(g.Err.Error(), own) || !strings.Contains(g.Err.Error(), m.exchange) ||
			strings.ContainsAny(g.Err.Error(), "\x00\x1b\n") {
			t.Errorf("%+v after %s", g, kinds(before))
		}
	}
	reply := ""
	for name := range broker.Queues(t, vhost) {
		if strings.HasPrefix(name, "reply_") {
			must(t, s.Raw("", name, []byte("rubbish")))
			reply = name
		}
	}
	eventually(t, "garbled reply counted", func() bool { return c.Status().GarbledReplies == 1 })
	if ids, err := c.RouterIDs(context.Background()); err != nil || len(ids) != 1 {
		t.Errorf("call: %v, %v", ids, err)
	}
	must(t, s.Push(neutron.Created, proxyNo(0)))
	await[neutron.ProxiesPushed](t, c)
	if n := logs.Len(); n != 4 || logs.FilterField(zap.String("queue", own)).Len() != 3 || reply == "" {
		t.Errorf("%d error lines: %v", n, logs.All())
	}
}

// A cloud that compresses its messages (kombu_compression).
func TestCompressed(t *testing.T) {
	vhost, url := broker.VHost(t)
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err := w.Write(neutrontest.Envelope(map[string]any{"method": "router_deleted", "args": map[string]string{"router_id": "a"}}))
	must(t, err)
	must(t, w.Close())
	conn, err := amqp091.Dial(url)
	must(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	must(t, err)
	must(t, ch.PublishWithContext(context.Background(), "l3_agent_fanout", "", false, false,
		amqp091.Publishing{Body: z.Bytes(), Headers: amqp091.Table{"compression": "application/x-gzip"}}))
	if e, before := await[neutron.RouterDeleted](t, c); e.ID != "a" || len(before) > 0 {
		t.Errorf("%+v after %s", e, kinds(before))
	}
}

// A message that is sent twice is one event.
func TestDuplicates(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	body := neutrontest.Envelope(map[string]any{"method": "router_deleted", "args": map[string]string{"router_id": "a"}, "_unique_id": "1"})
	for range 3 {
		must(t, s.Raw("l3_agent_fanout", "", body))
	}
	must(t, s.RouterDeleted("b"))
	if e, _ := await[neutron.RouterDeleted](t, c); e.ID != "a" {
		t.Errorf("%+v", e)
	}
	if e, _ := await[neutron.RouterDeleted](t, c); e.ID != "b" {
		t.Errorf("%+v, want b", e)
	}
	if st := c.Status(); st.Duplicates != 2 {
		t.Errorf("status %+v", st)
	}
}
