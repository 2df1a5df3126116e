package neutron

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

func TestConfigChecked(t *testing.T) {
	broker := amqp.Config{Hosts: []amqp.Endpoint{{Host: "mq"}}}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Broker: broker}, "host name is empty"},
		{Config{Broker: broker, Host: "a#"}, "routing key"},
		{Config{Broker: broker, Host: "a b"}, "routing key"},
		{Config{Host: "h"}, "no broker"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v): %v, want %s", c.cfg, err, c.want)
		}
	}
}

// What is declared for each of the cloud's choices.
func TestTopology(t *testing.T) {
	expires := map[string]any{"x-expires": int64(1800000)}
	quorum := map[string]any{"x-expires": int64(1800000), "x-queue-type": "quorum", "x-delivery-limit": int64(3)}
	type shape struct{ Control, Fanout, Tap, Reply bool }
	for _, c := range []struct {
		q          Queues
		durable    shape
		tap, reply map[string]any
	}{
		{Queues{}, shape{}, expires, expires},
		{Queues{Durable: true}, shape{Control: true, Tap: true}, expires, expires},
		{Queues{Quorum: true, DeliveryLimit: 3}, shape{Control: true, Tap: true}, quorum, expires},
		{Queues{Quorum: true, TransientQuorum: true, DeliveryLimit: 3}, shape{true, true, true, true}, quorum, quorum},
		{Queues{StreamFanout: true}, shape{Fanout: true}, expires, expires},
	} {
		c.q.Expires = DefaultExpires
		cfg := Config{Host: "h1", ControlExchange: "neutron", Queues: c.q}
		b := bindings(cfg)
		tap, reply := c.q.tapQueue("h1"), c.q.replyQueue()
		got := shape{b[0].Exchange.Durable, b[1].Exchange.Durable && b[2].Exchange.Durable, tap.Durable, reply.Durable}
		if got != c.durable {
			t.Errorf("%+v: durable %+v, want %+v", c.q, got, c.durable)
		}
		if diff := cmp.Diff([]map[string]any{c.tap, c.reply}, []map[string]any{tap.Args, reply.Args}); diff != "" {
			t.Errorf("%+v: arguments (-want +got):\n%s", c.q, diff)
		}
		if tap.Name != "neutron-ndp-proxy-agent.h1" || !b[1].Exchange.AutoDelete || !b[2].Exchange.AutoDelete || b[0].Exchange.AutoDelete {
			t.Errorf("%+v: queue %s, bindings %+v", c.q, tap.Name, b)
		}
	}
}

// deliver hands a message to the client's own queue and tells whether it was
// acknowledged.
func deliver(s *server, body string) *bool {
	acked := new(bool)
	s.subs[1].Deliver(amqp.NewDelivery([]byte(body), someTime, func() error { *acked = true; return nil }))
	return acked
}

func next(t *testing.T, c *Client) Event {
	t.Helper()
	select {
	case e := <-c.Events():
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("no event")
		return nil
	}
}

// Events come in order; a message is acknowledged when its event was received,
// not before; a repeat and an unknown method are acknowledged at once and give
// no event; a garbled message gives one and stops nothing.
func TestEventsAndAcknowledgement(t *testing.T) {
	s, c := newTestClient(t, Config{}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { c.events.run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	s.subs[1].Up("mq:5672")
	created := readCapture(t, "13-push-ndpproxy-created").Body
	first := deliver(s, created)
	repeat := deliver(s, created)
	ignored := deliver(s, readCapture(t, "63-add_arp_entry").Body)
	garbled := deliver(s, "\x00\x1b")
	last := deliver(s, readCapture(t, "08-routers_updated").Body)

	if e, ok := next(t, c).(Subscribed); !ok || e.Endpoint != "mq:5672" || e.Received != someTime {
		t.Fatalf("%+v, want Subscribed", e)
	}
	time.Sleep(20 * time.Millisecond)
	if *first || !*repeat || !*ignored || *garbled || *last {
		t.Errorf("acknowledged before received: %v, repeat %v, ignored %v, garbled %v, last %v",
			*first, *repeat, *ignored, *garbled, *last)
	}
	if e, ok := next(t, c).(ProxiesPushed); !ok || len(e.Proxies) != 1 || !strings.HasPrefix(e.RequestID, "req-") || e.Received != someTime {
		t.Errorf("%+v, want ProxiesPushed", e)
	}
	g, ok := next(t, c).(Garbled)
	if !ok || g.Queue != "neutron-ndp-proxy-agent.lab-host1" || !strings.Contains(g.Err.Error(), g.Queue) ||
		strings.ContainsAny(g.Err.Error(), "\x00\x1b") {
		t.Errorf("%+v, want Garbled", g)
	}
	if e, ok := next(t, c).(RoutersUpdated); !ok || len(e.IDs) != 1 {
		t.Errorf("%+v, want RoutersUpdated", e)
	}
	s.subs[1].Down(errors.New("gone"))
	if e, ok := next(t, c).(Disconnected); !ok || e.Err == nil {
		t.Errorf("%+v, want Disconnected", e)
	}
	// The pump acknowledges after the hand-over; the Disconnected behind it
	// has been received, so it is through.
	if !*first || !*garbled || !*last {
		t.Errorf("not acknowledged: %v %v %v", *first, *garbled, *last)
	}
}

// The receiver learns that a message was delivered before.
func TestRedelivered(t *testing.T) {
	for _, again := range []bool{false, true} {
		s, c := newTestClient(t, Config{}, nil)
		for _, body := range []string{readCapture(t, "13-push-ndpproxy-created").Body, "rubbish"} {
			d := amqp.NewDelivery([]byte(body), someTime, nil)
			d.Redelivered = again
			s.subs[1].Deliver(d)
			it, ok := c.events.take()
			if !ok || it.event.Head().Redelivered != again {
				t.Errorf("redelivered %v: event %+v", again, it.event)
			}
		}
	}
}

// Whatever waits when a new subscription begins is covered by its full sync.
func TestSubscribedSupersedes(t *testing.T) {
	s, c := newTestClient(t, Config{}, nil)
	s.subs[1].Up("a")
	deliver(s, readCapture(t, "08-routers_updated").Body)
	s.subs[1].Down(errors.New("gone"))
	s.subs[1].Up("b")
	deliver(s, readCapture(t, "11-router_deleted").Body)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { c.events.run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	if e, ok := next(t, c).(Subscribed); !ok || e.Endpoint != "b" {
		t.Errorf("%+v, want the last Subscribed", e)
	}
	if e, ok := next(t, c).(RouterDeleted); !ok {
		t.Errorf("%+v, want RouterDeleted", e)
	}
	if n := c.counts.superseded.Load(); n != 3 {
		t.Errorf("%d superseded, want 3", n)
	}
}

// An orderly stop is not reported as a loss.
func TestStopIsNoDisconnect(t *testing.T) {
	s, c := newTestClient(t, Config{}, nil)
	s.subs[1].Up("a")
	s.subs[1].Down(context.Canceled)
	if n := len(c.events.items); n != 1 {
		t.Errorf("%d events waiting, want the Subscribed only", n)
	}
}
