package amqp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// AMQP 0-9-1 methods, class<<16 | method.
const (
	connectionStart, connectionStartOk = 10<<16 | 10, 10<<16 | 11
	connectionTune                     = 10<<16 | 30
	connectionOpen, connectionOpenOk   = 10<<16 | 40, 10<<16 | 41
	channelOpen, channelOpenOk         = 20<<16 | 10, 20<<16 | 11
	channelClose, channelCloseOk       = 20<<16 | 40, 20<<16 | 41
	qosOk                              = 60<<16 | 11
	confirmSelect                      = 85<<16 | 10
)

// sendMethod writes one method frame.
func sendMethod(w io.Writer, channel uint16, method uint32, args ...byte) error {
	f := []byte{1}
	f = binary.BigEndian.AppendUint16(f, channel)
	f = binary.BigEndian.AppendUint32(f, uint32(4+len(args))) //nolint:gosec // a few bytes
	f = binary.BigEndian.AppendUint32(f, method)
	_, err := w.Write(append(append(f, args...), 0xCE))
	return err
}

// oddBroker serves one connection. It answers confirm.select with something
// else and sends the methods that it got.
func oddBroker(c net.Conn, got chan<- uint32) error {
	return fakeBroker(c, func(channel uint16, method uint32, _ []byte) error {
		got <- method
		switch method {
		case confirmSelect:
			return sendMethod(c, channel, qosOk)
		default:
			return answerUsually(c, channel, method)
		}
	})
}

// fakeBroker hands each method with its arguments to answer, until the client hangs up.
func fakeBroker(c net.Conn, answer func(channel uint16, method uint32, args []byte) error) error {
	defer func() { _ = c.Close() }()
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil { // "AMQP" and the version
		return err
	}
	start := append([]byte{0, 9, 0, 0, 0, 0, 0, 0, 0, 8}, "AMQPLAIN"...)
	start = append(append(start, 0, 0, 0, 5), "en_US"...)
	if err := sendMethod(c, 0, connectionStart, start...); err != nil {
		return err
	}
	for {
		head := make([]byte, 7)
		if _, err := io.ReadFull(c, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(c, body); err != nil {
			return err
		}
		if head[0] != 1 {
			continue
		}
		if err := answer(binary.BigEndian.Uint16(head[1:]), binary.BigEndian.Uint32(body), body[4:]); err != nil {
			return err
		}
	}
}

// answerUsually answers what every connection and channel begins and ends with.
func answerUsually(c net.Conn, channel uint16, method uint32) error {
	switch method {
	case connectionStartOk:
		return sendMethod(c, 0, connectionTune, 7, 255, 0, 2, 0, 0, 0, 0)
	case connectionOpen:
		return sendMethod(c, 0, connectionOpenOk, 0)
	case channelOpen:
		return sendMethod(c, channel, channelOpenOk, 0, 0, 0, 0)
	case channelClose:
		return sendMethod(c, channel, channelCloseOk)
	}
	return nil
}

// A channel that cannot be put into confirm mode is given back.
func TestPublisherGivesItsChannelBack(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, served := make(chan uint32, 64), make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = oddBroker(c, got)
		}
		served <- err
		close(got)
	}()
	c, err := New(Config{Hosts: []Endpoint{{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port}},
		DialTimeout: 5 * time.Second, OpTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if err := <-served; !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client, which cannot publish, should have hung up: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = ln.Close()
	asked, closed := false, false
	for m := range got {
		asked = asked || m == confirmSelect
		closed = closed || m == channelClose
	}
	if !asked || !closed {
		t.Errorf("confirm.select seen: %v, channel.close seen: %v", asked, closed)
	}
}
