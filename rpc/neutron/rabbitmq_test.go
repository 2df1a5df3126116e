//go:build rabbitmq

package neutron_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/secret"
	"neutron-ndp-proxy-agent/test/rabbit"
)

var broker *rabbit.Broker

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "rabbit-neutron-")
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

const testHost = "lab-host1"

// brokerConfig is a client of a virtual host, impatient.
func brokerConfig(vhost string) neutron.Config {
	return neutron.Config{
		Host: testHost, CallTimeout: 5 * time.Second,
		Broker: amqp.Config{
			Hosts: []amqp.Endpoint{{Host: broker.Host, Port: broker.Port, User: rabbit.User, Password: secret.New(rabbit.Password)}},
			VHost: vhost, Heartbeat: time.Minute, DialTimeout: 2 * time.Second, OpTimeout: 2 * time.Second,
			Retry: amqp.Retry{Interval: 50 * time.Millisecond, Backoff: 50 * time.Millisecond, Max: 300 * time.Millisecond},
		},
	}
}

// runClient runs a client until stop is called or the test is over.
func runClient(t *testing.T, cfg neutron.Config) (c *neutron.Client, stop func()) {
	t.Helper()
	c, err := neutron.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return c, stop
}

// await reads events until one of type E comes and returns it with those
// before it.
func await[E neutron.Event](t *testing.T, c *neutron.Client) (E, []neutron.Event) {
	t.Helper()
	var before []neutron.Event
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-c.Events():
			if want, ok := e.(E); ok {
				return want, before
			}
			before = append(before, e)
		case <-limit:
			var want E
			t.Fatalf("no %T within 20s, but %v; status %+v", want, before, c.Status())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func proxyNo(i int) neutron.NDPProxy {
	return neutron.NDPProxy{ID: fmt.Sprintf("proxy-%d", i), RouterID: "router-1", PortID: fmt.Sprintf("port-%d", i), ProjectID: "p",
		Name: "n", Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", i+1))}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 15s: %s", what)
		}
	}
}

// kinds gives the kinds of events in a short form.
func kinds(events []neutron.Event) string {
	var l []string
	for _, e := range events {
		l = append(l, strings.TrimPrefix(fmt.Sprintf("%T", e), "neutron."))
	}
	return strings.Join(l, " ")
}

// rawRouter is a captured router dictionary.
func rawRouter(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/wire/06b-sync_routers-reply.json")
	must(t, err)
	var c struct {
		Message struct {
			Result []map[string]any `json:"result"`
		} `json:"message"`
	}
	must(t, json.Unmarshal(data, &c))
	return c.Message.Result[0]
}
