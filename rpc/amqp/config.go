package amqp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// Endpoint is one broker of the cluster, with the credentials that the
// transport URL gives for it.
type Endpoint struct {
	// Host is a name or an address, without brackets.
	Host string
	// Port is the TCP port; 0 means 5672 (oslo's default, also with TLS).
	Port     int
	User     string
	Password secret.Text
}

// DefaultPort is used for endpoints that name none.
const DefaultPort = 5672

// Addr returns "host:port", the name by which logs and errors call the broker.
func (e Endpoint) Addr() string {
	port := e.Port
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(port))
}

// String is Addr: an endpoint never shows its credentials.
func (e Endpoint) String() string { return e.Addr() }

// Strategy is the order in which endpoints are tried
// (kombu_failover_strategy).
type Strategy string

// The strategies that kombu knows.
const (
	RoundRobin Strategy = "round-robin"
	Shuffle    Strategy = "shuffle"
)

// Login is the SASL mechanism (rabbit_login_method).
type Login string

// The mechanisms that RabbitMQ and this package share.
const (
	AMQPlain Login = "AMQPLAIN"
	Plain    Login = "PLAIN"
	External Login = "EXTERNAL"
)

// Retry says how long to wait between rounds over all endpoints: Interval
// after the first failed round, Backoff more after each further one, at most
// Max (rabbit_retry_interval, rabbit_retry_backoff, rabbit_interval_max). Each
// wait is spread by a fifth either way.
type Retry struct {
	Interval, Backoff, Max time.Duration
}

// Config describes one supervised connection. The zero value of every field
// but Hosts means oslo.messaging's default or what the field says.
type Config struct {
	// Hosts are tried in turn; at least one.
	Hosts []Endpoint
	// VHost is the virtual host; "" means "/".
	VHost string
	// TLS, if not nil, enables TLS. It is asked for each connection anew, so that
	// authorities and certificates may be replaced while the process runs; an
	// error is that attempt's failure. An empty ServerName becomes the endpoint's
	// host.
	TLS func() (*tls.Config, error)
	// Heartbeat is how long a silent broker is believed to be alive
	// (heartbeat_timeout_threshold). 0 leaves the interval to the broker.
	Heartbeat time.Duration
	// Retry is the back-off between rounds of connection attempts.
	Retry Retry
	// ReconnectDelay is waited before the first attempt after a lost connection,
	// and a random part of ReconnectSplay on top (kombu_reconnect_delay,
	// kombu_reconnect_splay), so that the clients of a broker do not all come
	// back at once. With neither, it is a random part of Retry.Interval, at most
	// a second.
	ReconnectDelay, ReconnectSplay time.Duration
	// Failover is the order of attempts; default RoundRobin.
	Failover Strategy
	// Login is the SASL mechanism; default AMQPlain.
	Login Login
	// ConnectionName appears in the broker's management as the client's name.
	ConnectionName string
	// Product and Version are the client properties of these names.
	Product, Version string
	// DialTimeout bounds connect, TLS and AMQP handshake of one attempt;
	// default 10 s.
	DialTimeout time.Duration
	// OpTimeout bounds every synchronous exchange with the broker once
	// connected; a broker that takes longer is taken for dead and the
	// connection is closed; default 10 s.
	OpTimeout time.Duration
	// Logger receives one line per change of state; default none.
	Logger *zap.Logger
	// Now and Rand (uniform in [0,1)) are injected by tests.
	Now  func() time.Time
	Rand func() float64
}

// Defaults of oslo.messaging for what Config leaves at zero.
var defaultRetry = Retry{Interval: time.Second, Backoff: 2 * time.Second, Max: 30 * time.Second}

const (
	defaultDialTimeout = 10 * time.Second
	defaultOpTimeout   = 10 * time.Second
	// maxHeartbeat keeps a dead peer from going unnoticed for longer than 1.5
	// times this, whatever threshold the operator chose.
	maxHeartbeat = 10 * time.Second
)

func (c Config) withDefaults() Config {
	if c.VHost == "" {
		c.VHost = "/"
	}
	if c.Retry.Interval <= 0 {
		c.Retry.Interval = defaultRetry.Interval
	}
	if c.Retry.Backoff < 0 {
		c.Retry.Backoff = defaultRetry.Backoff
	}
	if c.Retry.Max <= 0 {
		c.Retry.Max = defaultRetry.Max
	}
	c.ReconnectDelay, c.ReconnectSplay = max(c.ReconnectDelay, 0), max(c.ReconnectSplay, 0)
	if c.Failover == "" {
		c.Failover = RoundRobin
	}
	if c.Login == "" {
		c.Login = AMQPlain
	}
	if c.DialTimeout <= 0 {
		c.DialTimeout = defaultDialTimeout
	}
	if c.OpTimeout <= 0 {
		c.OpTimeout = defaultOpTimeout
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

func (c Config) validate() error {
	if len(c.Hosts) == 0 {
		return errors.New("amqp: no broker to connect to")
	}
	for _, e := range c.Hosts {
		if e.Host == "" {
			return errors.New("amqp: a broker without a host name")
		}
		if e.Port < 0 || e.Port > 65535 {
			return fmt.Errorf("amqp: broker %s: port %d is not a TCP port", e.Host, e.Port)
		}
	}
	switch c.Failover {
	case "", RoundRobin, Shuffle:
	default:
		return fmt.Errorf("amqp: unknown failover strategy %q (want %q or %q)", c.Failover, RoundRobin, Shuffle)
	}
	switch c.Login {
	case "", AMQPlain, Plain, External:
	default:
		return fmt.Errorf("amqp: login method %q is not supported (want %q, %q or %q)", c.Login, AMQPlain, Plain, External)
	}
	return nil
}

// heartbeat is the interval to ask for. The library gives a peer up after 1.5
// intervals without a byte; the operator's threshold speaks of the giving up.
func (c Config) heartbeat() time.Duration {
	if c.Heartbeat <= 0 {
		return 0
	}
	hb := c.Heartbeat * 2 / 3
	if hb > maxHeartbeat {
		hb = maxHeartbeat
	}
	// The protocol counts whole seconds and the library takes less than one
	// for "the broker's choice".
	if hb < time.Second {
		hb = time.Second
	}
	return hb.Truncate(time.Second)
}
