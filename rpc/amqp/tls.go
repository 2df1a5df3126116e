package amqp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// secure does the client's side of the TLS handshake on nc, which it closes
// when it fails.
func secure(ctx context.Context, cfg Config, e Endpoint, nc net.Conn) (net.Conn, error) {
	base, err := cfg.TLS()
	if err != nil {
		_ = nc.Close() // the first error is the one that matters
		return nil, &tlsError{text: strings.ReplaceAll(err.Error(), "\n", "; "), err: err}
	}
	tc := tls.Client(nc, tlsConfig(base, e))
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		if timedOut(err) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer in the TLS handshake within %v", cfg.DialTimeout)
		}
		return nil, explainTLS(err, e)
	}
	return tc, nil
}

func tlsConfig(base *tls.Config, e Endpoint) *tls.Config {
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = e.Host
	}
	return c
}

// tlsError is why there is no TLS with a broker, worded for an operator: what is
// wrong and which option of [oslo_messaging_rabbit] may mend it. The text of the
// standard library's would not do in a log: it holds the time of day, so that
// each attempt would read like a new failure.
type tlsError struct {
	text string
	err  error
}

func (e *tlsError) Error() string { return "TLS: " + e.text }
func (e *tlsError) Unwrap() error { return e.err }

// explainTLS rewords what ended a TLS handshake, at either side.
func explainTLS(err error, e Endpoint) error {
	var header tls.RecordHeaderError
	var op *net.OpError
	var text string
	switch {
	case errors.As(err, &header):
		text = notTLS(header)
	case errors.As(err, &op) && op.Op == "remote error":
		text = alert(op.Err.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the broker closed the connection in the handshake"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		text = badCertificate(err, e)
	case strings.HasPrefix(err.Error(), "tls: server selected unsupported protocol version"):
		text = noVersion // the broker's choice, where it speaks only older ones
	default:
		// Ours (the client certificate that cannot be read) or rare.
		text = Clean(withoutSocket(err.Error()))
	}
	return &tlsError{text: text, err: err}
}

// notTLS tells of a broker whose first bytes were none of a TLS record.
func notTLS(e tls.RecordHeaderError) string {
	what := "something else than TLS"
	if string(e.RecordHeader[:4]) == "AMQP" {
		what = "AMQP without TLS"
	}
	return fmt.Sprintf("the broker speaks %s on this port: give transport_url the port of its TLS listener (often 5671), or set ssl = false", what)
}

const noVersion = "the broker speaks no version of TLS that is allowed here: let it speak TLS 1.2 or newer (see ssl_version)"

// alert is for what the broker complains about in the handshake, by the
// description of the alert (RFC 8446 section 6.2).
func alert(text string) string {
	const certificate = "the broker refuses the client certificate of ssl_cert_file"
	text = strings.TrimPrefix(text, "tls: ")
	said := fmt.Sprintf(" (alert %q)", Clean(text))
	switch text {
	case "protocol version not supported":
		return noVersion + said
	case "certificate required":
		return "the broker wants a client certificate: set ssl_cert_file and ssl_key_file" + said
	case "unknown certificate authority", "bad certificate", "unsupported certificate", "revoked certificate", "unknown certificate":
		return certificate + ": it must be issued by an authority that the broker trusts" + said
	case "expired certificate":
		return certificate + ": it has expired" + said
	case "handshake failure":
		// What RabbitMQ says with TLS 1.2 when a certificate is missing, and
		// what everybody says who finds no cipher suite in common.
		return "the broker refuses the handshake: it may want a client certificate (ssl_cert_file, ssl_key_file) or other cipher suites" + said
	}
	return "the broker ended the handshake" + said
}

// badCertificate tells what is wrong with the broker's certificate.
func badCertificate(err error, e Endpoint) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return validity(invalid.Cert)
	case errors.As(err, &name):
		return wrongName(name, e)
	case errors.As(err, &unknown):
		const remedy = "put the certificate of its authority into the file of ssl_ca_file"
		if c := unknown.Cert; c != nil && bytes.Equal(c.RawSubject, c.RawIssuer) {
			return fmt.Sprintf("the broker's certificate ends at %q, which is self-signed and not trusted: %s", Clean(c.Subject.String()), remedy)
		} else if c != nil {
			return fmt.Sprintf("the broker's certificate is not of a trusted authority (issuer %q): %s", Clean(c.Issuer.String()), remedy)
		}
		return "the broker's certificate is not of a trusted authority: " + remedy
	}
	return "the broker's certificate: " + Clean(err.Error())
}

// validity tells of a certificate of the chain that is not valid now.
func validity(c *x509.Certificate) string {
	if c == nil {
		return "the broker's certificate has expired or is not valid yet"
	}
	whose := "the broker's certificate"
	if c.IsCA {
		whose = fmt.Sprintf("the certificate of the broker's authority %q", Clean(c.Subject.String()))
	}
	if now := time.Now(); now.Before(c.NotBefore) {
		return fmt.Sprintf("%s is not valid before %s: look at this machine's clock", whose, c.NotBefore.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s expired at %s: renew it", whose, c.NotAfter.UTC().Format(time.RFC3339))
}

// wrongName tells which names the broker's certificate has.
func wrongName(err x509.HostnameError, e Endpoint) string {
	var has []string
	for _, ip := range err.Certificate.IPAddresses {
		has = append(has, ip.String())
	}
	has = append(has, err.Certificate.DNSNames...)
	names := "it has no subject alternative name, and a common name does not count"
	if len(has) > 0 {
		names = "it is for " + Clean(strings.Join(has, ", "))
	}
	return fmt.Sprintf("the broker's certificate is not for %s (%s): name the host in transport_url as the certificate does, or renew it",
		Clean(e.Host), names)
}

// errWantsTLS is for the client that speaks without TLS to a TLS listener.
var errWantsTLS = errors.New("the broker speaks TLS on this port: set ssl = true, or give transport_url the port of its listener without TLS (often 5672)")

// tlsAlert tells whether a conversation that was to be AMQP in the clear was
// answered with a TLS alert: the broker's listener wants TLS.
func tlsAlert(first []byte) bool {
	return len(first) >= 2 && first[0] == 21 && first[1] == 3 // content type alert, major version (RFC 8446 section 5.1)
}

// timedOut tells of a deadline that was ours.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
