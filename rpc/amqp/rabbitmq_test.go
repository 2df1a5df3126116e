//go:build rabbitmq

package amqp_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/secret"
	"neutron-ndp-proxy-agent/test/rabbit"
)

var broker *rabbit.Broker

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "rabbit-amqp-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if broker, err = rabbit.New(dir, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		broker.Close()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// config is a connection to a fresh virtual host, impatient.
func config(t *testing.T) amqp.Config {
	t.Helper()
	vhost, _ := broker.VHost(t)
	return amqp.Config{
		Hosts: []amqp.Endpoint{{Host: broker.Host, Port: broker.Port, User: rabbit.User, Password: secret.New(rabbit.Password)}},
		VHost: vhost, Heartbeat: 60 * time.Second, ConnectionName: "tester:" + t.Name(), Product: "tester",
		Retry:       amqp.Retry{Interval: 50 * time.Millisecond, Backoff: 50 * time.Millisecond, Max: 300 * time.Millisecond},
		DialTimeout: 2 * time.Second, OpTimeout: 2 * time.Second,
	}
}

// run runs a connection until the test is over.
func run(t *testing.T, cfg amqp.Config, subs ...amqp.Subscription) *amqp.Conn {
	t.Helper()
	c, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subs {
		c.Subscribe(s)
	}
	runConn(t, c)
	return c
}

func runConn(t *testing.T, c *amqp.Conn) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("Run did not return within 5s of its context's end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// box is a subscription that collects.
type box struct {
	queue    string
	mu       sync.Mutex
	messages []string
	ups      []string
	downs    []error
	hold     bool // do not acknowledge
}

func (b *box) sub(bindings ...amqp.Binding) amqp.Subscription {
	return amqp.Subscription{
		Queue:    amqp.Queue{Name: b.queue, Args: map[string]any{"x-expires": int64(60000)}},
		Bindings: bindings, Purge: true, Prefetch: 10,
		Deliver: func(d amqp.Delivery) {
			b.mu.Lock()
			b.messages = append(b.messages, string(d.Body))
			hold := b.hold
			b.mu.Unlock()
			if !hold {
				_ = d.Ack()
			}
		},
		Up:   func(e string) { b.mu.Lock(); b.ups = append(b.ups, e); b.mu.Unlock() },
		Down: func(err error) { b.mu.Lock(); b.downs = append(b.downs, err); b.mu.Unlock() },
	}
}

func (b *box) count() (messages, ups, downs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages), len(b.ups), len(b.downs)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 15s: %s", what)
		}
	}
}

func (b *box) waitUp(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d times subscribed", n), func() bool { _, ups, _ := b.count(); return ups >= n })
}

// plain is a channel on a connection without any of our code.
func plain(t *testing.T, cfg amqp.Config) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.DialConfig(fmt.Sprintf("amqp://%s:%s@%s:%d/", rabbit.User, rabbit.Password, broker.Host, broker.Port),
		amqp091.Config{Vhost: cfg.VHost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func publish(c *amqp.Conn, limit time.Duration, exchange, key, body string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return c.Publish(ctx, amqp.Message{Exchange: exchange, Key: key, Body: []byte(body), Mandatory: true})
}

func watched(level zapcore.Level) (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return zap.New(core), logs
}
