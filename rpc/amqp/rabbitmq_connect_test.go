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
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/secret"
	"neutron-ndp-proxy-agent/test/rabbit"
)

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
		"wrong password": {func(c *amqp.Config) { c.Hosts[0].Password, c.DialTimeout = secret.New("wr0ng-pass"), 8*time.Second },
			`login as "neutron" refused (AMQPLAIN): wrong user or password`, false},
		"wrong user":         {func(c *amqp.Config) { c.Hosts[0].User, c.Login, c.DialTimeout = "nobody", amqp.Plain, 8*time.Second }, `login as "nobody" refused (PLAIN)`, false},
		"no such vhost":      {func(c *amqp.Config) { c.VHost = "nowhere" }, `virtual host "nowhere" as user "neutron"`, true},
		"no such mechanism":  {func(c *amqp.Config) { c.Login = amqp.External }, "does not offer login method EXTERNAL", true},
		"connection refused": {func(c *amqp.Config) { c.Hosts[0].Port = port(closed) }, "connection refused", true},
		"silent": {func(c *amqp.Config) { c.Hosts[0].Port, c.DialTimeout = port(silent), 300*time.Millisecond },
			"no answer in the AMQP handshake within 300ms", true},
		"no such host": {func(c *amqp.Config) { c.Hosts[0].Host = "no-such-host.invalid" }, "no-such-host.invalid", false},
		"plain to TLS": {func(c *amqp.Config) { c.TLS = secure(nil); c.DialTimeout = time.Second }, "AMQP without TLS", false},
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
			c.TLS = secure(pool)
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
		cfg.TLS = secure(nil)
		c := run(t, cfg)
		err := publish(c, 3*time.Second, "", "x", "y")
		if err == nil || !strings.Contains(err.Error(), "TLS: ") || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("publish: %v", err)
		}
	})
}

func secure(roots *x509.CertPool) func() (*tls.Config, error) {
	return func() (*tls.Config, error) {
		return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
	}
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
