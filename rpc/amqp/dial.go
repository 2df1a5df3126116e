package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// guardedConn gives every write a deadline and remembers why reading ended:
// the library turns each failure of the handshake into "username or password
// not allowed".
type guardedConn struct {
	net.Conn
	writeTimeout time.Duration

	mu      sync.Mutex
	readErr error
}

func (c *guardedConn) Write(p []byte) (int, error) {
	// RabbitMQ pushes back by not reading; a write that makes no progress for
	// this long is not push-back any more.
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.mu.Lock()
		if c.readErr == nil {
			c.readErr = err
		}
		c.mu.Unlock()
	}
	return n, err
}

func (c *guardedConn) lastReadError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readErr
}

// dial connects, shakes hands and opens the virtual host, all within
// cfg.DialTimeout.
func dial(ctx context.Context, cfg Config, e Endpoint) (*amqp091.Connection, net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Addr())
	if err != nil {
		return nil, nil, dialError(err)
	}
	// The library clears deadlines when the handshake is done, so a deadline
	// here bounds the handshake and nothing else.
	deadline, _ := ctx.Deadline()
	if err := nc.SetReadDeadline(deadline); err != nil {
		_ = nc.Close() // the first error is the one that matters
		return nil, nil, err
	}
	// And a stopping process does not wait for the handshake.
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()

	if cfg.TLS != nil {
		tc := tls.Client(nc, tlsConfig(cfg.TLS, e))
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, nil, fmt.Errorf("TLS handshake: %w", err)
		}
		nc = tc
	}
	g := &guardedConn{Conn: nc, writeTimeout: cfg.OpTimeout}
	conn, err := amqp091.Open(g, amqp091.Config{
		SASL:       []amqp091.Authentication{login(cfg.Login, e)},
		Vhost:      cfg.VHost,
		FrameSize:  131072,
		ChannelMax: 2047,
		Heartbeat:  cfg.heartbeat(),
		Locale:     "en_US",
		Properties: properties(cfg),
	})
	if err != nil {
		_ = nc.Close()
		return nil, nil, handshakeError(ctx, g, cfg, e, err)
	}
	return conn, g, nil
}

// dialError drops the "dial tcp host:port" that the caller says anyway.
func dialError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		if op.Timeout() {
			return fmt.Errorf("no answer to TCP connect: %w", op.Err)
		}
		return op.Err
	}
	return err
}

// handshakeError finds out why the handshake really failed.
func handshakeError(ctx context.Context, g *guardedConn, cfg Config, e Endpoint, err error) error {
	if cause := ctx.Err(); cause != nil && errors.Is(cause, context.Canceled) {
		return cause
	}
	if errors.Is(g.lastReadError(), os.ErrDeadlineExceeded) || ctx.Err() != nil {
		return fmt.Errorf("no answer in the AMQP handshake within %v", cfg.DialTimeout)
	}
	switch {
	case errors.Is(err, amqp091.ErrSASL):
		return fmt.Errorf("broker does not offer login method %s: %w", cfg.Login, err)
	case errors.Is(err, amqp091.ErrCredentials), hasCode(err, amqp091.AccessRefused):
		return fmt.Errorf("login as %q refused (%s): wrong user or password, or not allowed from here: %w",
			Clean(e.User), cfg.Login, explain(err))
	case errors.Is(err, amqp091.ErrVhost), hasCode(err, amqp091.NotAllowed):
		return fmt.Errorf("virtual host %q as user %q: %w", Clean(cfg.VHost), Clean(e.User), explain(err))
	}
	return fmt.Errorf("AMQP handshake: %w", explain(err))
}

func tlsConfig(base *tls.Config, e Endpoint) *tls.Config {
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = e.Host
	}
	return c
}

func login(method Login, e Endpoint) amqp091.Authentication {
	switch method {
	case Plain:
		return &amqp091.PlainAuth{Username: e.User, Password: string(e.Password)}
	case External:
		return &amqp091.ExternalAuth{}
	default:
		return &amqp091.AMQPlainAuth{Username: e.User, Password: string(e.Password)}
	}
}

// properties is made anew for every attempt: the library writes into the table
// (it adds the capabilities connection.blocked, consumer_cancel_notify,
// basic.nack and publisher_confirms).
func properties(cfg Config) amqp091.Table {
	t := amqp091.Table{"platform": "Go", "information": "oslo.messaging compatible"}
	for k, v := range map[string]string{
		"product": cfg.Product, "version": cfg.Version, "connection_name": cfg.ConnectionName,
	} {
		if v != "" {
			t[k] = v
		}
	}
	return t
}
