package amqp

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	confirmSelectOk         = 85<<16 | 11
	queueDeclare            = 50<<16 | 10
	queueDeclareOk          = 50<<16 | 11
	basicConsume            = 60<<16 | 20
	basicConsumeOk          = 60<<16 | 21
	basicDeliver, basicAck  = 60<<16 | 60, 60<<16 | 80
	contentFrame, bodyFrame = 2, 3
)

func shortstr(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// sendFrame writes a frame of any type; size is what it says of itself.
func sendFrame(w io.Writer, kind byte, channel uint16, size uint32, payload []byte) error {
	f := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	f = binary.BigEndian.AppendUint32(f, size)
	_, err := w.Write(append(append(f, payload...), 0xCE))
	return err
}

// sendHeader announces a body of size bytes, without properties.
func sendHeader(w io.Writer, channel uint16, size uint64) error {
	p := binary.BigEndian.AppendUint64([]byte{0, 60, 0, 0}, size)
	p = append(p, 0, 0)
	return sendFrame(w, contentFrame, channel, uint32(len(p)), p) //nolint:gosec // a few bytes
}

// deliver announces a message for the consumer.
func deliver(w io.Writer, channel uint16, consumer string, tag uint64) error {
	args := append(shortstr(consumer), binary.BigEndian.AppendUint64(nil, tag)...)
	args = append(append(append(args, 0), shortstr("exchange")...), shortstr("key")...)
	return sendMethod(w, channel, basicDeliver, args...)
}

// serveConsumer serves one connection until somebody consumes, then calls script
// with the channel and the consumer's tag, and goes on reading. Acknowledged
// delivery tags are sent to acks.
func serveConsumer(c net.Conn, acks chan<- uint64, script func(w io.Writer, channel uint16, consumer string) error) error {
	return fakeBroker(c, func(channel uint16, method uint32, args []byte) error {
		switch method {
		case confirmSelect:
			return sendMethod(c, channel, confirmSelectOk)
		case queueDeclare:
			return sendMethod(c, channel, queueDeclareOk, append(shortstr("q"), make([]byte, 8)...)...)
		case basicConsume:
			args = args[2:] // ticket
			args = args[1+args[0]:]
			consumer := string(args[1 : 1+args[0]])
			if err := sendMethod(c, channel, basicConsumeOk, shortstr(consumer)...); err != nil {
				return err
			}
			return script(c, channel, consumer)
		case basicAck:
			acks <- binary.BigEndian.Uint64(args)
		default:
			return answerUsually(c, channel, method)
		}
		return nil
	})
}

// hostile connects to a broker that sends what script says, and returns what is
// delivered, what is acknowledged, and the status.
func hostile(t *testing.T, most int, script func(w io.Writer, channel uint16, consumer string) error) (<-chan Delivery, <-chan uint64, func() Status) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	acks, served := make(chan uint64, 64), make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = serveConsumer(c, acks, script) // the client hangs up
		}
	}()
	c, err := New(Config{Hosts: []Endpoint{{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port}},
		DialTimeout: 5 * time.Second, OpTimeout: 5 * time.Second, Retry: Retry{Interval: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan Delivery, 64)
	c.Subscribe(Subscription{Queue: Queue{Name: "q"}, MaxBody: most, Deliver: func(d Delivery) {
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
		out <- d
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = ln.Close()
		<-served
	})
	return out, acks, c.Status
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came within 10 s")
		panic("unreachable")
	}
}

// A message that announces more than the limit arrives without its body, however
// much of it comes, is acknowledged, and the next one is whole. 2^40 bytes are
// announced, and 64 MiB of them sent: what is in memory stays far below that.
func TestTooLargeMessage(t *testing.T) {
	const most, sent = 1 << 20, 64 << 20
	chunk := make([]byte, maxFrame-8)
	out, acks, _ := hostile(t, most, func(w io.Writer, channel uint16, consumer string) error {
		for _, err := range []error{deliver(w, channel, consumer, 1), sendHeader(w, channel, 1<<40)} {
			if err != nil {
				return err
			}
		}
		for n := 0; n < sent; n += len(chunk) {
			if err := sendFrame(w, bodyFrame, channel, uint32(len(chunk)), chunk); err != nil { //nolint:gosec // a frame
				return err
			}
		}
		// One of just the limit, then one of a byte more, which ends as announced.
		for i, size := range []int{most, most + 1, 5} {
			if err := deliver(w, channel, consumer, uint64(i+2)); err != nil { //nolint:gosec // small
				return err
			}
			if err := sendHeader(w, channel, uint64(size)); err != nil { //nolint:gosec // small
				return err
			}
			for n := 0; n < size; n += len(chunk) {
				part := chunk[:min(len(chunk), size-n)]
				if err := sendFrame(w, bodyFrame, channel, uint32(len(part)), part); err != nil { //nolint:gosec // a frame
					return err
				}
			}
		}
		return nil
	})
	first := receive(t, out)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if len(first.Body) != 0 || first.TooLarge != 1<<40 {
		t.Errorf("body of %d bytes, too large: %d", len(first.Body), first.TooLarge)
	}
	if m.HeapAlloc > 16<<20 {
		t.Errorf("%d MiB on the heap after a message of %d MiB", m.HeapAlloc>>20, sent>>20)
	}
	for _, want := range []struct {
		body     int
		tooLarge uint64
	}{{most, 0}, {0, most + 1}, {5, 0}} {
		if d := receive(t, out); len(d.Body) != want.body || d.TooLarge != want.tooLarge || d.Exchange != "exchange" {
			t.Errorf("body of %d bytes, too large: %d; want %+v", len(d.Body), d.TooLarge, want)
		}
	}
	for want := uint64(1); want <= 4; want++ {
		if got := receive(t, acks); got != want {
			t.Errorf("acknowledged %d, want %d", got, want)
		}
	}
}

// A frame that says it is longer than was agreed ends the connection, before
// room is made for it.
func TestTooLongFrame(t *testing.T) {
	out, _, status := hostile(t, 0, func(w io.Writer, channel uint16, consumer string) error {
		if err := deliver(w, channel, consumer, 1); err != nil {
			return err
		}
		return sendFrame(w, bodyFrame, channel, 1<<31, nil)
	})
	for range 100 {
		if s := status(); s.LastError != nil {
			if !strings.Contains(s.LastError.Error(), "frame of 2147483648 bytes (limit 131072)") {
				t.Errorf("lost with: %v", s.LastError)
			}
			if len(out) > 0 {
				t.Errorf("delivered: %+v", <-out)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the connection lives on")
}
