package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// Peers that are no TLS server at all. What is wrong with real ones is tested
// with a RabbitMQ, from the operator's options on: cmd/neutron-ndp-proxy-agent.
func TestNoTLSServer(t *testing.T) {
	for _, c := range []struct {
		name, want string
		serve      func(net.Conn)
	}{
		{"hangs up", "TLS: the broker closed the connection in the handshake", func(nc net.Conn) {
			_, _ = nc.Read(make([]byte, 4096)) // or it would be a reset
		}},
		{"silent", "no answer in the TLS handshake within 100ms", func(nc net.Conn) {
			_, _ = nc.Read(make([]byte, 4096))
			time.Sleep(time.Second)
		}},
		{"another protocol", "TLS: the broker speaks something else than TLS on this port: ", func(nc net.Conn) {
			_, _ = nc.Read(make([]byte, 4096))
			_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				c.serve(nc)
				_ = nc.Close()
			}()
			cfg := Config{DialTimeout: 100 * time.Millisecond, TLS: func() (*tls.Config, error) { return &tls.Config{MinVersion: tls.VersionTLS12}, nil }}
			e := Endpoint{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
			if _, _, err := dial(context.Background(), cfg.withDefaults(), e); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	// Files that cannot be read make one line.
	trouble := errors.New("a\nb")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := Config{TLS: func() (*tls.Config, error) { return nil, trouble }}
	if _, _, err := dial(context.Background(), cfg.withDefaults(), Endpoint{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}); !errors.Is(err, trouble) || err.Error() != "TLS: a; b" {
		t.Errorf("error %q", err)
	}
}
