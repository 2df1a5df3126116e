package metrics

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// listening runs a server until the test ends or stop is called.
func listening(t *testing.T, address string) (logs *observer.ObservedLogs, stop func()) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	s := NewServer(ServerOptions{Address: address, Log: zap.New(core), Handlers: map[string]http.Handler{
		"GET /healthz": http.HandlerFunc(Health{Overdue: func() []string { return nil }}.healthz),
	}})
	s.every = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(stop)
	return logs, stop
}

// served waits for where the server listens.
func served(t *testing.T, logs *observer.ObservedLogs) string {
	t.Helper()
	for range 500 {
		if l := logs.FilterMessage("metrics are served").All(); len(l) > 0 {
			return l[0].ContextMap()["address"].(string)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not served: %v", logs.All())
	return ""
}

func get(network, address, path string) (string, error) {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	r, err := c.Get("http://daemon" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.StatusCode, " ", string(body)), err
}

func TestServer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "metrics.sock")
	for address, warns := range map[string]bool{"127.0.0.1:0": false, "[::1]:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true, "unix:" + socket: false} {
		logs, stop := listening(t, address)
		at, network := served(t, logs), "tcp"
		if strings.HasPrefix(address, "unix:") {
			at, network = socket, "unix"
		}
		for path, want := range map[string]string{"/healthz": "200 ok\n", "/": "404 404 page not found\n", "/debug/pprof/": "404 404 page not found\n"} {
			if got, err := get(network, at, path); err != nil || got != want {
				t.Errorf("%s%s: %q, %v", address, path, got, err)
			}
		}
		if warned := logs.FilterMessageSnippet("no loopback").Len() > 0; warned != warns {
			t.Errorf("%s: warned %v", address, warned)
		}
		stop()
		if _, err := get(network, at, "/healthz"); err == nil {
			t.Errorf("%s: answers after the end", address)
		}
	}
	listening(t, "") // ends at once, with nothing
}

// An address that somebody else has is said once, tried again, and taken when it is
// free.
func TestAddressInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs, _ := listening(t, other.Addr().String())
	time.Sleep(100 * time.Millisecond)
	if n := logs.FilterMessageSnippet("can't be used").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := get("tcp", served(t, logs), "/healthz"); err != nil || got != "200 ok\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// A profile takes what was asked for, however short the server's own limits are.
func TestProfilesTakeTheirTime(t *testing.T) {
	mux := http.NewServeMux()
	for pattern, h := range Profiles() {
		mux.Handle(pattern, h)
	}
	s := httptest.NewUnstartedServer(http.MaxBytesHandler(mux, maxBody))
	s.Config.ReadTimeout, s.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	s.Start()
	defer s.Close()
	start := time.Now()
	got, err := get("tcp", s.Listener.Addr().String(), "/debug/pprof/trace?seconds=1")
	if took := time.Since(start); err != nil || !strings.HasPrefix(got, "200 go 1.") || took < time.Second {
		t.Errorf("%.20q, %v, after %v", got, err, took)
	}
}

// Who says nothing, or too much, is let go, and is one of few: the next one is
// answered within the time that the silent ones have.
func TestBadClients(t *testing.T) {
	logs, _ := listening(t, "127.0.0.1:0")
	at := served(t, logs)
	var silent []net.Conn
	for range 3 * maxClients {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if _, err := silent[0].Write([]byte("GET /healthz HTTP/1.1\r\nX: ")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := silent[0].SetReadDeadline(start.Add(2 * headerLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(bufio.NewReader(silent[0])); err != nil {
		t.Errorf("the one that began and went silent: %v", err)
	}
	if took := time.Since(start); took > headerLimit+2*time.Second {
		t.Errorf("was let go after %v", took)
	}
	for _, c := range silent {
		_ = c.Close()
	}
	if got, err := get("tcp", at, "/healthz"); err != nil || got != "200 ok\n" {
		t.Errorf("after them: %q, %v", got, err)
	}
	huge, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	go func() {
		_, _ = huge.Write([]byte("GET /healthz HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"))
	}()
	line, err := bufio.NewReader(huge).ReadString('\n')
	if !strings.Contains(line, " 431 ") {
		t.Errorf("a header of a megabyte: %q, %v", line, err)
	}
}
