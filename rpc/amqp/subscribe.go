package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Exchange describes an exchange. Only if it does not exist is it declared so.
type Exchange struct {
	Name, Kind          string
	Durable, AutoDelete bool
}

// Queue describes a queue of our own: never exclusive, never auto-delete.
type Queue struct {
	Name    string
	Durable bool
	Args    map[string]any
}

// Binding binds the subscription's queue to an exchange.
type Binding struct {
	Exchange Exchange
	Key      string
}

// Subscription is a queue of ours, what is bound to it, and who takes its
// messages. Its functions are called from one goroutine at a time.
type Subscription struct {
	Queue    Queue
	Bindings []Binding
	// Optional are bindings to exchanges that others make and that may not
	// exist: one that does is bound, one that does not is passed over and never
	// declared. It is asked at each set-up; nil: none. See [Conn.Bind] for
	// exchanges that appear later.
	Optional func() []Binding
	// Unwanted are bindings that the queue may still have from before, and
	// that are removed.
	Unwanted []Binding
	// Purge empties the queue before consuming.
	Purge bool
	// Prefetch bounds the deliveries that are not acknowledged; 0 no bound.
	Prefetch int
	// MaxBody bounds a message, in bytes; 0: [DefaultMaxMessage]. A larger one is
	// delivered without its body ([Delivery.TooLarge]).
	MaxBody int
	// Required holds publishing back until this subscription consumes.
	Required bool
	// DeleteOnStop deletes the queue at an orderly stop.
	DeleteOnStop bool
	// Deliver takes one message. It must not block for long: it holds up the
	// messages behind it (Prefetch keeps them on the broker).
	Deliver func(Delivery)
	// Up is called when the queue is bound, purged and consumed; Down when that
	// ended, with the reason. Both may be nil.
	Up   func(endpoint string)
	Down func(error)
}

// Delivery is one received message.
type Delivery struct {
	Body []byte
	// Exchange and Key are where it was published to.
	Exchange, Key string
	// Compression is the message header of that name, "" for none.
	Compression string
	Redelivered bool
	// TooLarge is the size of a body, in bytes, that is missing here because it
	// is over the subscription's limit; 0: it is not.
	TooLarge uint64
	// Received is when it was taken from the connection.
	Received time.Time

	ack func() error
}

// NewDelivery makes a delivery by hand: for the tests of those who take them.
func NewDelivery(body []byte, received time.Time, ack func() error) Delivery {
	return Delivery{Body: body, Received: received, ack: ack}
}

// Ack tells the broker to forget the message. On a connection that is gone it
// does nothing: the broker delivers the message again.
func (d Delivery) Ack() error {
	if d.ack == nil {
		return nil
	}
	return d.ack()
}

// resubscribeMin and resubscribeMax bound the wait before a subscription that
// failed is tried again on the same connection.
const (
	resubscribeMin = 100 * time.Millisecond
	resubscribeMax = 10 * time.Second
)

// subscribe keeps subscription i alive for as long as the session lives.
func (s *session) subscribe(ctx context.Context, i int) {
	sub := s.c.subs[i]
	log := s.c.log.With(zap.String("queue", sub.Queue.Name), zap.String("broker", s.endpoint.Addr()))
	said := ""
	wait := resubscribeMin
	for !s.over() && ctx.Err() == nil {
		up := false
		err := s.consume(sub, func() {
			up = true
			log.Info("subscribed", zap.Int("bindings", len(sub.Bindings)))
			if sub.Required {
				s.setReady(i, nil)
			}
			if sub.Up != nil {
				sub.Up(s.endpoint.Addr())
			}
		})
		if s.over() {
			err = s.reason()
		}
		if up {
			wait, said = resubscribeMin, ""
		}
		if sub.Required {
			s.setReady(i, err)
		}
		if up && sub.Down != nil {
			sub.Down(fmt.Errorf("broker %s: queue %s: %w", s.endpoint.Addr(), sub.Queue.Name, err))
		}
		if s.over() || ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said {
			said = text
			log.Warn("subscription failed; trying again on the same connection", zap.Error(err))
		}
		if !sleep(ctx, spread(wait, s.c.cfg.Rand())) {
			return
		}
		wait = min(2*wait, resubscribeMax)
	}
}

var errCancelled = errors.New("broker cancelled the consumer (was the queue deleted?)")

// consume sets the subscription up, calls up, and delivers until the channel,
// the consumer or the session ends. It always returns an error.
func (s *session) consume(sub Subscription, up func()) error {
	ch, others, err := s.prepare(sub)
	if err != nil {
		return err
	}
	defer s.closeChannel(ch)
	if others > 0 {
		// Either the broker has not noticed yet that our last connection died,
		// or a second agent runs under this host name. Ours is served first in
		// both cases (x-priority).
		s.c.log.Warn("queue has another consumer: a connection of ours that the broker has not given up yet, or a second agent for this host",
			zap.String("queue", sub.Queue.Name), zap.Int("consumers", others))
	}
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 1))
	if sub.Prefetch > 0 {
		if err := s.do("basic.qos", func() error { return ch.Qos(sub.Prefetch, 0, false) }); err != nil {
			return err
		}
	}
	tag := s.consumerTag()
	s.net.frames.limit(tag, int64(cmp.Or(sub.MaxBody, DefaultMaxMessage)))
	defer s.net.frames.forget(tag)
	var deliveries <-chan amqp091.Delivery
	err = s.do("basic.consume", func() (e error) {
		deliveries, e = ch.Consume(sub.Queue.Name, tag, false, false, false, false,
			amqp091.Table{"x-priority": s.c.cfg.Now().Unix()})
		return e
	})
	if err != nil {
		return err
	}
	up()
	for d := range deliveries {
		sub.Deliver(s.delivery(d))
	}
	return whyEnded(closed, cancelled)
}

// consumerTag returns a name for a consumer that no other has on this connection.
func (s *session) consumerTag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumers++
	return fmt.Sprintf("ctag-%d", s.consumers)
}

// whyEnded reads the notifications of a channel whose deliveries have ended.
// The library fills them before it ends the deliveries, and closes them all
// when the channel is gone: only a value says something.
func whyEnded(closed <-chan *amqp091.Error, cancelled <-chan string) error {
	select {
	case err, ok := <-closed:
		if ok {
			return explain(err)
		}
	default:
	}
	select {
	case _, ok := <-cancelled:
		if ok {
			return errCancelled
		}
	default:
	}
	return ErrConnectionLost
}

func (s *session) delivery(d amqp091.Delivery) Delivery {
	compression, _ := d.Headers["compression"].(string) // another type is no compression we know
	return Delivery{
		Body: d.Body, Exchange: d.Exchange, Key: d.RoutingKey, Compression: compression,
		Redelivered: d.Redelivered, Received: s.c.cfg.Now(),
		TooLarge: s.net.frames.tooLarge(d.ConsumerTag, d.DeliveryTag),
		ack: func() error {
			if err := d.Ack(false); err != nil {
				return fmt.Errorf("acknowledge: %w", explain(err))
			}
			return nil
		},
	}
}
