package neutrontest

import (
	"context"
	"slices"
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// L3Agent stands in for the real L3 agent of a host: it has that agent's
// queues, takes its messages, and answers its calls.
type L3Agent struct {
	link
	id string

	mu       sync.Mutex
	messages []Message
}

// Message is one message that an L3Agent received.
type Message struct {
	Method, UniqueID string
	Body             []byte
}

// StartL3Agent connects an agent for o.Host; it stops with the test.
func StartL3Agent(t testing.TB, url string, o Options) *L3Agent {
	t.Helper()
	a := &L3Agent{link: link{t: t, url: url, opts: o}, id: hexID()}
	a.start(a.setup)
	return a
}

func (a *L3Agent) setup(_ context.Context, conn *amqp091.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	if err := a.control(ch); err != nil {
		return err
	}
	for _, key := range []string{topicL3, topicL3 + "." + a.opts.Host} {
		if err := a.consume(conn, key, a.opts.Durable, nil, a.opts.exchange(), key, a.handle); err != nil {
			return err
		}
	}
	topics := []string{topicL3, topicProxy}
	if a.opts.PortVersion != "" {
		topics = append(topics, topicPort+a.opts.PortVersion)
	}
	for _, topic := range topics {
		if err := a.fanout(ch, topic); err != nil {
			return err
		}
		err := a.consume(conn, topic+"_fanout_"+a.id, false, amqp091.Table{"x-expires": int64(1800000)},
			topic+"_fanout", topic, a.handle)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *L3Agent) handle(d amqp091.Delivery) {
	m, err := open(d.Body)
	msg := Message{Body: d.Body}
	if err == nil {
		msg.Method, msg.UniqueID = text(m["method"]), text(m["_unique_id"])
	}
	a.mu.Lock()
	a.messages = append(a.messages, msg)
	a.mu.Unlock()
	if q, id := text(m["_reply_q"]), text(m["_msg_id"]); q != "" && id != "" {
		reply := map[string]any{"result": nil, "failure": nil, "ending": true, "_msg_id": id, "_unique_id": hexID()}
		if err := a.publish("", q, Envelope(reply), ""); err != nil {
			a.t.Logf("neutrontest: L3 agent's reply: %v", err)
		}
	}
}

// Messages returns what was received so far, in order.
func (a *L3Agent) Messages() []Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.messages)
}
