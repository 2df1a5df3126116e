package rtnl

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// answerTimeout bounds the wait for one answer; the library's sockets have
	// no bound of their own.
	answerTimeout = 5 * time.Second
	// dumpAttempts bounds how often a list that changed under our hands is
	// asked for anew. Duplicate address detection alone interrupts some.
	dumpAttempts = 5
)

// The library finds out the byte order at its first use and keeps it in a
// variable that nothing guards: two first uses at once are a data race. So the
// first use is here, before there are two goroutines.
var _ = nl.NativeEndian()

var errMalformed = errors.New("malformed answer from the kernel")

// Conn is a socket in the namespace of the thread that opened it. Not safe for
// concurrent use.
type Conn struct{ sockets map[int]*nl.SocketHandle }

// Open opens a Conn.
func Open() (*Conn, error) {
	// Without namespaces named it is opened where this thread is.
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	c := &Conn{sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := errors.Join(socket.SetSendTimeout(&timeout), socket.SetReceiveTimeout(&timeout)); err != nil {
		c.Close()
		return nil, fmt.Errorf("bound the netlink socket's time: %w", err)
	}
	// With it the kernel heeds the interface in a request for addresses. Before
	// Linux 4.20 it does not, and sends all; whoever asks looks at each anyway.
	_ = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() { c.sockets[unix.NETLINK_ROUTE].Close() }

// ask returns the messages of the answer, each from behind the netlink header.
// An error of the kernel is its errno, such as ENODEV or ENOENT.
func (c *Conn) ask(kind, flags int, request []byte) ([][]byte, error) {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = c.sockets
	r.AddRawData(request)
	return r.Execute(unix.NETLINK_ROUTE, 0)
}

// Get asks for one thing.
func (c *Conn) Get(kind int, request []byte) ([]byte, error) {
	answer, err := c.ask(kind, 0, request)
	switch {
	case err != nil:
		return nil, err
	case len(answer) != 1:
		return nil, fmt.Errorf("%w: %d messages", errMalformed, len(answer))
	}
	return answer[0], nil
}

// List asks for all there is, anew when the kernel says that the list changed
// meanwhile.
func (c *Conn) List(kind int, request []byte) ([][]byte, error) {
	for attempt := 1; ; attempt++ {
		answer, err := c.ask(kind, unix.NLM_F_DUMP, request)
		if !errors.Is(err, nl.ErrDumpInterrupted) || attempt == dumpAttempts {
			return answer, err
		}
		time.Sleep(time.Millisecond)
	}
}
