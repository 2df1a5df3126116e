package neutrontest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Options are the choices of the cloud that is played.
type Options struct {
	// Exchange is the control exchange; default "neutron".
	Exchange string
	// Durable and FanoutDurable give the exchanges' durability.
	Durable, FanoutDurable bool
	// Host is the agent host of an L3Agent.
	Host string
	// PortVersion is the version of the Server's Port objects; default "1.7". An
	// L3Agent for which it is given takes their pushes, as the L2 agent of its
	// host does.
	PortVersion string
	// Cloud is what a Server answers from, instead of what it was told by
	// [Server.SetRouter] and the like.
	Cloud Cloud
}

func (o Options) exchange() string {
	if o.Exchange == "" {
		return "neutron"
	}
	return o.Exchange
}

// link is a connection that comes back.
type link struct {
	t      testing.TB
	url    string
	opts   Options
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	pub   *amqp091.Channel // nil while not connected
	conn  *amqp091.Connection
	back  chan amqp091.Return
	fails chan *amqp091.Error
	up    chan struct{} // closed while connected
}

// ErrDown says that the link is not connected.
var ErrDown = errors.New("neutrontest: not connected")

// start connects and keeps connecting until the test is over. setup declares
// and consumes; it is called on each connection.
func (l *link) start(setup func(ctx context.Context, conn *amqp091.Connection) error) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.up = cancel, make(chan struct{})
	l.wg.Go(func() {
		for ctx.Err() == nil {
			if err := l.once(ctx, setup); err != nil && ctx.Err() == nil {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	})
	l.t.Cleanup(l.Stop)
	select {
	case <-l.isUp():
	case <-time.After(20 * time.Second):
		l.t.Fatalf("neutrontest: not connected to the broker within 20s")
	}
}

// Stop disconnects, as a process does that is stopped cleanly.
func (l *link) Stop() {
	l.cancel()
	l.wg.Wait()
}

func (l *link) isUp() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

func (l *link) once(ctx context.Context, setup func(context.Context, *amqp091.Connection) error) error {
	conn, err := amqp091.DialConfig(l.url, amqp091.Config{Heartbeat: 5 * time.Second, Locale: "en_US",
		Properties: amqp091.Table{"connection_name": "neutrontest"}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) }()
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	pub, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := pub.Confirm(false); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := setup(ctx, conn); err != nil {
		l.t.Logf("neutrontest: %v", err)
		return err
	}
	l.mu.Lock()
	l.pub, l.conn = pub, conn
	l.watch()
	close(l.up)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.pub, l.up = nil, make(chan struct{})
		l.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-closed:
		if err == nil {
			return ErrDown
		}
		return err
	}
}

// watch listens to the publishing channel; l.mu is held.
func (l *link) watch() {
	l.back = l.pub.NotifyReturn(make(chan amqp091.Return, 4))
	l.fails = l.pub.NotifyClose(make(chan *amqp091.Error, 1))
}

// ErrUnrouted says that no queue took a message.
var ErrUnrouted = errors.New("neutrontest: no queue took the message")

// publish sends a message and tells what became of it.
func (l *link) publish(exchange, key string, body []byte, expiration string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pub == nil {
		return ErrDown
	}
	for len(l.back) > 0 {
		<-l.back
	}
	dc, err := l.pub.PublishWithDeferredConfirm(exchange, key, true, false, amqp091.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Body: body, Expiration: expiration,
		Headers: amqp091.Table{},
	})
	if err != nil {
		return err
	}
	select {
	case <-dc.Done():
	case err := <-l.fails:
		return l.reopen(err)
	case <-time.After(10 * time.Second):
		return errors.New("neutrontest: message not confirmed within 10s")
	}
	select {
	case <-l.back:
		return fmt.Errorf("%w: exchange %q, key %q", ErrUnrouted, exchange, key)
	case err := <-l.fails:
		return l.reopen(err)
	default:
	}
	return nil
}

// reopen replaces the publishing channel that err has closed; l.mu is held.
func (l *link) reopen(err *amqp091.Error) error {
	if err == nil {
		return ErrDown
	}
	if ch, e := l.conn.Channel(); e == nil && ch.Confirm(false) == nil {
		l.pub = ch
		l.watch()
	}
	return err
}

// consume declares a queue, binds it and handles its messages in order. With
// no exchange there is no binding.
func (l *link) consume(conn *amqp091.Connection, queue string, durable bool, args amqp091.Table, exchange, key string,
	handle func(amqp091.Delivery)) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(queue, durable, false, false, false, args); err != nil {
		return err
	}
	if exchange != "" {
		if err := ch.QueueBind(queue, key, exchange, false, nil); err != nil {
			return err
		}
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	l.wg.Go(func() {
		for d := range deliveries {
			handle(d)
			_ = d.Ack(false) // on a connection that is gone it comes again
		}
	})
	return nil
}

func (l *link) control(ch *amqp091.Channel) error {
	return ch.ExchangeDeclare(l.opts.exchange(), "topic", l.opts.Durable, false, false, false, nil)
}

func (l *link) fanout(ch *amqp091.Channel, topic string) error {
	return ch.ExchangeDeclare(topic+"_fanout", "fanout", l.opts.FanoutDurable, true, false, false, nil)
}

// channel is what the helpers need of one.
type channel = *amqp091.Channel

// onChannel does something on a channel of its own.
func (l *link) onChannel(do func(channel) error) error {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return ErrDown
	}
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return errors.Join(do(ch), ch.Close())
}

func hexID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return hex.EncodeToString(b[:])
}

// Envelope puts a message into an oslo.messaging envelope.
func Envelope(message any) []byte {
	inner, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	body, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": string(inner)})
	if err != nil {
		panic(err)
	}
	return body
}

// open takes a message out of its envelope.
func open(body []byte) (map[string]json.RawMessage, error) {
	var env map[string]string
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal([]byte(env["oslo.message"]), &m)
}

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // not a string: ""
	return s
}
