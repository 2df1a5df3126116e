package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLSConfig builds the client's side of TLS from the ssl options and reads the
// files they name. It returns nil and no error when ssl is off.
//
// ServerName is left empty: set it to [Endpoint.Host] on a Clone for each broker
// (rpc/amqp does). Call it for each connection, so that renewed files are used
// at the next one.
//
// The broker's certificate is always verified, against ssl_ca_file or else the
// system's roots, and so is its name, unless ssl_enforce_hostname_verification
// is false. oslo.messaging does less: it checks no name without ssl_ca_file, it
// checked none at all before 2026, and with ssl_version and no ssl_ca_file (or
// py-amqp before 5.0.3) it verifies nothing.
func (r Rabbit) TLSConfig() (*tls.Config, error) {
	if !r.SSL {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	if err := setTLSVersion(c, r.SSLVersion); err != nil {
		errs = append(errs, tlsError{"ssl_version", err})
	}
	if r.SSLCAFile != "" {
		roots, err := readRoots(r.SSLCAFile)
		if err != nil {
			errs = append(errs, tlsError{"ssl_ca_file", err})
		}
		c.RootCAs = roots
	}
	if r.SSLCertFile != "" {
		if _, err := r.keyPair(); err != nil {
			errs = append(errs, tlsError{"ssl_cert_file", err})
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.keyPair() }
	}
	if !r.SSLVerifyHostname {
		c.InsecureSkipVerify = true //nolint:gosec // replaced by verifyChain: only the name goes unchecked
		c.VerifyConnection = verifyChain(c.RootCAs)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// tlsError is a mistake in one of the ssl options.
type tlsError struct {
	option string
	err    error
}

func (e tlsError) Error() string { return e.option + ": " + e.err.Error() }
func (e tlsError) Unwrap() error { return e.err }

// setTLSVersion maps oslo.messaging's names. SSLv23 is OpenSSL's name for
// "negotiate the best"; every other name allows that one version only.
func setTLSVersion(c *tls.Config, version string) error {
	switch strings.ToLower(version) {
	case "", "sslv23":
		return nil
	case "tlsv1":
		c.MinVersion = tls.VersionTLS10
	case "tlsv1_1":
		c.MinVersion = tls.VersionTLS11
	case "tlsv1_2":
		c.MinVersion = tls.VersionTLS12
	case "sslv2", "sslv3":
		return fmt.Errorf("%s is broken and not supported; leave it empty to negotiate", version)
	default:
		return fmt.Errorf("%s is not one of TLSv1, TLSv1_1, TLSv1_2, SSLv23", quote(version))
	}
	c.MaxVersion = c.MinVersion
	return nil
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, readError("file", path, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in PEM form in %s", path)
	}
	return roots, nil
}

// keyPair reads the client certificate; like OpenSSL it looks for the key in
// the certificate's file when no other is named.
func (r Rabbit) keyPair() (*tls.Certificate, error) {
	key := r.SSLKeyFile
	if key == "" {
		key = r.SSLCertFile
	}
	pair, err := tls.LoadX509KeyPair(r.SSLCertFile, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", r.SSLCertFile, key, err)
	}
	return &pair, nil
}

// verifyChain checks everything about the broker's certificate but its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the broker sent no certificate")
		}
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := s.PeerCertificates[0].Verify(opts); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return nil
	}
}
