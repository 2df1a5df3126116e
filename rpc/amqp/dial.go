package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// lastWords bounds the wait for what a broker said before it hung up. It is on
// this machine already.
const lastWords = 500 * time.Millisecond

// guardedConn gives every write a deadline, bounds what is read (frames), and
// remembers why reading ended: the library turns each failure of the handshake
// into "username or password not allowed".
type guardedConn struct {
	net.Conn
	writeTimeout time.Duration
	frames       *frameGuard
	shaking      atomic.Bool   // the handshake is not over
	ended        chan struct{} // closed when reading ended

	mu      sync.Mutex
	readErr error
	first   []byte // of what the broker said, up to the length of a TLS alert's head
}

func (c *guardedConn) Write(p []byte) (int, error) {
	// RabbitMQ pushes back by not reading; a write that makes no progress for
	// this long is not push-back any more.
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil && c.shaking.Load() {
		// A broker that hangs up says why before; whether its words or the
		// failure of our next write are met first is chance, and the library
		// closes the connection at the latter.
		select {
		case <-c.ended:
		case <-time.After(lastWords):
		}
	}
	return n, err
}

func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.frames.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.first) < 2 {
		c.first = append(c.first, p[:min(n, 2)]...)
	}
	if err != nil && c.readErr == nil {
		c.readErr = err
		close(c.ended)
	}
	return n, err
}

// heard tells how the broker began to speak and why it ended, if it has.
func (c *guardedConn) heard() (first []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first, c.readErr
}

// dial connects, shakes hands and opens the virtual host, all within
// cfg.DialTimeout.
func dial(ctx context.Context, cfg Config, e Endpoint) (*amqp091.Connection, *guardedConn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Addr())
	if err != nil {
		return nil, nil, met(dialObstacle(err), dialError(err))
	}
	// The library clears deadlines when the handshake is done, so a deadline
	// here bounds the handshake and nothing else.
	deadline, _ := ctx.Deadline()
	if err := nc.SetReadDeadline(deadline); err != nil {
		_ = nc.Close() // the first error is the one that matters
		return nil, nil, err
	}
	// And a stopping process does not wait for the handshake.
	raw := nc
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()

	if cfg.TLS != nil {
		if nc, err = secure(ctx, cfg, e, nc); err != nil {
			return nil, nil, met(ObstacleTLS, err)
		}
	}
	g := &guardedConn{Conn: nc, writeTimeout: cfg.OpTimeout, frames: newFrameGuard(nc), ended: make(chan struct{})}
	g.shaking.Store(true)
	defer g.shaking.Store(false)
	conn, err := amqp091.Open(g, amqp091.Config{
		SASL:       []amqp091.Authentication{login(cfg.Login, e)},
		Vhost:      cfg.VHost,
		FrameSize:  maxFrame,
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
	first, ended := g.heard()
	if timedOut(ended) || ctx.Err() != nil {
		return met(ObstacleSilent, fmt.Errorf("no answer in the AMQP handshake within %v", cfg.DialTimeout))
	}
	var op *net.OpError
	switch {
	case cfg.TLS == nil && tlsAlert(first):
		return met(ObstacleTLS, errWantsTLS)
	case errors.As(ended, &op) && op.Op == "remote error":
		// With TLS 1.3 the client's handshake is over before the broker looks
		// at the client's certificate.
		return met(ObstacleTLS, explainTLS(ended, e))
	case errors.Is(err, amqp091.ErrSASL):
		return met(ObstacleLoginMethod, fmt.Errorf("broker does not offer login method %s: %w", cfg.Login, err))
	case errors.Is(err, amqp091.ErrCredentials), hasCode(err, amqp091.AccessRefused):
		return met(ObstacleLogin, fmt.Errorf("login as %q refused (%s): wrong user or password, or not allowed from here: %w",
			Clean(e.User), cfg.Login, explain(err)))
	case errors.Is(err, amqp091.ErrVhost), hasCode(err, amqp091.NotAllowed):
		return met(ObstacleVHost, fmt.Errorf("virtual host %q as user %q: %w", Clean(cfg.VHost), Clean(e.User), explain(err)))
	}
	return fmt.Errorf("AMQP handshake: %w", explain(err))
}

func login(method Login, e Endpoint) amqp091.Authentication {
	switch method {
	case Plain:
		return &amqp091.PlainAuth{Username: e.User, Password: e.Password.Reveal()}
	case External:
		return &amqp091.ExternalAuth{}
	default:
		return &amqp091.AMQPlainAuth{Username: e.User, Password: e.Password.Reveal()}
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
