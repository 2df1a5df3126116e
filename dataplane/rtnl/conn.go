package rtnl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

const (
	// requestTimeout bounds one request and its answer. The kernel answers in
	// microseconds; only a lost message or a stuck lock takes longer.
	requestTimeout = 10 * time.Second
	// dumpAttempts: changes during a dump are rare, and are over soon.
	dumpAttempts = 8
	// dumpPause is multiplied by the attempt: an address that is going through
	// duplicate detection interrupts several dumps in a row.
	dumpPause = 2 * time.Millisecond
	// bufferSize is above the 32 KiB at which the kernel stops growing a part
	// of a dump, so nothing is truncated and long dumps need few system calls.
	bufferSize = 64 << 10
	readBuffer = 1 << 20
)

// ErrInterrupted means that something changed during every attempt of a dump.
var ErrInterrupted = errors.New("netlink dump was interrupted by a change, again and again")

// Conn is an rtnetlink socket. Not for use by several goroutines.
type Conn struct {
	fd int
	// nl is nil after an answer was lost: what comes next on such a socket
	// belongs to an earlier request.
	nl socket
}

// socket is what is used of a netlink.Conn.
type socket interface {
	SetDeadline(t time.Time) error
	Execute(m netlink.Message) ([]netlink.Message, error)
	Close() error
}

// Dial opens a socket inside the namespace of that file descriptor, which must
// stay open as long as the Conn.
func Dial(fd int) (*Conn, error) {
	nl, err := dial(fd)
	if err != nil {
		return nil, err
	}
	return &Conn{fd: fd, nl: nl}, nil
}

func dial(fd int) (socket, error) {
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: fd, MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", netns.Denied(err))
	}
	if err := nl.SetReadBuffer(readBuffer); err != nil {
		_ = nl.Close() // the first error says more
		return nil, fmt.Errorf("rtnetlink read buffer: %w", err)
	}
	return nl, nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	if c.nl == nil {
		return nil
	}
	err := c.nl.Close()
	c.nl = nil
	return err
}

// Dump sends a dump request of that type (RTM_GET*) and returns the payload of
// every answer of type want. An interrupted dump is repeated from the start.
func (c *Conn) Dump(ctx context.Context, request, want uint16, payload []byte) ([][]byte, error) {
	for attempt := 1; ; attempt++ {
		out, err := c.dumpOnce(ctx, request, want, payload)
		if !errors.Is(err, ErrInterrupted) || attempt == dumpAttempts {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(attempt) * dumpPause):
		}
	}
}

func (c *Conn) dumpOnce(ctx context.Context, request, want uint16, payload []byte) ([][]byte, error) {
	messages, err := c.execute(ctx, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(request), Flags: netlink.Request | netlink.Dump},
		Data:   payload,
	})
	if errors.Is(err, unix.EINTR) {
		return nil, ErrInterrupted
	}
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, m := range messages {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, ErrInterrupted
		}
		if m.Header.Type == netlink.HeaderType(want) {
			out = append(out, m.Data)
		}
	}
	return out, nil
}

// Get asks for one thing and returns the payload of the answer. Errors wrap the
// kernel's errno: ENOENT and the like where there is none.
func (c *Conn) Get(ctx context.Context, request uint16, payload []byte) ([]byte, error) {
	messages, err := c.execute(ctx, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(request), Flags: netlink.Request},
		Data:   payload,
	})
	switch {
	case err != nil:
		return nil, err
	case len(messages) != 1:
		return nil, fmt.Errorf("%d answers to one question", len(messages))
	}
	return messages[0].Data, nil
}

// Do sends one request with the given extra flags and waits for the kernel's
// acknowledgement. Errors wrap the kernel's errno.
func (c *Conn) Do(ctx context.Context, request uint16, flags netlink.HeaderFlags, payload []byte) error {
	_, err := c.execute(ctx, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(request), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   payload,
	})
	return err
}

func (c *Conn) execute(ctx context.Context, m netlink.Message) ([]netlink.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.nl == nil {
		nl, err := dial(c.fd)
		if err != nil {
			return nil, err
		}
		c.nl = nl
	}
	deadline := time.Now().Add(requestTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.nl.SetDeadline(deadline); err != nil {
		return nil, err
	}
	answer, err := c.nl.Execute(m)
	if err != nil && !answered(err) {
		_ = c.Close() // the first error says more
	}
	return answer, err
}

// answered reports whether an error is the kernel's answer to the request, and
// not one of the socket, behind which the answer may still come.
func answered(err error) bool {
	var op *netlink.OpError
	return errors.As(err, &op) && op.Sequence != 0
}
