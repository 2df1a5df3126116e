package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Traced is one message as RabbitMQ's firehose saw it pass.
type Traced struct {
	Event       string // "publish" or "deliver"
	Exchange    string
	RoutingKeys []string
	Queue       string // of a delivery
	Redelivered bool
	// from the oslo.messaging envelope, if it is one
	UniqueID, MsgID, ReplyQueue, Method string
	Args                                json.RawMessage
}

// Firehose records every message that is published to, or delivered by, the lab's broker.
type Firehose struct {
	lab  *Lab
	conn *amqp.Connection
	done chan struct{}

	mu     sync.Mutex
	traced []Traced
	seen   map[string]bool
}

// StartFirehose turns tracing on and begins to record; end it with Stop.
func (l *Lab) StartFirehose(ctx context.Context) (*Firehose, error) {
	if _, err := l.RabbitMQ(ctx, "trace_on"); err != nil {
		return nil, err
	}
	conn, err := amqp.Dial(AMQPURL)
	if err != nil {
		return nil, fmt.Errorf("firehose: %w", err)
	}
	f := &Firehose{lab: l, conn: conn, done: make(chan struct{}), seen: map[string]bool{}}
	deliveries, err := f.consume()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("firehose: %w", err)
	}
	go func() {
		defer close(f.done)
		for d := range deliveries {
			f.record(d)
		}
	}()
	return f, nil
}

func (f *Firehose) consume() (<-chan amqp.Delivery, error) {
	ch, err := f.conn.Channel()
	if err != nil {
		return nil, err
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"publish.#", "deliver.#"} {
		if err := ch.QueueBind(q.Name, key, "amq.rabbitmq.trace", false, nil); err != nil {
			return nil, err
		}
	}
	return ch.Consume(q.Name, "", true, true, false, false, nil)
}

func (f *Firehose) record(d amqp.Delivery) {
	t := Traced{}
	event, name, _ := strings.Cut(d.RoutingKey, ".")
	t.Event = event
	if event == "deliver" {
		t.Queue = name
	}
	t.Exchange, _ = d.Headers["exchange_name"].(string)
	if keys, is := d.Headers["routing_keys"].([]any); is {
		for _, k := range keys {
			if s, is := k.(string); is {
				t.RoutingKeys = append(t.RoutingKeys, s)
			}
		}
	}
	if r, is := d.Headers["redelivered"]; is {
		t.Redelivered = fmt.Sprint(r) == "1"
	}
	var envelope struct {
		Message string `json:"oslo.message"`
	}
	var message struct {
		UniqueID string          `json:"_unique_id"`
		MsgID    string          `json:"_msg_id"`
		ReplyQ   string          `json:"_reply_q"`
		Method   string          `json:"method"`
		Args     json.RawMessage `json:"args"`
	}
	// what is not an envelope (garbled on purpose, or our marker) is recorded without its fields
	if json.Unmarshal(d.Body, &envelope) == nil && json.Unmarshal([]byte(envelope.Message), &message) == nil {
		t.UniqueID, t.MsgID, t.ReplyQueue = message.UniqueID, message.MsgID, message.ReplyQ
		t.Method, t.Args = message.Method, message.Args
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(string(d.Body), markerPrefix) {
		f.seen[string(d.Body)] = true
		return
	}
	f.traced = append(f.traced, t)
}

const markerPrefix = "test/lab firehose marker "

// Flush waits until everything that was published before the call is recorded: it sends a marker
// through the broker and waits for its trace.
func (f *Firehose) Flush(ctx context.Context) error {
	marker := fmt.Sprint(markerPrefix, time.Now().UnixNano())
	ch, err := f.conn.Channel()
	if err != nil {
		return fmt.Errorf("firehose: %w", err)
	}
	defer ch.Close()
	if err := ch.PublishWithContext(ctx, "", "nobody", false, false, amqp.Publishing{Body: []byte(marker)}); err != nil {
		return fmt.Errorf("firehose: %w", err)
	}
	return poll(ctx, "the firehose", func() (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.seen[marker], nil
	})
}

// Messages returns what was recorded so far and is accepted.
func (f *Firehose) Messages(accept func(Traced) bool) []Traced {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.traced), func(t Traced) bool { return !accept(t) })
}

// Stop turns tracing off.
func (f *Firehose) Stop(ctx context.Context) error {
	_, err := f.lab.RabbitMQ(ctx, "trace_off")
	_ = f.conn.Close()
	<-f.done
	return err
}

// Publish sends a body as it is to an exchange of the broker.
func Publish(ctx context.Context, exchange, key string, body []byte) error {
	conn, err := amqp.Dial(AMQPURL)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", exchange, err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("publish to %s: %w", exchange, err)
	}
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("publish to %s: %w", exchange, err)
	}
	sent, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", Body: body,
	})
	if err != nil {
		return fmt.Errorf("publish to %s: %w", exchange, err)
	}
	if ok, err := sent.WaitContext(ctx); err != nil || !ok {
		return fmt.Errorf("publish to %s: confirmed %v: %w", exchange, ok, err)
	}
	return nil
}
