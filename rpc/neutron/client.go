package neutron

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// Client is one agent's connection to Neutron. Make it with New and run it;
// calls and Status may be used from any goroutine while it runs.
type Client struct {
	cfg    Config
	log    *zap.Logger
	conn   *amqp.Conn
	rpc    *oslo.Client
	events *queue
	queue  string
	// How many to ask for at once, as the server can stand.
	routerChunk, portChunk *chunker

	// bind is amqp.Conn.Bind.
	bind     func(ctx context.Context, queue string, bindings ...amqp.Binding) error
	versions portVersions

	subscribed atomic.Bool
	counts     counters
}

type counters struct {
	events, ignored, unwanted, garbled, duplicates, superseded atomic.Uint64
}

// Status is what there is to say about the client.
type Status struct {
	// Connected says that a broker is connected; Subscribed that notifications
	// flow, too.
	Connected, Subscribed bool
	// Endpoint is the broker, "host:port": the one connected to or last tried.
	Endpoint string
	// Since is when Connected last changed.
	Since time.Time
	// LastError is why there is no connection, nil while there is one.
	LastError error
	// Blocked is why the broker blocks publishers, "" if it does not.
	Blocked string
	// Counts since the start. Superseded events were replaced by a Subscribed
	// before anybody received them; stray replies came to no call of ours
	// (too late); ignored messages had a method that is none of our business;
	// unwanted ones were about ports that nobody here wants.
	Connections, Attempts, Losses                              uint64
	Events, Ignored, Unwanted, Garbled, Duplicates, Superseded uint64
	StrayReplies, GarbledReplies                               uint64
}

// repeats is how many message ids are remembered to recognise repeats.
const repeats = 4096

// maxNotification bounds a message that nobody here asked for, compressed or not:
// Prefetch of them may be in memory. The largest real ones name routers, 40
// bytes each; an object that is pushed has some kilobytes.
const maxNotification = 1 << 20

// New checks the configuration and prepares the client; Run connects it.
func New(cfg Config) (*Client, error) { return create(cfg, newClient) }

// NewCaller returns a client that asks and hears nothing: no queue is bound to
// anything, and the one for its answers is deleted when Run ends (by its x-expires, if
// this process is killed). So it may run beside the agent of the same host. Events
// says nothing, and Status().Subscribed stays false.
func NewCaller(cfg Config) (*Client, error) { return create(cfg, newCaller) }

func create(cfg Config, with func(Config, oslo.Broker) *Client) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := amqp.New(cfg.Broker)
	if err != nil {
		return nil, err
	}
	c := with(cfg, conn)
	c.conn, c.bind = conn, conn.Bind
	return c, nil
}

func newCaller(cfg Config, broker oslo.Broker) *Client {
	c := &Client{cfg: cfg, log: cfg.Logger, events: newQueue(),
		queue: QueueName(cfg.Host), routerChunk: newChunker(cfg.RouterChunk), portChunk: newChunker(cfg.PortChunk)}
	c.rpc = oslo.NewClient(broker, oslo.Config{
		Exchange: cfg.ControlExchange, Queue: cfg.Queues.replyQueue(), Timeout: cfg.CallTimeout,
		Logger: cfg.Logger, Now: cfg.Now,
	})
	return c
}

// newClient is a caller with the queue that hears.
func newClient(cfg Config, broker oslo.Broker) *Client {
	c := newCaller(cfg, broker)
	seen := oslo.NewSeen(repeats)
	broker.Subscribe(amqp.Subscription{
		Queue: cfg.Queues.tapQueue(cfg.Host), Bindings: bindings(cfg), Purge: true, Prefetch: cfg.Prefetch, MaxBody: maxNotification,
		Optional: c.portBindings, Unwanted: cfg.unwantedBindings(),
		Deliver: func(d amqp.Delivery) { c.deliver(d, seen) },
		Up:      c.up,
		Down:    c.down,
	})
	return c
}

// Run connects and keeps connecting until ctx is done; then it closes the
// connection and returns nil. An unreachable broker is no reason to return.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { c.events.run(ctx) })
	err := c.conn.Run(ctx)
	wg.Wait()
	return err
}

// Events returns the stream of events, in order of arrival. A message is
// acknowledged when its event was received from this channel; while nobody
// receives, at most Prefetch messages are taken from the broker. The channel
// is never closed.
func (c *Client) Events() <-chan Event { return c.events.out }

// Status returns the present state.
func (c *Client) Status() Status {
	s := c.conn.Status()
	stray, garbled := c.rpc.Stats()
	return Status{
		Connected: s.Connected, Subscribed: c.subscribed.Load(), Endpoint: s.Endpoint, Since: s.Since,
		LastError: s.LastError, Blocked: s.Blocked,
		Connections: s.Connections, Attempts: s.Attempts, Losses: s.Losses,
		Events: c.counts.events.Load(), Ignored: c.counts.ignored.Load(), Unwanted: c.counts.unwanted.Load(), Garbled: c.counts.garbled.Load(),
		Duplicates: c.counts.duplicates.Load(), Superseded: c.counts.superseded.Load(),
		StrayReplies: stray, GarbledReplies: garbled,
	}
}

func (c *Client) up(endpoint string) {
	c.subscribed.Store(true)
	n := c.events.restart(Subscribed{Header: Header{Received: c.cfg.Now()}, Endpoint: endpoint})
	c.counts.superseded.Add(uint64(n)) //nolint:gosec // a length
}

func (c *Client) down(err error) {
	c.subscribed.Store(false)
	if errors.Is(err, context.Canceled) {
		return // an orderly stop is nobody's news
	}
	c.events.put(Disconnected{Header: Header{Received: c.cfg.Now()}, Err: err}, nil)
}

// deliver turns one message of our queue into an event. The message is
// acknowledged when the event has been received, at once if there is none.
func (c *Client) deliver(d amqp.Delivery, seen *oslo.Seen) {
	ack := func() {
		if err := d.Ack(); err != nil {
			c.log.Debug("notification not acknowledged; it will come again", zap.String("queue", c.queue), zap.Error(err))
		}
	}
	if strings.HasPrefix(d.Exchange, topicPort) && !mentionsWanted(d, c.cfg.WantPort) {
		c.counts.unwanted.Add(1)
		ack()
		return
	}
	h := Header{Received: d.Received, Redelivered: d.Redelivered}
	body, err := oslo.Body(d, maxNotification)
	var r *oslo.Request
	if err == nil {
		r, err = oslo.DecodeRequest(body)
	}
	var e Event
	if err == nil {
		h.RequestID = amqp.Clean(r.RequestID)
		if seen.Repeat(r.UniqueID) {
			c.counts.duplicates.Add(1)
			ack()
			return
		}
		e, err = decodeNotification(r, h, c.cfg.WantPort)
	}
	switch {
	case err != nil:
		c.counts.garbled.Add(1)
		c.log.Error("garbled message dropped", zap.String("queue", c.queue),
			zap.String("exchange", amqp.Clean(d.Exchange)), zap.Error(err))
		e = Garbled{Header: h, Queue: c.queue, Err: fmt.Errorf("queue %s: message from exchange %q: %w",
			c.queue, amqp.Clean(d.Exchange), err)}
	case e == nil:
		c.counts.ignored.Add(1)
		ack()
		return
	}
	c.counts.events.Add(1)
	c.events.put(e, ack)
}
