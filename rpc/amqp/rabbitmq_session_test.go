//go:build rabbitmq

package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// What becomes of a message, and that a bad one does not spoil the next.
func TestPublish(t *testing.T) {
	cfg := config(t)
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	if err := publish(c, 5*time.Second, "", "mine", "one"); err != nil {
		t.Error(err)
	}
	if err := publish(c, 5*time.Second, "", "nobody's", "two"); !errors.Is(err, amqp.ErrUnroutable) || !strings.Contains(err.Error(), "nobody's") {
		t.Errorf("unroutable: %v", err)
	}
	if err := publish(c, 5*time.Second, "no-such-exchange", "k", "three"); !errors.Is(err, amqp.ErrUnroutable) || !strings.Contains(err.Error(), "no-such-exchange") {
		t.Errorf("no exchange: %v", err)
	}
	if err := publish(c, 5*time.Second, "", "mine", "four"); err != nil {
		t.Error(err)
	}
	eventually(t, "two messages", func() bool { n, _, _ := b.count(); return n == 2 })
	if st := c.Status(); st.Losses != 0 {
		t.Errorf("the connection was lost %d times", st.Losses)
	}
}

// A late body is made when there is a connection to send it on.
func TestLateBody(t *testing.T) {
	c, err := amqp.New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	made, sent := make(chan time.Time, 1), make(chan error, 1)
	go func() {
		sent <- c.Publish(ctx, amqp.Message{Key: "nobody", Mandatory: true, Make: func() ([]byte, error) {
			made <- time.Now()
			return []byte("late"), nil
		}})
	}()
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	runConn(t, c)
	if err := <-sent; !errors.Is(err, amqp.ErrUnroutable) {
		t.Errorf("publish: %v, want the broker's return of this very body", err)
	}
	if at := <-made; at.Before(began) {
		t.Errorf("made %v before there was a connection", began.Sub(at))
	}
	why := errors.New("no body")
	if err := c.Publish(ctx, amqp.Message{Key: "nobody", Make: func() ([]byte, error) { return nil, why }}); !errors.Is(err, why) {
		t.Errorf("publish: %v, want %v", err, why)
	}
	if err := publish(c, 5*time.Second, "", "nobody", "x"); !errors.Is(err, amqp.ErrUnroutable) {
		t.Errorf("and after that: %v", err)
	}
}

// The operator's delay and splay are waited after each loss.
func TestReconnectDelay(t *testing.T) {
	cfg := config(t)
	proxy := broker.NewProxy(t)
	cfg.Hosts[0].Port = proxy.Port
	cfg.ReconnectDelay, cfg.ReconnectSplay, cfg.Rand = 700*time.Millisecond, time.Second, func() float64 { return 0.5 }
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	for i := range 2 {
		began, attempts := time.Now(), c.Status().Attempts
		proxy.Cut()
		eventually(t, "an attempt", func() bool { return c.Status().Attempts > attempts })
		if d := time.Since(began); d < 1200*time.Millisecond {
			t.Errorf("the attempt after loss %d came after %v", i+1, d)
		}
		b.waitUp(t, i+2)
	}
}

// The broker may go away in an orderly way, be killed, close us, or cut the
// wire: each time we are told, come back, set everything up and are told again.
func TestReconnect(t *testing.T) {
	cfg := config(t)
	proxy := broker.NewProxy(t)
	cfg.Hosts[0].Port = proxy.Port
	x := amqp.Exchange{Name: "things", Kind: "topic"}
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub(amqp.Binding{Exchange: x, Key: "k"}))
	restart := func(end func() error) func(*testing.T) {
		return func(t *testing.T) {
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if err := broker.Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, event := range []func(*testing.T){
		func(*testing.T) { proxy.Cut() },
		func(t *testing.T) { broker.CloseConnections(t, cfg.VHost, "told to") },
		restart(broker.Stop),
		restart(broker.Kill),
	} {
		b.waitUp(t, i+1)
		if err := publish(c, 10*time.Second, "things", "k", fmt.Sprint(i)); err != nil {
			t.Fatalf("before event %d: %v", i, err)
		}
		eventually(t, "message", func() bool { n, _, _ := b.count(); return n == i+1 })
		event(t)
		eventually(t, "Down", func() bool { _, _, downs := b.count(); return downs == i+1 })
	}
	b.waitUp(t, 5)
	if err := publish(c, 10*time.Second, "things", "k", "4"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all messages", func() bool { n, _, _ := b.count(); return n == 5 })
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, err := range b.downs {
		if !strings.Contains(err.Error(), cfg.Hosts[0].Addr()) || !strings.Contains(err.Error(), "mine") {
			t.Errorf("Down %d does not name broker and queue: %v", i, err)
		}
	}
	if !strings.Contains(b.downs[1].Error(), "CONNECTION_FORCED - told to") {
		t.Errorf("the broker's reason is lost: %v", b.downs[1])
	}
	if st := c.Status(); st.Connections != 5 || st.Losses != 4 {
		t.Errorf("status %+v", st)
	}
}

// A broker that goes silent: whatever is under way ends in time, the
// connection is given up, and a broker that talks again is used again.
func TestSilentBroker(t *testing.T) {
	cfg := config(t)
	cfg.OpTimeout, cfg.DialTimeout = 500*time.Millisecond, 500*time.Millisecond
	proxy := broker.NewProxy(t)
	cfg.Hosts[0].Port = proxy.Port
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	proxy.Freeze()
	began := time.Now()
	err := publish(c, 30*time.Second, "", "mine", "x")
	if d := time.Since(began); err == nil || d > 3*time.Second {
		t.Errorf("publish to a silent broker: %v after %v", err, d)
	}
	if !errors.Is(err, amqp.ErrConnectionLost) || !strings.Contains(err.Error(), "within 500ms") {
		t.Errorf("publish: %v", err)
	}
	eventually(t, "Down", func() bool { _, _, downs := b.count(); return downs == 1 })
	began = time.Now()
	err = publish(c, 300*time.Millisecond, "", "mine", "x")
	if d := time.Since(began); !errors.Is(err, amqp.ErrNotConnected) || d > 2*time.Second {
		t.Errorf("publish while disconnected: %v after %v", err, d)
	}
	proxy.Thaw()
	if err := publish(c, 10*time.Second, "", "mine", "y"); err != nil {
		t.Error(err)
	}
}

// A broker that hangs while we only listen is noticed by the heartbeat.
func TestSilentBrokerIsNoticedWhenIdle(t *testing.T) {
	cfg := config(t)
	cfg.Heartbeat, cfg.DialTimeout = 3*time.Second, 500*time.Millisecond
	proxy := broker.NewProxy(t)
	cfg.Hosts[0].Port = proxy.Port
	b := &box{queue: "mine"}
	run(t, cfg, b.sub())
	b.waitUp(t, 1)
	proxy.Freeze()
	began := time.Now()
	eventually(t, "Down", func() bool { _, _, downs := b.count(); return downs == 1 })
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("noticed after %v, threshold 3s", d)
	}
}

// A broker that hangs in the middle of the orderly stop does not hold us up.
func TestStopWhileSilent(t *testing.T) {
	cfg := config(t)
	proxy := broker.NewProxy(t)
	cfg.Hosts[0].Port = proxy.Port
	b := &box{queue: "mine"}
	sub := b.sub()
	sub.DeleteOnStop = true
	c, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Subscribe(sub)
	stop := runConn(t, c)
	b.waitUp(t, 1)
	proxy.Freeze()
	began := time.Now()
	stop()
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("stopped after %v", d)
	}
}

// A broker low on memory blocks publishers: calls fail in time and say so, the
// connection stays, and the end of the alarm is noticed.
func TestBlocked(t *testing.T) {
	cfg := config(t)
	b := &box{queue: "mine"}
	c := run(t, cfg, b.sub())
	b.waitUp(t, 1)
	if _, err := broker.Rabbitmqctl("set_vm_memory_high_watermark", "0.000001"); err != nil {
		t.Fatal(err)
	}
	normal := func() {
		if _, err := broker.Rabbitmqctl("set_vm_memory_high_watermark", "0.4"); err != nil {
			t.Error(err)
		}
	}
	defer normal()
	// The broker says so when the first message arrives.
	for i := range 2 {
		began := time.Now()
		err := publish(c, 3*time.Second, "", "mine", "x")
		if d := time.Since(began); !errors.Is(err, amqp.ErrBlocked) || d > 5*time.Second {
			t.Errorf("publish %d: %v after %v", i, err, d)
		}
		if err != nil && !strings.Contains(err.Error(), "memory") {
			t.Errorf("the reason is not named: %v", err)
		}
	}
	if st := c.Status(); st.Blocked == "" || !st.Connected || st.Losses != 0 {
		t.Errorf("status %+v", st)
	}
	began := time.Now()
	if err := errors.Join(c.Renew(t.Context(), "mine"), c.Bind(t.Context(), "mine", fanout("none"))); err != nil || time.Since(began) > time.Second {
		t.Errorf("bindings: %v after %v: nobody hears of them", err, time.Since(began))
	}
	normal()
	if err := publish(c, 10*time.Second, "", "mine", "y"); err != nil {
		t.Error(err)
	}
	if st := c.Status(); st.Blocked != "" {
		t.Errorf("status %+v", st)
	}
}

// Stopping leaves no goroutine and deletes what was to be deleted.
func TestStopLeavesNothing(t *testing.T) {
	cfg := config(t)
	leak := goleak.IgnoreCurrent()
	b, keep := &box{queue: "temporary"}, &box{queue: "kept"}
	sub := b.sub()
	sub.DeleteOnStop = true
	c, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Subscribe(sub)
	c.Subscribe(keep.sub())
	stop := runConn(t, c)
	b.waitUp(t, 1)
	keep.waitUp(t, 1)
	stop()
	goleak.VerifyNone(t, leak)
	q := broker.Queues(t, cfg.VHost)
	if _, ok := q["temporary"]; ok || len(q) != 1 {
		t.Errorf("queues after stop: %v", q)
	}
	if err := publish(c, 100*time.Millisecond, "", "kept", "x"); !errors.Is(err, amqp.ErrNotConnected) {
		t.Errorf("publish after stop: %v", err)
	}
	if err := c.Run(context.Background()); err == nil {
		t.Error("Run twice is no error")
	}
}
