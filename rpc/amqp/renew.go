package amqp

import (
	"context"
	"slices"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Renew binds a queue of ours again to all that its subscription names. That
// changes nothing, except where an exchange was deleted by hand: the binding went
// with it, and no message says so. Such an exchange is declared again. While
// there is no connection it does nothing: the next set-up binds; nor while the
// broker blocks publishers, since it does not read what they send then.
//
// It costs two exchanges with the broker, and one for each binding.
func (c *Conn) Renew(ctx context.Context, queue string) error {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	i := slices.IndexFunc(c.subs, func(sub Subscription) bool { return sub.Queue.Name == queue })
	if s == nil || i < 0 || s.deaf() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	bindings := c.subs[i].Bindings
	err := s.rebind(queue, bindings)
	if !hasCode(err, amqp091.NotFound) {
		return err
	}
	for _, b := range bindings {
		if err := s.ensureExchange(b.Exchange); err != nil {
			return err
		}
	}
	if err := s.rebind(queue, bindings); err != nil {
		return err
	}
	c.log.Warn("an exchange had gone, and with it what binds our queue to it: made again",
		zap.String("queue", queue), zap.NamedError("was", err))
	return nil
}

// rebind binds on a channel of its own, which the broker closes when it refuses.
func (s *session) rebind(queue string, bindings []Binding) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	defer s.closeChannel(ch)
	return s.bind(ch, queue, bindings)
}
