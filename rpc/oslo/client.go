package oslo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Broker is what a client needs of an [amqp.Conn].
type Broker interface {
	Subscribe(amqp.Subscription)
	Publish(context.Context, amqp.Message) error
}

// Config describes a client.
type Config struct {
	// Exchange is the control exchange of the service that is called.
	Exchange string
	// Queue gives the shape of the reply queue; its name is made up here.
	Queue amqp.Queue
	// Timeout bounds a call; the context may shorten it.
	Timeout time.Duration
	Logger  *zap.Logger
	Now     func() time.Time
}

// Client makes calls and casts.
type Client struct {
	cfg    Config
	broker Broker
	reply  string // the queue of all our replies

	mu      sync.Mutex
	pending map[string]*pending // by _msg_id

	stray, garbled atomic.Uint64
}

// pending is a call under way. Result and err belong to the client's lock until
// answer is closed, and to the caller after that.
type pending struct {
	answer chan struct{}
	result json.RawMessage
	err    error
}

// NewClient makes a client and subscribes its reply queue: one for the life of
// the process, as oslo.messaging has it, deleted at an orderly stop and
// otherwise by its x-expires.
func NewClient(b Broker, cfg Config) *Client {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg, broker: b, reply: "reply_" + newID(), pending: map[string]*pending{}}
	q := cfg.Queue
	q.Name = c.reply
	seen := NewSeen(1024)
	b.Subscribe(amqp.Subscription{
		Queue: q, Required: true, DeleteOnStop: true, Prefetch: replyPrefetch, MaxBody: MaxMessage,
		Deliver: func(d amqp.Delivery) { c.deliver(d, seen) },
		Down:    c.lost,
	})
	return c
}

// replyPrefetch bounds the replies in memory that were not looked at yet. They
// are acknowledged at once, so more would not be faster.
const replyPrefetch = 4

// Stats counts replies that nobody waits for (any more) and messages on the
// reply queue that are no replies.
func (c *Client) Stats() (stray, garbled uint64) { return c.stray.Load(), c.garbled.Load() }

// Late are arguments that are made when the message is about to leave the
// process, such as one that tells the time.
type Late func() any

// Call asks the server of a topic and decodes the answer into result (nil: it
// is not looked at). A null answer leaves result alone.
//
// The errors are *RemoteError, ErrTimeout (sent, no answer), the errors of
// [amqp.Conn.Publish], and that of ctx if it was cancelled.
func (c *Client) Call(ctx context.Context, topic, version, method string, args, result any) error {
	what := method + " on " + topic
	parent, budget := ctx, c.budget(ctx)
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	answer, err := c.call(ctx, topic, version, method, args)
	if err != nil {
		if parent.Err() != nil && errors.Is(parent.Err(), context.Canceled) {
			return fmt.Errorf("call %s: %w", what, parent.Err())
		}
		if errors.Is(err, ErrTimeout) {
			return fmt.Errorf("call %s: %w (%s)", what, err, budget)
		}
		return fmt.Errorf("call %s: %w", what, err)
	}
	if result == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("call %s: decode answer: %s", what, amqp.Clean(err.Error()))
	}
	return nil
}

// budget words how long a call may take. It is not measured: one trouble is to
// have one text.
func (c *Client) budget(ctx context.Context) string {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < c.cfg.Timeout {
		return "within the caller's deadline"
	}
	return fmt.Sprintf("within %v", c.cfg.Timeout)
}

func (c *Client) call(ctx context.Context, topic, version, method string, args any) (json.RawMessage, error) {
	id := newID()
	m, err := message(args, func(raw json.RawMessage) ([]byte, error) {
		return seal(outgoingCall{outgoing: c.outgoing(method, version, raw), MsgID: id, ReplyQ: c.reply})
	})
	if err != nil {
		return nil, err
	}
	p := &pending{answer: make(chan struct{})}
	c.mu.Lock()
	c.pending[id] = p
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()
	// The server drops a request that waited for longer than its caller.
	// Rounding to the clock's noise keeps "60000" on the wire for 60 s.
	deadline, _ := ctx.Deadline()
	expiration := time.Until(deadline).Round(5 * time.Millisecond)
	m.Exchange, m.Key, m.Mandatory, m.Expiration = c.cfg.Exchange, topic, true, max(expiration, time.Millisecond)
	sent := c.broker.Publish(ctx, m)
	// A message that is not confirmed may still be answered.
	if sent != nil && !errors.Is(sent, amqp.ErrUnconfirmed) {
		return nil, sent
	}
	select {
	case <-p.answer:
		return p.result, p.err
	case <-ctx.Done():
		if sent != nil {
			return nil, fmt.Errorf("%w: %w", ErrTimeout, sent)
		}
		return nil, ErrTimeout
	}
}

// Cast sends a message that is not answered.
func (c *Client) Cast(ctx context.Context, topic, version, method string, args any) error {
	what := method + " on " + topic
	m, err := message(args, func(raw json.RawMessage) ([]byte, error) {
		return seal(c.outgoing(method, version, raw))
	})
	if err != nil {
		return fmt.Errorf("cast %s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	m.Exchange, m.Key, m.Mandatory = c.cfg.Exchange, topic, true
	if err := c.broker.Publish(ctx, m); err != nil {
		return fmt.Errorf("cast %s: %w", what, err)
	}
	return nil
}

// message prepares a message whose body finish makes of the encoded arguments:
// now, or as late as the arguments are made.
func message(args any, finish func(json.RawMessage) ([]byte, error)) (amqp.Message, error) {
	encoded := func(args any) ([]byte, error) {
		raw, err := encode(args)
		if err != nil {
			return nil, fmt.Errorf("encode arguments: %w", err)
		}
		return finish(raw)
	}
	if late, ok := args.(Late); ok {
		return amqp.Message{Make: func() ([]byte, error) { return encoded(late()) }}, nil
	}
	body, err := encoded(args)
	return amqp.Message{Body: body}, err
}

func (c *Client) outgoing(method, version string, args json.RawMessage) outgoing {
	return outgoing{Method: method, Args: args, Version: version, UniqueID: newID(),
		requestContext: newContext(c.cfg.Now())}
}

// deliver takes one message of the reply queue.
func (c *Client) deliver(d amqp.Delivery, seen *Seen) {
	if err := d.Ack(); err != nil {
		c.cfg.Logger.Debug("reply not acknowledged; it will come again", zap.Error(err))
	}
	body, err := Body(d, MaxMessage)
	var r *Reply
	if err == nil {
		r, err = DecodeReply(body)
	}
	if err != nil {
		c.garbled.Add(1)
		c.cfg.Logger.Error("garbled message dropped", zap.String("queue", c.reply), zap.Error(err))
		return
	}
	if seen.Repeat(r.UniqueID) {
		return
	}
	if !c.take(r) {
		c.stray.Add(1)
		c.cfg.Logger.Debug("reply to no call of ours (too late?) dropped", zap.String("msg_id", amqp.Clean(r.MsgID)))
	}
}

// take adds one reply to its call, if that is under way. A call may be answered
// in several replies, of which the last says "ending" and may have no result of
// its own.
func (c *Client) take(r *Reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[r.MsgID]
	if p == nil {
		return false
	}
	if err := r.Err(); err != nil {
		c.finish(r.MsgID, p, err)
		return true
	}
	if len(r.Result) > 0 && (p.result == nil || string(r.Result) != "null") {
		p.result = r.Result
	}
	if r.Ending {
		c.finish(r.MsgID, p, nil)
	}
	return true
}

// finish ends a call and makes it the caller's; c.mu is held.
func (c *Client) finish(id string, p *pending, err error) {
	if p.err = err; err != nil {
		p.result = nil
	}
	delete(c.pending, id)
	close(p.answer)
}

// lost fails what is under way: the answers may be lost with the queue, and the
// callers are better off asking again than waiting.
func (c *Client) lost(err error) {
	if !errors.Is(err, amqp.ErrConnectionLost) {
		err = fmt.Errorf("%w: %w", amqp.ErrConnectionLost, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.pending {
		c.finish(id, p, err)
	}
}
