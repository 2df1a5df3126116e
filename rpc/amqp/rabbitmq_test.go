//go:build rabbitmq

package amqp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/rpc/amqp"
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
		Hosts: []amqp.Endpoint{{Host: broker.Host, Port: broker.Port, User: rabbit.User, Password: rabbit.Password}},
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

// Each way to fail to connect: one error line that names the broker and says
// what is wrong, attempts are counted, no password, callers get the reason at
// their deadline.
func TestCannotConnect(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	for name, c := range map[string]struct {
		change func(*amqp.Config)
		want   string
		quick  bool // the first attempt is over when the caller gives up
	}{
		// RabbitMQ keeps a client with wrong credentials waiting for 3 s.
		"wrong password": {func(c *amqp.Config) { c.Hosts[0].Password, c.DialTimeout = "wr0ng-pass", 8*time.Second },
			`login as "neutron" refused (AMQPLAIN): wrong user or password`, false},
		"wrong user":         {func(c *amqp.Config) { c.Hosts[0].User, c.Login, c.DialTimeout = "nobody", amqp.Plain, 8*time.Second }, `login as "nobody" refused (PLAIN)`, false},
		"no such vhost":      {func(c *amqp.Config) { c.VHost = "nowhere" }, `virtual host "nowhere" as user "neutron"`, true},
		"no such mechanism":  {func(c *amqp.Config) { c.Login = amqp.External }, "does not offer login method EXTERNAL", true},
		"connection refused": {func(c *amqp.Config) { c.Hosts[0].Port = port(closed) }, "connection refused", true},
		"silent": {func(c *amqp.Config) { c.Hosts[0].Port, c.DialTimeout = port(silent), 300*time.Millisecond },
			"no answer in the AMQP handshake within 300ms", true},
		"no such host": {func(c *amqp.Config) { c.Hosts[0].Host = "no-such-host.invalid" }, "no-such-host.invalid", false},
		"plain to TLS": {func(c *amqp.Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}; c.DialTimeout = time.Second }, "TLS handshake", false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			c.change(&cfg)
			var logs *observer.ObservedLogs
			cfg.Logger, logs = watched(zap.WarnLevel)
			conn := run(t, cfg)
			began := time.Now()
			err := publish(conn, 700*time.Millisecond, "", "x", "y")
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("a call with 700ms ended after %v", d)
			}
			if !errors.Is(err, amqp.ErrNotConnected) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("publish: %v", err)
			}
			if c.quick && !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("publish: %v, want the reason: %s", err, c.want)
			}
			eventually(t, "several attempts", func() bool { return conn.Status().Attempts >= 3 })
			st := conn.Status()
			if st.Connected || st.LastError == nil || !strings.Contains(st.LastError.Error(), c.want) ||
				!strings.Contains(st.LastError.Error(), cfg.Hosts[0].Addr()) {
				t.Errorf("status %+v, want an error with %q and %q", st, c.want, cfg.Hosts[0].Addr())
			}
			// The text of a failure may change once while a broker dawdles; it
			// must not be said again and again.
			if n := logs.Len(); n < 1 || n > 2 {
				t.Errorf("%d lines for %d attempts: %v", n, st.Attempts, logs.All())
			}
			for _, l := range logs.All() {
				if text := fmt.Sprint(l.Message, l.ContextMap()); strings.Contains(text, "wr0ng-pass") || strings.Contains(text, rabbit.Password) {
					t.Errorf("password in the log: %s", text)
				}
			}
		})
	}
}

// A broker that does not answer is passed over for one that does.
func TestFailOver(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for _, strategy := range []amqp.Strategy{amqp.RoundRobin, amqp.Shuffle} {
		cfg := config(t)
		cfg.Failover = strategy
		cfg.Hosts = append([]amqp.Endpoint{{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}}, cfg.Hosts...)
		b := &box{queue: "q"}
		c := run(t, cfg, b.sub())
		b.waitUp(t, 1)
		if st := c.Status(); !st.Connected || st.Endpoint != cfg.Hosts[1].Addr() || st.LastError != nil {
			t.Errorf("%s: status %+v", strategy, st)
		}
	}
}

// The broker's list of connections shows who we are; all login methods and TLS
// work.
func TestLoginAndIdentity(t *testing.T) {
	cert, pool := selfSigned(t)
	tlsProxy := broker.NewTLSProxy(t, cert)
	for name, change := range map[string]func(*amqp.Config){
		"AMQPLAIN": func(*amqp.Config) {},
		"PLAIN":    func(c *amqp.Config) { c.Login = amqp.Plain },
		"TLS": func(c *amqp.Config) {
			c.Hosts[0].Host, c.Hosts[0].Port = "localhost", tlsProxy.Port
			c.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			change(&cfg)
			c := run(t, cfg)
			if err := publish(c, 5*time.Second, "", "nobody", "x"); !errors.Is(err, amqp.ErrUnroutable) {
				t.Fatalf("publish: %v, want ErrUnroutable", err)
			}
			var list []struct {
				VHost      string         `json:"vhost"`
				Properties map[string]any `json:"client_properties"`
				Mechanism  string         `json:"auth_mechanism"`
			}
			eventually(t, "connection listed", func() bool {
				broker.API(t, http.MethodGet, "/api/connections", nil, &list)
				for _, l := range list {
					if l.VHost == cfg.VHost && l.Properties["connection_name"] == cfg.ConnectionName && l.Properties["product"] == "tester" {
						return true
					}
				}
				return false
			})
		})
	}
	t.Run("untrusted", func(t *testing.T) {
		cfg := config(t)
		cfg.Hosts[0].Host, cfg.Hosts[0].Port = "localhost", tlsProxy.Port
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		c := run(t, cfg)
		err := publish(c, 3*time.Second, "", "x", "y")
		if err == nil || !strings.Contains(err.Error(), "TLS handshake") || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("publish: %v", err)
		}
	})
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

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
	normal()
	if err := publish(c, 10*time.Second, "", "mine", "y"); err != nil {
		t.Error(err)
	}
	if st := c.Status(); st.Blocked != "" {
		t.Errorf("status %+v", st)
	}
}

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
