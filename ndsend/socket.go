package ndsend

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a raw ICMPv6 socket that only sends. It is our own and not
// x/net's: that one addresses a link by its name and resolves it through a
// cache of the whole process, which knows the index that some other namespace
// gave to a device of the same name.
type socket struct{ fd int }

// openSocket opens the socket in the calling thread's namespace, where it
// stays.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("open a raw ICMPv6 socket: %w", ErrPermission)
		}
		return nil, fmt.Errorf("open a raw ICMPv6 socket: %w", err)
	}
	s := &socket{fd: fd}
	if err := s.setUp(); err != nil {
		s.close()
		return nil, fmt.Errorf("set up the raw ICMPv6 socket: %w", err)
	}
	return s, nil
}

func (s *socket) setUp() error {
	// Nobody reads: without a filter the kernel would queue a copy of every
	// ICMPv6 message that the namespace receives.
	var blockAll unix.ICMPv6Filter
	for i := range blockAll.Data {
		blockAll.Data[i] = ^uint32(0)
	}
	if err := unix.SetsockoptICMPv6Filter(s.fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &blockAll); err != nil {
		return fmt.Errorf("ICMP6_FILTER: %w", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, HopLimit); err != nil {
		return fmt.Errorf("IPV6_MULTICAST_HOPS: %w", err)
	}
	// Our own kernel must not take its own advertisement for a neighbour's.
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0); err != nil {
		return fmt.Errorf("IPV6_MULTICAST_LOOP: %w", err)
	}
	// As the kernel's own advertisements are. The label it would make up
	// otherwise balances flows, and differs with each boot.
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_AUTOFLOWLABEL, 0); err != nil {
		return fmt.Errorf("IPV6_AUTOFLOWLABEL: %w", err)
	}
	return nil
}

// send hands messages to the device of the batch, as [batch.send] does. A full
// buffer of the socket, which the device empties at its own speed, is waited
// for a moment.
func (s *socket) send(b *batch, messages []byte, size int) (taken int, err error) {
	for {
		n, err := b.send(s.fd, messages[taken*size:], size)
		taken += n
		if !errors.Is(err, unix.EAGAIN) || !s.writable() {
			return taken, err
		}
	}
}

// writableWait bounds the wait for room in the socket's buffer, so that a burst
// can end and its socket be opened anew.
const writableWait = 20 * time.Millisecond

// writable waits until the socket takes messages again.
func (s *socket) writable() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, int(writableWait.Milliseconds()))
	return err == nil && n == 1
}

// sendError says what an errno of sendmsg on our socket means.
func sendError(err error, source netip.Addr) error {
	var errno unix.Errno
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &errno):
		return err
	}
	switch errno {
	case unix.EINVAL, unix.EADDRNOTAVAIL:
		return fmt.Errorf("%s: %w: %w", source, errSourceGone, errno)
	case unix.ENETDOWN, unix.ENETUNREACH:
		return fmt.Errorf("%w: %w", errDown, errno)
	case unix.ENODEV, unix.ENXIO:
		return fmt.Errorf("%w: %w", ErrNoInterface, errno)
	case unix.ENOBUFS, unix.EAGAIN, unix.ENOMEM:
		return fmt.Errorf("%w: %w", ErrCongested, errno)
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("%w: %w", ErrFiltered, errno)
	default:
		return errno
	}
}

func (s *socket) close() {
	// Nothing is buffered and nothing can be done about an error here.
	_ = unix.Close(s.fd)
}
