//go:build rabbitmq

package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
	"neutron-ndp-proxy-agent/test/pki"
	"neutron-ndp-proxy-agent/test/rabbit"
)

// TestTLS takes the operator's options all the way to a RabbitMQ that listens
// with TLS itself, one listener for each thing that can be wrong with it.
func TestTLS(t *testing.T) {
	cloud := newTLSCloud(t)
	t.Run("verification", cloud.verification)
	t.Run("rotation", cloud.rotation)
	t.Run("several hosts", cloud.severalHosts)
	t.Run("daemon", cloud.daemon)
	t.Run("metrics", cloud.metrics)
	t.Run("check", cloud.check)
}

// tlsCloud is a broker and the authorities around it.
type tlsCloud struct {
	broker        *rabbit.Broker
	ours, foreign *pki.Authority
	good          pki.Pair       // the broker's own
	port          map[string]int // by what is wrong (or not) with the listener there
	renewed       pki.Pair       // of the listener "renewed": expired at first
}

func newTLSCloud(t *testing.T) *tlsCloud {
	now := time.Now()
	localhost := x509.Certificate{DNSNames: []string{"localhost"}}
	with := func(change func(*x509.Certificate)) x509.Certificate {
		c := localhost
		change(&c)
		return c
	}
	c := &tlsCloud{ours: pki.New(t, "the cloud's authority"), foreign: pki.New(t, "somebody else"), port: map[string]int{}}
	c.good = c.ours.Issue(t, localhost)
	c.renewed = c.ours.Issue(t, with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }))
	oldCA := c.foreign.Issue(t, localhost)
	c.broker = rabbit.StartTLS(t, rabbit.TLS{CAFile: c.ours.File, CertFile: c.good.CertFile, KeyFile: c.good.KeyFile})
	c.port["good"], c.port["plain"] = c.broker.TLSPort, c.broker.Port
	var names []string
	var all []rabbit.TLS
	listen := func(name string, p pki.Pair, change func(*rabbit.TLS)) {
		o := rabbit.TLS{CAFile: c.ours.File, CertFile: p.CertFile, KeyFile: p.KeyFile}
		if change != nil {
			change(&o)
		}
		names, all = append(names, name), append(all, o)
	}
	listen("expired", c.ours.Issue(t, with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })), nil)
	listen("not yet valid", c.ours.Issue(t, with(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })), nil)
	listen("another host", c.ours.Issue(t, x509.Certificate{DNSNames: []string{"mq1.example.org", "mq2.example.org"}}), nil)
	listen("common name only", c.ours.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "localhost"}}), nil)
	listen("address", c.ours.Issue(t, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), nil)
	listen("address as a name", c.ours.Issue(t, x509.Certificate{DNSNames: []string{"127.0.0.1"}}), nil)
	listen("foreign", oldCA, nil)
	listen("self-signed", pki.SelfSigned(t, with(func(c *x509.Certificate) { c.Subject.CommonName = "localhost" })), nil)
	listen("client", c.good, func(o *rabbit.TLS) { o.WantClient = true })
	listen("client, TLS 1.2", c.good, func(o *rabbit.TLS) { o.WantClient, o.Versions = true, []string{"tlsv1.2"} })
	listen("TLS 1.1", c.good, func(o *rabbit.TLS) { o.Versions = []string{"tlsv1.1", "tlsv1"} })
	listen("TLS 1.3", c.good, func(o *rabbit.TLS) { o.Versions = []string{"tlsv1.3"} })
	listen("rotated", oldCA, nil)
	listen("renewed", c.renewed, nil)
	for i, port := range c.broker.ListenTLS(t, all...) {
		c.port[names[i]] = port
	}
	return c
}

// ini is a daemon's configuration for a broker, with more lines of
// [oslo_messaging_rabbit].
func (c *tlsCloud) ini(t *testing.T, hosts []string, vhost, more string) string {
	t.Helper()
	dir := t.TempDir()
	for i, h := range hosts {
		hosts[i] = rabbit.User + ":" + rabbit.Password + "@" + h
	}
	path := filepath.Join(dir, "agent.ini")
	put(t, path, fmt.Sprintf("[DEFAULT]\nhost = h\ntransport_url = rabbit://%s/%s\n[ndp_proxy]\nnetns_dir = %s\nruntime_dir = %s/run\n"+
		"[oslo_messaging_rabbit]\nrabbit_retry_backoff = 0\n%s\n", strings.Join(hosts, ","), vhost, dir, dir, more))
	return path
}

// connect starts a connection as the daemon would, but with short waits.
func connect(t *testing.T, ini string) (*amqp.Conn, *observer.ObservedLogs) {
	t.Helper()
	cfg, _, err := config.Load(config.Args{Sources: []config.Source{config.File(ini)}, Defaults: []config.Source{}, Hostname: os.Hostname})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	b := clientConfig(cfg, zap.New(core)).Broker
	b.Retry = amqp.Retry{Interval: 50 * time.Millisecond, Max: 50 * time.Millisecond}
	conn, err := amqp.New(b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn, logs
}

func until(t *testing.T, what string, show func() string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20s: %s\n%s", what, show())
		}
	}
}

func (c *tlsCloud) verification(t *testing.T) {
	vhost, _ := c.broker.VHost(t)
	client := c.ours.Issue(t, pki.Client())
	stranger := c.foreign.Issue(t, pki.Client())
	old := c.ours.Issue(t, x509.Certificate{NotAfter: time.Now().Add(-time.Minute), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	both := filepath.Join(t.TempDir(), "both.pem")
	pki.Put(t, both, client.PEM)
	ca := "ssl = true\nssl_ca_file = " + c.ours.File + "\n"
	identity := func(p pki.Pair) string {
		return ca + "ssl_cert_file = " + p.CertFile + "\nssl_key_file = " + p.KeyFile + "\n"
	}
	const anyName = "ssl_enforce_hostname_verification = false\n"
	const refused = "the broker refuses the client certificate of ssl_cert_file: "
	for _, tc := range []struct {
		name, listener, host, options string
		want                          string // the error; "" for a connection
	}{
		{"good", "good", "localhost", ca, ""},
		{"no authority named", "good", "localhost", "ssl = true\n", `the broker's certificate ends at "CN=the cloud's authority", which is self-signed and not trusted: put the certificate of its authority into the file of ssl_ca_file`},
		{"expired", "expired", "localhost", ca, "the broker's certificate expired at "},
		{"expired, any name", "expired", "localhost", ca + anyName, "the broker's certificate expired at "},
		{"not yet valid", "not yet valid", "localhost", ca, "the broker's certificate is not valid before "},
		{"another host", "another host", "localhost", ca, "the broker's certificate is not for localhost (it is for mq1.example.org, mq2.example.org): "},
		{"another host, any name", "another host", "localhost", ca + anyName, ""},
		{"common name only", "common name only", "localhost", ca, "the broker's certificate is not for localhost (it has no subject alternative name, and a common name does not count): "},
		{"common name only, any name", "common name only", "localhost", ca + anyName, ""},
		{"address", "address", "127.0.0.1", ca, ""},
		{"address, asked by name", "address", "localhost", ca, "the broker's certificate is not for localhost (it is for 127.0.0.1): "},
		{"name, asked by address", "good", "127.0.0.1", ca, "the broker's certificate is not for 127.0.0.1 (it is for localhost): "},
		{"address as a name", "address as a name", "127.0.0.1", ca, "the broker's certificate is not for 127.0.0.1 (it is for 127.0.0.1): "},
		{"foreign", "foreign", "localhost", ca, "the broker's certificate is not of a trusted authority"},
		{"foreign, any name", "foreign", "localhost", ca + anyName, "the broker's certificate is not of a trusted authority"},
		{"self-signed", "self-signed", "localhost", ca, `the broker's certificate ends at "CN=localhost", which is self-signed and not trusted: `},
		{"client", "client", "localhost", identity(client), ""},
		{"client, TLS 1.2", "client, TLS 1.2", "localhost", identity(client), ""},
		{"client, one file", "client", "localhost", ca + "ssl_cert_file = " + both + "\n", ""},
		{"client not wanted", "good", "localhost", identity(client), ""},
		{"no client", "client", "localhost", ca, "the broker wants a client certificate: set ssl_cert_file and ssl_key_file"},
		{"no client, TLS 1.2", "client, TLS 1.2", "localhost", ca, "want a client certificate (ssl_cert_file, ssl_key_file)"},
		{"foreign client", "client", "localhost", identity(stranger), refused},
		{"foreign client, TLS 1.2", "client, TLS 1.2", "localhost", identity(stranger), refused},
		{"expired client", "client", "localhost", identity(old), refused + "it has expired"},
		{"old versions", "TLS 1.1", "localhost", ca, "the broker speaks no version of TLS that is allowed here"},
		{"old version asked for", "TLS 1.1", "localhost", ca + "ssl_version = TLSv1_1\n", ""},
		{"version not spoken", "TLS 1.3", "localhost", ca + "ssl_version = TLSv1_2\n", "the broker speaks no version of TLS that is allowed here"},
		{"negotiated", "TLS 1.3", "localhost", ca + "ssl_version = SSLv23\n", ""},
		{"TLS to a plain port", "plain", "localhost", ca, "the broker speaks AMQP without TLS on this port: "},
		{"plain to a TLS port", "good", "localhost", "", "the broker speaks TLS on this port: set ssl = true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr := fmt.Sprintf("%s:%d", tc.host, c.port[tc.listener])
			conn, logs := connect(t, c.ini(t, []string{addr}, vhost, tc.options))
			show := func() string { return fmt.Sprintf("%+v %v", conn.Status(), logs.All()) }
			if tc.want == "" {
				until(t, "connected", show, func() bool { return conn.Status().Connected })
				return
			}
			until(t, "three attempts", show, func() bool { return conn.Status().Attempts > 3 })
			st := conn.Status()
			if st.Connections > 0 || st.LastError == nil || !strings.Contains(st.LastError.Error(), "broker "+addr+": ") || !strings.Contains(st.LastError.Error(), tc.want) {
				t.Errorf("after %d attempts, %d connections: %v\nwant %q", st.Attempts, st.Connections, st.LastError, tc.want)
			}
			if logs.Len() != 1 {
				t.Errorf("%d lines for %d attempts, want one: %v", logs.Len(), st.Attempts, logs.All())
			}
		})
	}
}

// rotation: an authority, or a certificate, that is replaced while the daemon
// runs counts from the next connection on, both ways.
func (c *tlsCloud) rotation(t *testing.T) {
	vhost, _ := c.broker.VHost(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	trust := func(a *pki.Authority) { pki.Put(t, ca, pemOf(t, a.File)) }
	trust(c.ours)
	conn, logs := connect(t, c.ini(t, []string{fmt.Sprintf("localhost:%d", c.port["rotated"])}, vhost, "ssl = true\nssl_ca_file = "+ca))
	show := func() string { return fmt.Sprintf("%+v %v", conn.Status(), logs.All()) }
	failing := func(what string) {
		t.Helper()
		until(t, what, show, func() bool {
			st := conn.Status()
			return !st.Connected && st.LastError != nil && strings.Contains(st.LastError.Error(), what)
		})
	}
	failing("not of a trusted authority")
	trust(c.foreign)
	until(t, "connected", show, func() bool { return conn.Status().Connected })
	trust(c.ours)
	c.broker.CloseConnections(t, vhost, "look again")
	failing("not of a trusted authority")
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	failing("ssl_ca_file: cannot read file " + ca + ": no such file or directory")
	trust(c.foreign)
	until(t, "connected again", show, func() bool { return conn.Status().Connected })

	client := c.ours.Issue(t, pki.Client())
	vhost, _ = c.broker.VHost(t)
	conn, logs = connect(t, c.ini(t, []string{fmt.Sprintf("localhost:%d", c.port["client"])}, vhost,
		"ssl = true\nssl_ca_file = "+c.ours.File+"\nssl_cert_file = "+client.CertFile+"\nssl_key_file = "+client.KeyFile))
	until(t, "connected with a client certificate", show, func() bool { return conn.Status().Connected })
	key := pemOf(t, client.KeyFile)
	pki.Put(t, client.KeyFile, pemOf(t, c.good.KeyFile))
	c.broker.CloseConnections(t, vhost, "look again")
	failing("ssl_cert_file: certificate " + client.CertFile + " with key " + client.KeyFile + ": tls: private key does not match public key")
	if err := os.Remove(client.KeyFile); err != nil {
		t.Fatal(err)
	}
	failing("open " + client.KeyFile + ": no such file or directory")
	pki.Put(t, client.KeyFile, key)
	until(t, "connected with the key again", show, func() bool { return conn.Status().Connected })
}

func pemOf(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// severalHosts: one with a bad certificate is passed over, and named.
func (c *tlsCloud) severalHosts(t *testing.T) {
	vhost, _ := c.broker.VHost(t)
	hosts := []string{fmt.Sprintf("localhost:%d", c.port["expired"]), fmt.Sprintf("localhost:%d", c.port["good"])}
	for range 20 { // which one is tried first is chance
		conn, logs := connect(t, c.ini(t, append([]string(nil), hosts...), vhost, "ssl = true\nssl_ca_file = "+c.ours.File))
		until(t, "connected", func() string { return fmt.Sprint(conn.Status(), logs.All()) }, func() bool { return conn.Status().Connected })
		if got := conn.Status().Endpoint; got != hosts[1] {
			t.Fatalf("connected to %s", got)
		}
		if logs.Len() > 0 {
			if text := fmt.Sprint(logs.All()[0].ContextMap()); logs.Len() > 1 || !strings.Contains(text, hosts[0]) || !strings.Contains(text, "expired") {
				t.Errorf("logged: %v", logs.All())
			}
			return
		}
	}
	t.Error("the bad one was never tried first")
}

// daemon is the program itself: it gets ready over TLS, or says once what is
// wrong, goes on trying, and needs no restart when it is mended.
func (c *tlsCloud) daemon(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	pki.Put(t, ca, pemOf(t, c.ours.File))
	client := c.ours.Issue(t, pki.Client())
	identity := filepath.Join(t.TempDir(), "client.pem")
	pki.Put(t, identity, c.foreign.Issue(t, pki.Client()).PEM)
	for _, tc := range []struct {
		name, listener, options string
		want                    string // the trouble; "" for none
		mend                    func(t *testing.T)
	}{
		{"good", "good", "ssl_ca_file = " + c.ours.File, "", nil},
		{"expired", "renewed", "ssl_ca_file = " + c.ours.File, "the broker's certificate expired at ", func(t *testing.T) {
			fresh := c.ours.Issue(t, x509.Certificate{DNSNames: []string{"localhost"}})
			// Not one step for both files: a handshake in between fails and is tried again.
			pki.Put(t, c.renewed.KeyFile, pemOf(t, fresh.KeyFile))
			pki.Put(t, c.renewed.CertFile, pemOf(t, fresh.CertFile))
		}},
		{"untrusted", "foreign", "ssl_ca_file = " + ca, "ssl_ca_file", func(t *testing.T) { pki.Put(t, ca, pemOf(t, c.foreign.File)) }},
		{"client certificate", "client", "ssl_ca_file = " + c.ours.File + "\nssl_cert_file = " + identity, "the broker refuses the client certificate of ssl_cert_file",
			func(t *testing.T) { pki.Put(t, identity, client.PEM) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			vhost, url := c.broker.VHost(t)
			neutrontest.StartServer(t, url, neutrontest.Options{}).SetL3Agent("h", true)
			addr := fmt.Sprintf("localhost:%d", c.port[tc.listener])
			d := launch(t, c.ini(t, []string{addr}, vhost, "ssl = true\n"+tc.options+"\n[DEFAULT]\ndebug = true\n"))
			if tc.want != "" {
				until(t, "a second attempt", d.log.String, func() bool { return strings.Contains(d.log.String(), "broker still unreachable") })
				if n := strings.Count(d.log.String(), "cannot connect to broker"); n != 1 || !strings.Contains(d.log.String(), tc.want) || !strings.Contains(d.log.String(), addr) {
					t.Errorf("%d lines, want one with %q of %s:\n%s", n, tc.want, addr, d.log)
				}
				tc.mend(t)
			}
			d.await(t, "READY=1")
			if err := d.end(t, syscall.SIGTERM); err != nil {
				t.Errorf("after SIGTERM: %v\n%s", err, d.log)
			}
		})
	}
}
