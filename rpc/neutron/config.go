package neutron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Queues carries the options of [oslo_messaging_rabbit] that decide what a
// client declares. Exchanges that exist are used as they are; these options
// only matter for what does not exist yet, and for our own queues.
type Queues struct {
	Durable         bool // amqp_durable_queues
	AutoDelete      bool // amqp_auto_delete: of the control exchange only, never of our queues
	Quorum          bool // rabbit_quorum_queue
	TransientQuorum bool // rabbit_transient_quorum_queue
	StreamFanout    bool // rabbit_stream_fanout
	// Expires is how long the broker keeps a queue of ours that nobody
	// consumes (rabbit_transient_queues_ttl); default 30 minutes.
	Expires time.Duration
	// DeliveryLimit, MaxMemoryLength and MaxMemoryBytes are arguments of
	// quorum queues (rabbit_quorum_delivery_limit and so on); 0 sets none.
	DeliveryLimit, MaxMemoryLength, MaxMemoryBytes int
}

// Config describes one client.
type Config struct {
	// Broker is the connection. Its ConnectionName, Product, Logger, Now and
	// Rand are filled in from here if empty.
	Broker amqp.Config
	// Host is this host as Neutron knows it ("host" of neutron.conf).
	Host string
	// ControlExchange is Neutron's exchange; default "neutron".
	ControlExchange string
	// Queues are the cloud's choices of durability and queue type.
	Queues Queues
	// CallTimeout bounds a call, waiting for a connection included
	// (rpc_response_timeout); default 60 s. A context may shorten it.
	CallTimeout time.Duration
	// Prefetch bounds how many notifications may be on their way to the
	// receiver of Events; default 128.
	Prefetch int
	// RouterChunk is the most routers asked for in one sync_routers; default
	// 256. It shrinks while the server is too slow.
	RouterChunk int
	// ProxyChunk is the most routers named in one bulk_pull; default 1000.
	ProxyChunk int
	// PortChunk is the most ports named in one bulk_pull, an answer of some
	// 3 kB each; default 256. It shrinks while the server is too slow.
	PortChunk int
	// WantPort says whether a push about a port matters to anybody here. It is
	// asked for each id in each Port push of the cloud, from the goroutine that
	// takes messages, so it must be quick. Nil: ports are of no interest, and
	// our queue is bound to none of their exchanges.
	//
	// Ids are looked for by their shape, that of a UUID, which is what Neutron
	// gives to all ports.
	WantPort func(id string) bool
	// Called, if not nil, hears of each call that ended, how long it took and of its
	// error; from any goroutine. It must not wait.
	Called func(m Method, took time.Duration, err error)
	// Version of this program, for the broker's connection list.
	Version string
	// Logger is for state changes and what is dropped; default none.
	Logger *zap.Logger
	// Now is injected by tests.
	Now func() time.Time
}

// Defaults of Config.
const (
	DefaultControlExchange = "neutron"
	DefaultCallTimeout     = time.Minute
	DefaultPrefetch        = 128
	DefaultRouterChunk     = 256
	DefaultProxyChunk      = 1000
	DefaultPortChunk       = 256
	DefaultExpires         = 30 * time.Minute
)

func (c Config) withDefaults() (Config, error) {
	if c.Host == "" {
		return c, errors.New("neutron: the host name is empty")
	}
	// Host becomes part of a routing key, where * and # and white space would
	// make it a pattern or somebody else's.
	if strings.ContainsAny(c.Host, " \t\r\n*#") || len(c.Host) > 200 {
		return c, fmt.Errorf("neutron: host name %q cannot be part of a routing key", c.Host)
	}
	if c.ControlExchange == "" {
		c.ControlExchange = DefaultControlExchange
	}
	if c.CallTimeout <= 0 {
		c.CallTimeout = DefaultCallTimeout
	}
	if c.Prefetch <= 0 {
		c.Prefetch = DefaultPrefetch
	}
	if c.RouterChunk <= 0 {
		c.RouterChunk = DefaultRouterChunk
	}
	if c.ProxyChunk <= 0 {
		c.ProxyChunk = DefaultProxyChunk
	}
	if c.PortChunk <= 0 {
		c.PortChunk = DefaultPortChunk
	}
	if c.Queues.Expires <= 0 {
		c.Queues.Expires = DefaultExpires
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	b := &c.Broker
	if b.Product == "" {
		b.Product = DefaultBinary
	}
	if b.Version == "" {
		b.Version = c.Version
	}
	if b.ConnectionName == "" {
		b.ConnectionName = DefaultBinary + ":" + c.Host
	}
	if b.Logger == nil {
		b.Logger = c.Logger
	}
	if b.Now == nil {
		b.Now = c.Now
	}
	return c, nil
}
