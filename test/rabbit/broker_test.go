//go:build rabbitmq

package rabbit_test

import (
	"net"
	"strconv"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"neutron-ndp-proxy-agent/test/rabbit"
)

// A broker serves on its URL, comes back with its durable data after a stop,
// and is gone after Close.
func TestLife(t *testing.T) {
	b, err := rabbit.New(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	vhost, url := b.VHost(t)
	open := func() (*amqp091.Connection, *amqp091.Channel) {
		t.Helper()
		c, err := amqp091.Dial(url)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return c, ch
	}
	_, ch := open()
	if _, err := ch.QueueDeclare("kept", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func() error{b.Stop, b.Kill} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := amqp091.Dial(url); err == nil {
			t.Fatal("still serving")
		}
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.Queues(t, vhost)["kept"]; !ok {
			t.Fatal("durable queue lost")
		}
	}
	c, _ := open()
	closed := c.NotifyClose(make(chan *amqp091.Error, 1))
	b.CloseConnections(t, vhost, "told to")
	if err := <-closed; err == nil || err.Code != amqp091.ConnectionForced {
		t.Errorf("connection closed with %v, want CONNECTION_FORCED", err)
	}
	b.Close()
	if c, err := net.Dial("tcp", net.JoinHostPort(b.Host, strconv.Itoa(b.Port))); err == nil {
		_ = c.Close()
		t.Error("somebody listens after Close")
	}
}
