package amqp

import (
	"fmt"
	"maps"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// prepare makes the subscription's queue exist, bound and purged. It returns
// the channel to consume on and how many others consume the queue.
func (s *session) prepare(sub Subscription) (*amqp091.Channel, int, error) {
	for _, b := range sub.Bindings {
		if err := s.ensureExchange(b.Exchange); err != nil {
			return nil, 0, err
		}
	}
	ch, consumers, err := s.ensureQueue(sub)
	if err != nil {
		return nil, 0, err
	}
	if err := s.bind(ch, sub.Queue.Name, sub.Bindings); err != nil {
		s.closeChannel(ch)
		return nil, 0, err
	}
	if err := s.settle(sub); err != nil {
		s.closeChannel(ch)
		return nil, 0, err
	}
	if sub.Purge {
		err := s.do("purge queue", func() error {
			n, e := ch.QueuePurge(sub.Queue.Name, false)
			if e == nil && n > 0 {
				s.c.log.Debug("purged own queue", zap.String("queue", sub.Queue.Name), zap.Int("messages", n))
			}
			return e
		})
		if err != nil {
			s.closeChannel(ch)
			return nil, 0, err
		}
	}
	return ch, consumers, nil
}

// ensureExchange uses the exchange as it exists; only a missing one is
// declared. The question costs the channel if the answer is no (404).
func (s *session) ensureExchange(x Exchange) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	err = s.do(fmt.Sprintf("look for exchange %q", x.Name), func() error {
		return ch.ExchangeDeclarePassive(x.Name, x.Kind, x.Durable, x.AutoDelete, false, false, nil)
	})
	s.closeChannel(ch)
	if err == nil || !hasCode(err, amqp091.NotFound) {
		return err
	}
	if ch, err = s.channel(); err != nil {
		return err
	}
	defer s.closeChannel(ch)
	err = s.do(fmt.Sprintf("declare exchange %q", x.Name), func() error {
		return ch.ExchangeDeclare(x.Name, x.Kind, x.Durable, x.AutoDelete, false, false, nil)
	})
	if hasCode(err, amqp091.PreconditionFailed) {
		return nil // somebody was faster and chose otherwise: theirs it is
	}
	return err
}

// ensureQueue declares our queue. One of the same name but of another shape is
// ours from before an option was changed, and is replaced.
func (s *session) ensureQueue(sub Subscription) (*amqp091.Channel, int, error) {
	ch, n, err := s.declare(sub.Queue)
	switch {
	case err == nil:
		return ch, n, nil
	case hasCode(err, amqp091.PreconditionFailed):
		s.c.log.Info("own queue has another shape, replacing it",
			zap.String("queue", sub.Queue.Name), zap.NamedError("was", err))
		return s.replace(sub)
	case deprecatedTransient(err) && !sub.Queue.Durable:
		sub.Queue.Durable = true
		return s.declare(sub.Queue)
	}
	return nil, 0, err
}

// deprecatedTransient tells whether the broker refuses queues that are neither
// durable nor exclusive, as RabbitMQ 4 can (deprecated feature
// transient_nonexcl_queues).
func deprecatedTransient(err error) bool {
	return err != nil && strings.Contains(err.Error(), "transient_nonexcl_queues")
}

func (s *session) declare(q Queue) (*amqp091.Channel, int, error) {
	ch, err := s.channel()
	if err != nil {
		return nil, 0, err
	}
	args := amqp091.Table{}
	maps.Copy(args, q.Args)
	n := 0
	err = s.do(fmt.Sprintf("declare queue %q", q.Name), func() error {
		state, e := ch.QueueDeclare(q.Name, q.Durable, false, false, false, args)
		n = state.Consumers
		return e
	})
	if err != nil {
		s.closeChannel(ch)
		return nil, 0, err
	}
	return ch, n, nil
}

// replace deletes our queue and declares it anew. The fanout exchanges are
// auto-delete: were ours the last queue on one, deleting it would take the
// exchange along and cost the server its next push. A stand-in queue holds them
// for that moment.
func (s *session) replace(sub Subscription) (*amqp091.Channel, int, error) {
	ch, err := s.channel()
	if err != nil {
		return nil, 0, err
	}
	defer s.closeChannel(ch)
	var standIn string
	err = s.do("declare stand-in queue", func() error {
		q, e := ch.QueueDeclare("", false, true, true, false, nil)
		standIn = q.Name
		return e
	})
	if err != nil {
		return nil, 0, err
	}
	if err := s.bind(ch, standIn, sub.Bindings); err != nil {
		return nil, 0, err
	}
	// What is refused here is refused, and said, again when the queue is set up.
	if _, _, err := s.bindOptional(standIn, sub.optional()); err != nil {
		return nil, 0, err
	}
	err = s.do(fmt.Sprintf("delete queue %q", sub.Queue.Name), func() error {
		_, e := ch.QueueDelete(sub.Queue.Name, false, false, false)
		return e
	})
	if err != nil {
		return nil, 0, err
	}
	fresh, n, err := s.declare(sub.Queue)
	if err != nil {
		return nil, 0, err
	}
	err = s.bind(fresh, sub.Queue.Name, sub.Bindings)
	if err == nil {
		_, _, err = s.bindOptional(sub.Queue.Name, sub.optional())
	}
	if err != nil {
		s.closeChannel(fresh)
		return nil, 0, err
	}
	err = s.do("delete stand-in queue", func() error {
		_, e := ch.QueueDelete(standIn, false, false, false)
		return e
	})
	if err != nil {
		s.closeChannel(fresh)
		return nil, 0, err
	}
	return fresh, n, nil
}

func (s *session) bind(ch *amqp091.Channel, queue string, bindings []Binding) error {
	for _, b := range bindings {
		err := s.do(fmt.Sprintf("bind queue %q to exchange %q", queue, b.Exchange.Name), func() error {
			return ch.QueueBind(queue, b.Key, b.Exchange.Name, false, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
