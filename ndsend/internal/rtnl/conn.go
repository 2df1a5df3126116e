package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerTimeout bounds the wait for one answer.
	answerTimeout = 5 * time.Second
	// dumpAttempts bounds how often a list that changed under our hands is
	// asked for anew. Duplicate address detection alone interrupts some.
	dumpAttempts = 5
	// bufferSize is the most that the kernel puts into one part of a list
	// (netlink_dump in net/netlink/af_netlink.c).
	bufferSize = 32 << 10
)

var (
	// errInterrupted: the list changed while it was read (NLM_F_DUMP_INTR).
	errInterrupted = errors.New("the list changed while it was read")
	errMalformed   = errors.New("malformed answer from the kernel")
)

// Conn is a socket in the namespace of the thread that opened it. Not safe for
// concurrent use.
type Conn struct {
	fd       int
	sequence uint32
	buffer   []byte
}

// Open opens a Conn.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	c := &Conn{fd: fd}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		c.Close()
		return nil, fmt.Errorf("bound the netlink socket's time: %w", err)
	}
	// With it the kernel heeds the interface in a request for addresses. Before
	// Linux 4.20 it does not, and sends all; whoever asks looks at each anyway.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() {
	// Nothing is buffered and nothing can be done about an error here.
	_ = unix.Close(c.fd)
}

// Message is one answer: its type (RTM_NEWLINK, ...) and what follows the
// netlink header. Data is valid until the next question.
type Message struct {
	Type uint16
	Data []byte
}

// Get asks for one thing. An error of the kernel is its errno, such as
// ENODEV or ENOENT.
func (c *Conn) Get(kind uint16, request []byte) (Message, error) {
	if err := c.send(kind, unix.NLM_F_REQUEST, request); err != nil {
		return Message{}, err
	}
	var answer Message
	_, err := c.receive(func(m Message) error {
		answer = m
		return nil
	})
	switch {
	case err != nil:
		return Message{}, err
	case answer.Data == nil:
		return Message{}, errMalformed
	}
	return answer, nil
}

// List asks for all there is. When the kernel says that the list changed
// meanwhile it asks again, after a call of restart: what was visited is void.
func (c *Conn) List(kind uint16, request []byte, restart func(), visit func(Message) error) error {
	var err error
	for attempt := range dumpAttempts {
		if attempt > 0 {
			time.Sleep(time.Millisecond)
		}
		restart()
		if err = c.list(kind, request, visit); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

func (c *Conn) list(kind uint16, request []byte, visit func(Message) error) error {
	if err := c.send(kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, request); err != nil {
		return err
	}
	interrupted := false
	for {
		part, err := c.receive(visit)
		interrupted = interrupted || part.interrupted
		switch {
		case err != nil:
			return err
		case part.last && interrupted:
			return errInterrupted
		case part.last:
			return nil
		}
	}
}

func (c *Conn) send(kind, flags uint16, request []byte) error {
	c.sequence++
	message := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	binary.NativeEndian.PutUint32(message, uint32(unix.NLMSG_HDRLEN+len(request)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint16(message[6:], flags)
	binary.NativeEndian.PutUint32(message[8:], c.sequence)
	err := unix.Sendto(c.fd, append(message, request...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	return os.NewSyscallError("ask the kernel", err)
}

// part tells what one datagram of the kernel said of the whole.
type part struct{ last, interrupted bool }

// receive reads one datagram that answers our last question and visits its
// messages.
func (c *Conn) receive(visit func(Message) error) (part, error) {
	if c.buffer == nil {
		c.buffer = make([]byte, bufferSize)
	}
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, c.buffer, nil, 0)
		sender, ok := from.(*unix.SockaddrNetlink)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return part{}, fmt.Errorf("no answer from the kernel within %s", answerTimeout)
		case err != nil:
			return part{}, os.NewSyscallError("hear the kernel", err)
		case flags&unix.MSG_TRUNC != 0:
			return part{}, fmt.Errorf("%w: longer than %d bytes", errMalformed, bufferSize)
		case !ok || sender.Pid != 0:
			continue // not from the kernel
		}
		p, ours, err := split(c.buffer[:n], c.sequence, visit)
		if ours || err != nil {
			return p, err
		}
	}
}

// split visits the messages of a datagram that answer the question with the
// given sequence number, and tells whether there were any.
func split(datagram []byte, sequence uint32, visit func(Message) error) (p part, ours bool, err error) {
	for len(datagram) > 0 {
		if len(datagram) < unix.NLMSG_HDRLEN {
			return p, ours, errMalformed
		}
		length := int(binary.NativeEndian.Uint32(datagram))
		if length < unix.NLMSG_HDRLEN || length > len(datagram) {
			return p, ours, errMalformed
		}
		kind, flags := binary.NativeEndian.Uint16(datagram[4:]), binary.NativeEndian.Uint16(datagram[6:])
		data := datagram[unix.NLMSG_HDRLEN:length]
		mine := binary.NativeEndian.Uint32(datagram[8:]) == sequence
		datagram = datagram[min(align(length), len(datagram)):]
		if !mine {
			continue // an answer that an earlier question no longer waited for
		}
		ours = true
		p.interrupted = p.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_NOOP:
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			p.last = true
			if err := errno(data); err != nil {
				return p, ours, err
			}
		default:
			if err := visit(Message{Type: kind, Data: data}); err != nil {
				return p, ours, err
			}
		}
	}
	return p, ours, nil
}

// errno is the error that begins the end of a list or an error message; zero
// is none. The end of a list may be empty.
func errno(data []byte) error {
	if len(data) < 4 {
		return nil
	}
	if code := int32(binary.NativeEndian.Uint32(data)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
