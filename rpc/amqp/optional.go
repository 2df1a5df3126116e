package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Bind binds a queue of ours to those of the exchanges that exist by now, as
// the subscription's Optional ones are bound at its set-up. Binding again what
// is bound changes nothing; what was not is logged. While there is no connection
// it does nothing: the next set-up asks for the Optional ones. Nor while the broker
// blocks publishers.
//
// An exchange that the broker refuses for another reason than that it is not
// there is an error, after the others were bound.
//
// A missing exchange costs three exchanges with the broker and a line in its
// log (a channel is closed with 404), so ask for few, and seldom.
func (c *Conn) Bind(ctx context.Context, queue string, bindings ...Binding) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil || len(bindings) == 0 || s.deaf() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fresh, refused, err := s.bindOptional(queue, bindings)
	if len(fresh) > 0 {
		c.log.Info("bound to exchanges that did not exist before", zap.String("queue", queue), zap.Strings("exchanges", fresh))
	}
	return errors.Join(refused, err)
}

func (sub Subscription) optional() []Binding {
	if sub.Optional == nil {
		return nil
	}
	return sub.Optional()
}

// settle makes the bindings that may fail: the optional ones are made, the
// unwanted ones removed. What the broker refuses is said once.
func (s *session) settle(sub Subscription) error {
	optional := sub.optional()
	s.forgetBound(sub.Queue.Name) // it may be another queue of that name
	bound, refused, err := s.bindOptional(sub.Queue.Name, optional)
	if err != nil {
		return err
	}
	if len(optional) > 0 {
		s.c.log.Info("bound to the exchanges that exist", zap.String("queue", sub.Queue.Name),
			zap.Strings("exchanges", bound), zap.Int("asked_for", len(optional)))
	}
	kept, err := s.each("unbind queue %q from exchange %q", sub.Queue.Name, sub.Unwanted,
		func(ch *amqp091.Channel, b Binding) error {
			return ch.QueueUnbind(sub.Queue.Name, b.Key, b.Exchange.Name, nil)
		}, nil)
	s.c.sayRefused(sub.Queue.Name, errors.Join(refused, kept))
	return err
}

// sayRefused says what the broker refuses of a queue's bindings, when it is
// something else than the last time: set-ups are repeated.
func (c *Conn) sayRefused(queue string, refused error) {
	text := ""
	if refused != nil {
		text = refused.Error()
	}
	c.mu.Lock()
	said := c.refused[queue]
	if c.refused == nil {
		c.refused = map[string]string{}
	}
	c.refused[queue] = text
	c.mu.Unlock()
	if text != "" && text != said {
		c.log.Warn("the broker refuses, going on without", zap.String("queue", queue), zap.Error(refused))
	}
}

// bindOptional returns the exchanges that the queue was not bound to before, as
// far as this session knows, and what the broker refused.
func (s *session) bindOptional(queue string, bindings []Binding) (fresh []string, refused, err error) {
	refused, err = s.each("bind queue %q to exchange %q", queue, bindings,
		func(ch *amqp091.Channel, b Binding) error {
			return ch.QueueBind(queue, b.Key, b.Exchange.Name, false, nil)
		},
		func(b Binding, is bool) {
			if s.setBound(queue, b, is) && is {
				fresh = append(fresh, b.Exchange.Name)
			}
		})
	return fresh, refused, err
}

// setBound notes whether a queue is bound, and reports whether that is news.
func (s *session) setBound(queue string, b Binding, is bool) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [3]string{queue, b.Exchange.Name, b.Key}
	news = s.bound[key] != is
	if s.bound == nil {
		s.bound = map[[3]string]bool{}
	}
	s.bound[key] = is
	return news
}

func (s *session) forgetBound(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.bound, func(key [3]string, _ bool) bool { return key[0] == queue })
}

// each makes one operation for each binding, on a channel of its own, which the
// broker closes when it refuses: that something does not exist is silently
// taken, other refusals are returned when all were tried. Only the end of the
// connection ends it. done, if not nil, is told how each went.
func (s *session) each(what, queue string, bindings []Binding, op func(*amqp091.Channel, Binding) error,
	done func(Binding, bool)) (refused, err error) {
	var ch *amqp091.Channel
	defer func() { s.closeChannel(ch) }()
	var all []error
	for _, b := range bindings {
		if ch == nil {
			if ch, err = s.channel(); err != nil {
				return errors.Join(all...), err
			}
		}
		err := s.do(fmt.Sprintf(what, queue, b.Exchange.Name), func() error { return op(ch, b) })
		if err != nil && (s.over() || s.conn.IsClosed()) {
			return errors.Join(all...), err
		}
		if done != nil {
			done(b, err == nil)
		}
		if err == nil {
			continue
		}
		if !hasCode(err, amqp091.NotFound) {
			all = append(all, err)
		}
		s.closeChannel(ch)
		ch = nil
	}
	return errors.Join(all...), nil
}
