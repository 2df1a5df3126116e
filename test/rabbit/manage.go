package rabbit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// serves tells whether the broker answers on its management port, which it
// opens last, and on AMQP.
func (b *Broker) serves() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// aliveness-test would declare a queue; this only asks.
	return b.api(ctx, http.MethodGet, "/api/health/checks/port-listener/"+fmt.Sprint(b.Port), nil, nil) == nil
}

// api does one request to the management API. in and out may be nil.
func (b *Broker) api(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", b.httpPort, path), body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(User, Password)
	req.Header.Set("Content-Type", "application/json")
	// No keep-alive, so that no goroutine of ours is left to a leak detector;
	// no proxy from the environment.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("rabbit: %s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// API does one request to RabbitMQ's management API, such as
// API(t, "GET", "/api/queues/%2F", nil, &list).
func (b *Broker) API(t testing.TB, method, path string, in, out any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.api(ctx, method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

// VHost makes a fresh virtual host, open to User, and returns its name and URL.
// It is deleted, with all its connections, when the test is over.
func (b *Broker) VHost(t testing.TB) (name, amqpURL string) {
	t.Helper()
	b.mu.Lock()
	b.vhosts++
	name = fmt.Sprintf("test-%d", b.vhosts)
	b.mu.Unlock()
	b.API(t, http.MethodPut, "/api/vhosts/"+name, map[string]any{}, nil)
	b.API(t, http.MethodPut, "/api/permissions/"+name+"/"+User,
		map[string]string{"configure": ".*", "write": ".*", "read": ".*"}, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.api(ctx, http.MethodDelete, "/api/vhosts/"+name, nil, nil); err != nil {
			b.logf("rabbit: %v", err)
		}
	})
	return name, b.vhostURL(name)
}

// SetUser makes a user without tags that may do everything in a virtual host, or
// gives one back what was taken from it.
func (b *Broker) SetUser(t testing.TB, name, password, vhost string) {
	t.Helper()
	b.API(t, http.MethodPut, "/api/users/"+name, map[string]string{"password": password, "tags": ""}, nil)
	b.API(t, http.MethodPut, "/api/permissions/"+url.PathEscape(vhost)+"/"+name,
		map[string]string{"configure": ".*", "write": ".*", "read": ".*"}, nil)
}

// CloseConnections makes the broker close every connection of a virtual host
// (connection.close 320 with the given reason).
func (b *Broker) CloseConnections(t testing.TB, vhost, reason string) {
	t.Helper()
	if _, err := b.Rabbitmqctl("close_all_connections", "--vhost", vhost, reason); err != nil {
		t.Fatal(err)
	}
}

// Queue is what the broker says about a queue.
type Queue struct {
	Name       string         `json:"name"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Exclusive  bool           `json:"exclusive"`
	Arguments  map[string]any `json:"arguments"`
	Consumers  int            `json:"consumers"`
}

// Queues lists the queues of a virtual host by name.
func (b *Broker) Queues(t testing.TB, vhost string) map[string]Queue {
	t.Helper()
	var list []Queue
	b.API(t, http.MethodGet, "/api/queues/"+url.PathEscape(vhost)+"?disable_stats=true&enable_queue_totals=true", nil, &list)
	m := map[string]Queue{}
	for _, q := range list {
		m[q.Name] = q
	}
	return m
}

// Exchange is what the broker says about an exchange.
type Exchange struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Durable    bool   `json:"durable"`
	AutoDelete bool   `json:"auto_delete"`
}

// Exchanges lists the exchanges of a virtual host by name.
func (b *Broker) Exchanges(t testing.TB, vhost string) map[string]Exchange {
	t.Helper()
	var list []Exchange
	b.API(t, http.MethodGet, "/api/exchanges/"+url.PathEscape(vhost), nil, &list)
	m := map[string]Exchange{}
	for _, x := range list {
		m[x.Name] = x
	}
	return m
}

// Rabbitmqctl runs rabbitmqctl against this broker (a second or two each).
func (b *Broker) Rabbitmqctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, ctlBin, args...) //nolint:gosec // a test's own arguments
	cmd.Env = b.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("rabbit: rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
