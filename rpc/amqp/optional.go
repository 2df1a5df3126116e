package amqp

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Bind binds a queue of ours to those of the exchanges that exist by now, as
// the subscription's Optional ones are bound at its set-up. Binding again what
// is bound changes nothing. While there is no connection it does nothing: the
// next set-up asks for the Optional ones.
//
// A missing exchange costs three exchanges with the broker and a line in its
// log (a channel is closed with 404), so ask for few, and seldom.
func (c *Conn) Bind(ctx context.Context, queue string, bindings ...Binding) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil || len(bindings) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.bindOptional(queue, bindings)
	return err
}

func (sub Subscription) optional() []Binding {
	if sub.Optional == nil {
		return nil
	}
	return sub.Optional()
}

// settle makes the bindings that may fail: the optional ones are made, the
// unwanted ones removed.
func (s *session) settle(sub Subscription) error {
	optional := sub.optional()
	bound, err := s.bindOptional(sub.Queue.Name, optional)
	if err != nil {
		return err
	}
	if len(optional) > 0 {
		s.c.log.Info("bound to the exchanges that exist", zap.String("queue", sub.Queue.Name),
			zap.Strings("exchanges", bound), zap.Int("asked_for", len(optional)))
	}
	return s.each("unbind queue %q from exchange %q", sub.Queue.Name, sub.Unwanted,
		func(ch *amqp091.Channel, b Binding) error {
			return ch.QueueUnbind(sub.Queue.Name, b.Key, b.Exchange.Name, nil)
		})
}

func (s *session) bindOptional(queue string, bindings []Binding) (bound []string, err error) {
	err = s.each("bind queue %q to exchange %q", queue, bindings, func(ch *amqp091.Channel, b Binding) error {
		e := ch.QueueBind(queue, b.Key, b.Exchange.Name, false, nil)
		if e == nil {
			bound = append(bound, b.Exchange.Name)
		}
		return e
	})
	return bound, err
}

// each makes one operation for each binding, on a channel of its own, which the
// broker closes when it refuses: that something does not exist is silently
// taken, another refusal is logged. Only the end of the connection is an error.
func (s *session) each(what, queue string, bindings []Binding, op func(*amqp091.Channel, Binding) error) error {
	var ch *amqp091.Channel
	defer func() { s.closeChannel(ch) }()
	for _, b := range bindings {
		if ch == nil {
			var err error
			if ch, err = s.channel(); err != nil {
				return err
			}
		}
		err := s.do(fmt.Sprintf(what, queue, b.Exchange.Name), func() error { return op(ch, b) })
		switch {
		case err == nil:
			continue
		case s.over() || s.conn.IsClosed():
			return err
		case !hasCode(err, amqp091.NotFound):
			s.c.log.Warn("the broker refuses, going on without", zap.Error(err))
		}
		s.closeChannel(ch)
		ch = nil
	}
	return nil
}
