package rabbit

import (
	"fmt"
	"strings"
	"testing"
)

// TLS is the side of a broker's TLS listener: ssl_options of rabbitmq.conf. The
// files are read at each handshake, so they may be replaced meanwhile.
type TLS struct {
	// CertFile and KeyFile are the broker's own, CAFile whom it trusts to issue
	// the certificates of clients; all PEM.
	CAFile, CertFile, KeyFile string
	// WantClient refuses clients without a certificate.
	WantClient bool
	// Versions are those spoken, such as "tlsv1.1"; none: the broker's choice.
	Versions []string
}

// StartTLS starts a broker that listens with TLS too, on [Broker.TLSPort].
func StartTLS(t testing.TB, o TLS) *Broker {
	t.Helper()
	b, err := newBroker(t.TempDir(), t.Logf, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// conf is the listener as rabbitmq.conf has it.
func (o TLS) conf(port int) string {
	text := fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d\nssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\n"+
		"ssl_options.verify = %s\nssl_options.fail_if_no_peer_cert = %t\n",
		port, o.CAFile, o.CertFile, o.KeyFile, o.verify(), o.WantClient)
	for i, v := range o.Versions {
		text += fmt.Sprintf("ssl_options.versions.%d = %s\n", i+1, v)
	}
	return text
}

func (o TLS) verify() string {
	if o.WantClient {
		return "verify_peer"
	}
	return "verify_none"
}

// term is the same as an Erlang term.
func (o TLS) term() string {
	text := fmt.Sprintf("[{cacertfile,%q},{certfile,%q},{keyfile,%q},{verify,%s},{fail_if_no_peer_cert,%t}",
		o.CAFile, o.CertFile, o.KeyFile, o.verify(), o.WantClient)
	if len(o.Versions) > 0 {
		text += ",{versions,['" + strings.Join(o.Versions, "','") + "']}"
	}
	return text + "]"
}

// ListenTLS opens one more TLS listener for each of all, for as long as the
// broker runs, and returns their ports. rabbitmq.conf knows one set of
// ssl_options for all listeners; the function that it calls for each does not.
func (b *Broker) ListenTLS(t testing.TB, all ...TLS) []int {
	t.Helper()
	ports, err := freePorts(len(all))
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for i, o := range all {
		calls = append(calls, fmt.Sprintf(`ok = rabbit_networking:start_ssl_listener({"127.0.0.1",%d,inet}, %s, 1)`, ports[i], o.term()))
	}
	if out, err := b.Rabbitmqctl("eval", strings.Join(calls, ", ")+"."); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return ports
}
