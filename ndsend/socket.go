package ndsend

import (
	"errors"
	"fmt"
	"net/netip"

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
	return nil
}

// send hands one ICMPv6 message for ff02::1 to the device, from its link-local
// address.
//
// The source goes along with each message (IPV6_PKTINFO, RFC 3542 section
// 6.1), so that the kernel chooses no other: left alone it takes a global
// address while the link-local one is tentative. And it checks what it is given
// in the same call: a source that went away or became tentative after we read
// it is refused with EINVAL.
func (s *socket) send(message []byte, from device) error {
	control := unix.PktInfo6(&unix.Inet6Pktinfo{
		Addr:    from.linkLocal.As16(),
		Ifindex: uint32(from.index),
	})
	to := &unix.SockaddrInet6{
		Addr:   AllNodes().As16(),
		ZoneId: uint32(from.index),
	}
	for {
		_, err := unix.SendmsgN(s.fd, message, control, to, 0)
		if !errors.Is(err, unix.EINTR) {
			return sendError(err, from.linkLocal)
		}
	}
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
