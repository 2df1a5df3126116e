//go:build rabbitmq

package amqp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/test/rabbit"
)

// Exchanges of whatever shape are used as they are, missing ones are made as
// told.
func TestExchangesAsTheyExist(t *testing.T) {
	cfg := config(t)
	ch := plain(t, cfg)
	if err := ch.ExchangeDeclare("control", "topic", true, true, false, false, amqp091.Table{"alternate-exchange": "amq.fanout"}); err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("all", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub(
		amqp.Binding{Exchange: amqp.Exchange{Name: "control", Kind: "topic"}, Key: "k"},
		amqp.Binding{Exchange: amqp.Exchange{Name: "all", Kind: "fanout", AutoDelete: true}, Key: "all"},
		amqp.Binding{Exchange: amqp.Exchange{Name: "new", Kind: "fanout", AutoDelete: true, Durable: true}, Key: "new"},
	))
	b.waitUp(t, 1)
	for _, x := range []string{"control", "all", "new"} {
		if err := publish(c, 5*time.Second, x, "k", x); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "a message from each", func() bool { n, _, _ := b.count(); return n == 3 })
	got := broker.Exchanges(t, cfg.VHost)
	for _, want := range []rabbit.Exchange{
		{Name: "control", Type: "topic", Durable: true, AutoDelete: true},
		{Name: "all", Type: "fanout", Durable: true},
		{Name: "new", Type: "fanout", Durable: true, AutoDelete: true},
	} {
		if got[want.Name] != want {
			t.Errorf("exchange %+v, want %+v", got[want.Name], want)
		}
	}
}

// Our queue from before an option was changed is replaced, and the auto-delete
// exchange that it alone was bound to lives through that.
func TestQueueOfAnotherShape(t *testing.T) {
	cfg := config(t)
	ch := plain(t, cfg)
	if err := ch.ExchangeDeclare("all", "fanout", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("mine", true, false, false, false, amqp091.Table{"x-expires": int64(99000)}); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("mine", "all", "all", false, nil); err != nil {
		t.Fatal(err)
	}
	// A trace that the exchange is the same one and not a new one.
	if err := ch.ExchangeDeclare("up", "fanout", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeBind("all", "", "up", false, nil); err != nil {
		t.Fatal(err)
	}
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub(amqp.Binding{Exchange: amqp.Exchange{Name: "all", Kind: "fanout", AutoDelete: true}, Key: "all"}))
	b.waitUp(t, 1)
	q := broker.Queues(t, cfg.VHost)
	if len(q) != 1 || q["mine"].Durable || q["mine"].Arguments["x-expires"] != float64(60000) || q["mine"].AutoDelete || q["mine"].Exclusive {
		t.Errorf("queues %+v", q)
	}
	if err := publish(c, 5*time.Second, "up", "", "through both"); err != nil {
		t.Errorf("the exchange was deleted and made anew: %v", err)
	}
}

// The queue is deleted under us: told, set up again, told; the connection
// stays.
func TestQueueDeleted(t *testing.T) {
	cfg := config(t)
	b := &box{queue: "mine"}
	sub := b.sub()
	sub.Required = true
	c := run(t, cfg, sub)
	b.waitUp(t, 1)
	if _, err := plain(t, cfg).QueueDelete("mine", false, false, false); err != nil {
		t.Fatal(err)
	}
	b.waitUp(t, 2)
	if err := publish(c, 5*time.Second, "", "mine", "x"); err != nil {
		t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.downs) != 1 || !strings.Contains(b.downs[0].Error(), "cancelled the consumer") {
		t.Errorf("downs %v", b.downs)
	}
	if st := c.Status(); st.Losses != 0 || st.Connections != 1 {
		t.Errorf("status %+v", st)
	}
}

// A subscription that the broker refuses is reported once and tried again; the
// connection and the other subscription work.
func TestRefusedSubscription(t *testing.T) {
	cfg := config(t)
	broker.API(t, http.MethodPut, "/api/permissions/"+cfg.VHost+"/"+rabbit.User,
		map[string]string{"configure": "^(mine|amq\\.gen.*)$", "write": ".*", "read": ".*"}, nil)
	var logs *observer.ObservedLogs
	cfg.Logger, logs = watched(zap.WarnLevel)
	b, other := &box{queue: "mine"}, &box{queue: "forbidden"}
	c := run(t, cfg, other.sub(), b.sub())
	b.waitUp(t, 1)
	if err := publish(c, 5*time.Second, "", "mine", "x"); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second) // some more refusals
	if n := logs.FilterMessageSnippet("subscription failed").Len(); n != 1 {
		t.Errorf("%d lines about the refusal: %v", n, logs.All())
	}
	broker.API(t, http.MethodPut, "/api/permissions/"+cfg.VHost+"/"+rabbit.User,
		map[string]string{"configure": ".*", "write": ".*", "read": ".*"}, nil)
	other.waitUp(t, 1)
}

// Messages that were there before are purged, and no more than the prefetch is
// taken before it is acknowledged.
func TestPurgeAndPrefetch(t *testing.T) {
	cfg := config(t)
	ch := plain(t, cfg)
	if _, err := ch.QueueDeclare("mine", false, false, false, false, amqp091.Table{"x-expires": int64(60000)}); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for range 5 {
		if err := ch.PublishWithContext(ctx, "", "mine", false, false, amqp091.Publishing{Body: []byte("old")}); err != nil {
			t.Fatal(err)
		}
	}
	b := &box{queue: "mine", hold: true}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	for i := range 25 {
		if err := publish(c, 5*time.Second, "", "mine", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the prefetch", func() bool { n, _, _ := b.count(); return n == 10 })
	time.Sleep(200 * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := strings.Join(b.messages, " "); got != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("received %s", got)
	}
}

// The consumer of a connection that died without the broker noticing takes no
// message away from the new one.
func TestStaleConsumerTakesNothing(t *testing.T) {
	cfg := config(t)
	proxy := broker.NewProxy(t)
	stale := cfg
	stale.Hosts = []amqp.Endpoint{cfg.Hosts[0]}
	stale.Hosts[0].Port = proxy.Port
	old := &box{queue: "mine"}
	run(t, stale, old.sub())
	old.waitUp(t, 1)
	proxy.Freeze()
	later := time.Now().Add(2 * time.Second)
	cfg.Now = func() time.Time { return later }
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	for i := range 20 {
		if err := publish(c, 5*time.Second, "", "mine", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages", func() bool { n, _, _ := b.count(); return n == 20 })
}
