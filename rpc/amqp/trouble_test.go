package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusing are n ports of the loopback on which nobody listens.
func refusing(t *testing.T, n int) []Endpoint {
	t.Helper()
	var l []Endpoint
	for range n {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		l = append(l, Endpoint{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port})
	}
	return l
}

// A cluster that is down is one trouble: callers and Status say the same at
// every look, and name every broker, in the operator's order.
func TestOneTroubleOneText(t *testing.T) {
	cfg := Config{Hosts: refusing(t, 3), Failover: Shuffle,
		Retry: Retry{Interval: 3 * time.Millisecond, Max: 5 * time.Millisecond}}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for end := time.Now().Add(10 * time.Second); c.Status().Attempts < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("status %+v", c.Status())
		}
	}
	want := ""
	for i, h := range cfg.Hosts {
		if i > 0 {
			want += "; "
		}
		want += fmt.Sprintf("broker %s: connect: connection refused", h.Addr())
	}
	for range 40 {
		short, stop := context.WithTimeout(ctx, 3*time.Millisecond)
		err := c.Publish(short, Message{})
		stop()
		if text := "not connected to a broker: " + want + " (context deadline exceeded)"; err == nil || err.Error() != text {
			t.Fatalf("Publish after %d attempts:\n%v, want\n%s", c.Status().Attempts, err, text)
		}
		if !errors.Is(err, ErrNotConnected) || !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the errors in %v cannot be told", err)
		}
		if last := c.Status().LastError; last == nil || last.Error() != want {
			t.Fatalf("LastError %v, want %s", last, want)
		}
	}
}

// One failure counts for each broker, the last; a broker named twice is one.
func TestTrouble(t *testing.T) {
	h := hosts("a", "b", "a")
	tr := trouble{hosts: h}
	_ = tr.at(h[1], errors.New("b lost"))
	_ = tr.at(h[0], errors.New("a refused"))
	if got := tr.at(h[1], errors.New("b refused")).Error(); got != "a refused; b refused" {
		t.Errorf("%s", got)
	}
	tr.over()
	if got := tr.at(h[1], errors.New("b lost")).Error(); got != "b lost" {
		t.Errorf("after a connection: %s", got)
	}
}

// The port of our end is another one at every attempt.
func TestTextsWithoutOurPort(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET,
		Source: &net.TCPAddr{IP: net.IPv6loopback, Port: 42424}, Addr: &net.TCPAddr{IP: net.IPv6loopback, Port: 5672}}
	dns := &net.DNSError{Name: "mq", Server: "127.0.0.53:53", Err: "read udp 127.0.0.1:42424->127.0.0.53:53: i/o timeout"}
	for _, err := range []error{reset, dns, fmt.Errorf("TLS handshake: %w", reset)} {
		got := explain(err)
		if text := got.Error(); strings.Contains(text, "42424") || !strings.Contains(text, "53") && !strings.Contains(text, "[::1]:5672") {
			t.Errorf("%v reads %s", err, text)
		}
		if !errors.Is(got, err) {
			t.Errorf("%v is lost", err)
		}
	}
}
