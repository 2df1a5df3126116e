package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Message is one message to publish, with the properties that oslo.messaging
// sets: application/json, utf-8, delivery mode 2, priority 0.
type Message struct {
	Exchange, Key string
	Body          []byte
	// Make, if not nil, makes the body when the message is about to leave, which
	// may be long after Publish was called. It may be called more than once.
	Make func() ([]byte, error)
	// Mandatory asks the broker to give the message back if no queue takes it
	// (ErrUnroutable).
	Mandatory bool
	// Expiration is how long the message is worth delivering; 0 for ever. It
	// travels in whole milliseconds, rounded up.
	Expiration time.Duration
}

// publisher is a session's channel for publishing, in confirm mode. One
// message is under way at a time, so that a return belongs to it.
type publisher struct {
	s       *session
	ch      *amqp091.Channel
	returns chan amqp091.Return
	failed  chan *amqp091.Error // why ch was closed
	turn    chan struct{}       // holds one token
}

func newPublisher(s *session) (*publisher, error) {
	ch, err := s.channel()
	if err != nil {
		return nil, err
	}
	if err := s.do("confirm.select", func() error { return ch.Confirm(false) }); err != nil {
		s.closeChannel(ch)
		return nil, err
	}
	p := &publisher{s: s, ch: ch, turn: make(chan struct{}, 1),
		failed: ch.NotifyClose(make(chan *amqp091.Error, 1)),
		// One message is under way, so one can come back; the rest of the room
		// is for returns whose sender gave up.
		returns: ch.NotifyReturn(make(chan amqp091.Return, 16))}
	p.turn <- struct{}{}
	return p, nil
}

// Publish sends m and waits for the broker's confirmation, for a connection
// first if there is none. All waiting ends with ctx. The errors are
// ErrNotConnected, ErrBlocked, ErrUnroutable, ErrNacked (not sent or not
// routed: safe to repeat), ErrUnconfirmed and ErrConnectionLost (perhaps
// routed).
func (c *Conn) Publish(ctx context.Context, m Message) error {
	for {
		s, err := c.await(ctx)
		if err != nil {
			return err
		}
		err = s.pub.publish(ctx, m)
		if errors.Is(err, errNotSent) {
			continue // the session ended before the message left
		}
		return err
	}
}

var errNotSent = errors.New("session over")

func (p *publisher) publish(ctx context.Context, m Message) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer func() { p.turn <- struct{}{} }()
	p.drain()
	if p.s.over() {
		return errNotSent
	}
	if p.ch.IsClosed() {
		// Only this channel: an error of an earlier message, such as an
		// exchange that does not exist.
		if err := p.reopen(); err != nil {
			return err
		}
	}
	if m.Make != nil {
		var err error
		if m.Body, err = m.Make(); err != nil {
			return fmt.Errorf("publish to %q: %w", m.Exchange, err)
		}
	}
	dc, err := p.send(m)
	if err != nil {
		return err
	}
	return p.confirmed(ctx, m, dc)
}

// acquire waits for the turn and for the broker to take messages.
func (p *publisher) acquire(ctx context.Context) error {
	select {
	case <-p.turn:
	case <-p.s.done:
		return errNotSent
	case <-ctx.Done():
		return p.gaveUp(ctx)
	}
	for {
		reason, changed := p.s.blockState()
		if reason == "" {
			return nil
		}
		var err error
		select {
		case <-changed:
			continue
		case <-p.s.done:
			err = errNotSent
		case <-ctx.Done():
			err = p.gaveUp(ctx)
		}
		p.turn <- struct{}{}
		return err
	}
}

// gaveUp words the end of the caller's patience.
func (p *publisher) gaveUp(ctx context.Context) error {
	if reason, _ := p.s.blockState(); reason != "" {
		return fmt.Errorf("broker %s: %w: %s (%w)", p.s.endpoint.Addr(), ErrBlocked, reason, ctx.Err())
	}
	return fmt.Errorf("broker %s: %w (%w)", p.s.endpoint.Addr(), ErrUnconfirmed, ctx.Err())
}

// drain forgets returns of messages whose sender gave up.
func (p *publisher) drain() {
	for {
		select {
		case _, ok := <-p.returns:
			if !ok {
				return
			}
		default:
			return
		}
	}
}

func (p *publisher) reopen() error {
	fresh, err := newPublisher(p.s)
	if err != nil {
		return err
	}
	p.ch, p.returns, p.failed = fresh.ch, fresh.returns, fresh.failed
	return nil
}

func (p *publisher) send(m Message) (dc *amqp091.DeferredConfirmation, err error) {
	out := amqp091.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8",
		DeliveryMode: amqp091.Persistent, Body: m.Body, Headers: amqp091.Table{},
	}
	if m.Expiration > 0 {
		ms := (m.Expiration + time.Millisecond - 1) / time.Millisecond
		out.Expiration = strconv.FormatInt(int64(ms), 10)
	}
	err = p.s.do(fmt.Sprintf("publish to %q", m.Exchange), func() (e error) {
		dc, e = p.ch.PublishWithDeferredConfirm(m.Exchange, m.Key, m.Mandatory, false, out)
		return e
	})
	return dc, err
}

// confirmed waits for what becomes of the message.
func (p *publisher) confirmed(ctx context.Context, m Message, dc *amqp091.DeferredConfirmation) error {
	budget := time.NewTimer(p.s.c.cfg.OpTimeout)
	defer budget.Stop()
	for {
		reason, changed := p.s.blockState()
		select {
		case <-dc.Done():
			return p.verdict(m, dc)
		case err, ok := <-p.failed:
			return p.closed(m, err, ok)
		case <-p.s.done:
			return fmt.Errorf("publish to %q: %w", m.Exchange, p.s.reason())
		case <-changed:
		case <-ctx.Done():
			return p.gaveUp(ctx)
		case <-budget.C:
			if reason != "" {
				continue // it is alive and has said why; ctx decides
			}
			return p.probe()
		}
	}
}

// verdict reads the broker's decision. Its basic.return precedes its
// basic.ack on the wire, and the library hands both over in that order.
func (p *publisher) verdict(m Message, dc *amqp091.DeferredConfirmation) error {
	if dc.Acked() {
		select {
		case r, ok := <-p.returns:
			if ok && bytes.Equal(r.Body, m.Body) {
				return fmt.Errorf("exchange %q, key %q: %w (%s)", m.Exchange, m.Key, ErrUnroutable, Clean(r.ReplyText))
			}
		default:
		}
		return nil
	}
	// The library also resolves confirmations as refused when it closes.
	select {
	case err, ok := <-p.failed:
		return p.closed(m, err, ok)
	default:
	}
	if p.ch.IsClosed() {
		return p.closed(m, nil, false)
	}
	return fmt.Errorf("exchange %q, key %q: %w", m.Exchange, m.Key, ErrNacked)
}

// closed words the end of the channel with a message under way.
func (p *publisher) closed(m Message, err *amqp091.Error, ok bool) error {
	switch {
	case ok && hasCode(err, amqp091.NotFound):
		return fmt.Errorf("exchange %q, key %q: %w: %w", m.Exchange, m.Key, ErrUnroutable, explain(err))
	case ok && err.Server:
		return fmt.Errorf("publish to %q: %w", m.Exchange, explain(err))
	case p.s.over():
		return fmt.Errorf("publish to %q: %w", m.Exchange, p.s.reason())
	}
	return fmt.Errorf("publish to %q: %w", m.Exchange, ErrConnectionLost)
}

// probe tells a dead broker (the session ends) from one that lives but does
// not confirm, as with a queue that has lost its quorum.
func (p *publisher) probe() error {
	ch, err := p.s.channel()
	if err != nil {
		return err
	}
	p.s.closeChannel(ch)
	return fmt.Errorf("broker %s: %w within %v", p.s.endpoint.Addr(), ErrUnconfirmed, p.s.c.cfg.OpTimeout)
}
