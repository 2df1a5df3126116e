package config

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/test/pki"
)

// handshake connects a client with config c to a broker that shows the
// certificate shown, and returns the name of the client certificate
// that the broker saw, and the client's error.
func handshake(t *testing.T, c *tls.Config, serverName string, shown pki.Pair, server *tls.Config) (seen string, clientErr error) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(shown.CertFile, shown.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	server = server.Clone()
	server.Certificates = []tls.Certificate{pair}
	left, right := net.Pipe()
	done := make(chan string)
	go func() {
		defer right.Close() //nolint:errcheck // a pipe
		s := tls.Server(right, server)
		name := ""
		if s.Handshake() == nil && len(s.ConnectionState().PeerCertificates) > 0 {
			name = s.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		done <- name
	}()
	c = c.Clone()
	c.ServerName = serverName
	clientErr = tls.Client(left, c).Handshake()
	left.Close() //nolint:errcheck,gosec // a pipe
	return <-done, clientErr
}

func TestTLSVerification(t *testing.T) {
	ours, foreign := pki.New(t, "ours"), pki.New(t, "foreign")
	named := x509.Certificate{DNSNames: []string{"broker"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}
	good := ours.Issue(t, named)
	bad := foreign.Issue(t, named)
	for _, tc := range []struct {
		name   string
		r      Rabbit
		server string
		cert   pki.Pair
		want   string // a part of the error, "" for success
	}{
		{"right name", Rabbit{SSLCAFile: ours.File, SSLVerifyHostname: true}, "broker", good, ""},
		{"right address", Rabbit{SSLCAFile: ours.File, SSLVerifyHostname: true}, "10.0.0.1", good, ""},
		{"wrong name", Rabbit{SSLCAFile: ours.File, SSLVerifyHostname: true}, "other", good, "not other"},
		{"wrong name, not verified", Rabbit{SSLCAFile: ours.File}, "other", good, ""},
		{"foreign authority", Rabbit{SSLCAFile: ours.File, SSLVerifyHostname: true}, "broker", bad, "unknown authority"},
		{"foreign authority, name not verified", Rabbit{SSLCAFile: ours.File}, "broker", bad, "unknown authority"},
		{"system's roots", Rabbit{SSLVerifyHostname: true}, "broker", good, "unknown authority"},
		{"system's roots, name not verified", Rabbit{}, "broker", good, "unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.r.SSL = true
			c, err := tc.r.TLSConfig()
			if err != nil {
				t.Fatal(err)
			}
			_, err = handshake(t, c, tc.server, tc.cert, &tls.Config{}) //nolint:gosec // the server's side of a test
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// TestTLSClientCertificate: the certificate is sent, from one file or two, and
// one that is renewed is used without a restart.
func TestTLSClientCertificate(t *testing.T) {
	ca := pki.New(t, "ca")
	broker := ca.Issue(t, x509.Certificate{DNSNames: []string{"broker"}})
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	server := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	file := filepath.Join(t.TempDir(), "client.pem")
	client := func(cn string) {
		pki.Put(t, file, ca.Issue(t, x509.Certificate{
			Subject: pkix.Name{CommonName: cn}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}).PEM)
	}
	client("first")
	for _, key := range []string{"", file} {
		r := Rabbit{SSL: true, SSLCAFile: ca.File, SSLCertFile: file, SSLKeyFile: key, SSLVerifyHostname: true}
		c, err := r.TLSConfig()
		if err != nil {
			t.Fatal(err)
		}
		for _, cn := range []string{"second", "third"} {
			client(cn)
			if seen, err := handshake(t, c, "broker", broker, server); err != nil || seen != cn {
				t.Errorf("error %v, the broker saw %q, want %q", err, seen, cn)
			}
		}
	}
}

func TestTLSVersions(t *testing.T) {
	for _, tc := range []struct {
		in       string
		min, max uint16
	}{
		{"", tls.VersionTLS12, 0}, {"SSLv23", tls.VersionTLS12, 0}, {"TLSv1", tls.VersionTLS10, tls.VersionTLS10},
		{"tlsv1_1", tls.VersionTLS11, tls.VersionTLS11}, {"TLSv1_2", tls.VersionTLS12, tls.VersionTLS12},
	} {
		c, err := Rabbit{SSL: true, SSLVersion: tc.in}.TLSConfig()
		if err != nil || c.MinVersion != tc.min || c.MaxVersion != tc.max {
			t.Errorf("ssl_version %q: %v, versions %x to %x", tc.in, err, c.MinVersion, c.MaxVersion)
		}
	}
	for _, in := range []string{"SSLv2", "sslv3", "TLSv9"} {
		if c, err := (Rabbit{SSL: true, SSLVersion: in}).TLSConfig(); err == nil || c != nil {
			t.Errorf("ssl_version %q is accepted", in)
		}
	}
}

func TestTLSOffAndBroken(t *testing.T) {
	if c, err := (Rabbit{SSLCAFile: "/nowhere"}).TLSConfig(); c != nil || err != nil {
		t.Errorf("ssl off: %v, %v", c, err)
	}
	if _, err := (Rabbit{SSL: true, SSLCAFile: "/nowhere"}).TLSConfig(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing authority: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Rabbit{SSL: true, SSLCAFile: empty}).TLSConfig(); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
		t.Errorf("empty authority: %v", err)
	}
}
