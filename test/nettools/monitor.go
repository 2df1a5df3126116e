package nettools

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What an Event tells.
const (
	AddressAdded   = "address"      // also when an address that is there changes its flags
	AddressRemoved = "address gone" //
	Forwarding     = "forwarding"   // ipv6.conf.<device>.forwarding, Value is the new one
	ProxyNDP       = "proxy_ndp"    // ipv6.conf.<device>.proxy_ndp, Value is the new one
)

// Attributes of RTM_NEWNETCONF, linux/netconf.h, and the size of struct netconfmsg before them.
const (
	netconfaIfindex    = 1
	netconfaForwarding = 2
	netconfaProxyNeigh = 5
	netconfHeader      = 1
)

// Event is one change of a namespace's IPv6 addresses or sysctls as the kernel announced it.
type Event struct {
	// At is when the message was read: rtnetlink has no kernel timestamps. It is late, never early, by
	// what it takes to wake the reader, a real-time thread that does nothing else.
	At     time.Time
	What   string
	Device string
	Addr   netip.Addr // of an address
	Value  int        // of a sysctl
}

func (e Event) String() string {
	if e.Addr.IsValid() {
		return fmt.Sprintf("%s %s %s %s", e.At.Format("15:04:05.000000"), e.What, e.Addr, e.Device)
	}
	return fmt.Sprintf("%s %s %d %s", e.At.Format("15:04:05.000000"), e.What, e.Value, e.Device)
}

// Monitor records the events of one namespace, which it keeps alive until it is stopped.
type Monitor struct {
	fd   int
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	names  map[int]string
	events []Event
	err    error
}

// StartMonitor begins to record; end it with Stop.
func StartMonitor(ns string) (*Monitor, error) {
	m := &Monitor{done: make(chan struct{}), names: map[int]string{}}
	err := In(ns, func() (err error) {
		m.fd, err = monitorSocket()
		if err != nil {
			return err
		}
		// after the subscription: a device that comes in between is announced
		devices, err := net.Interfaces()
		for _, d := range devices {
			m.names[d.Index] = d.Name
		}
		if err != nil {
			_ = unix.Close(m.fd)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("monitor %s: %w", ns, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.read(ctx)
	return m, nil
}

func monitorSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	steps := []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	}
	for _, group := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_NETCONF} {
		steps = append(steps, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
	}
	if err := errors.Join(steps...); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (m *Monitor) read(ctx context.Context) {
	defer close(m.done)
	// the thread ends with this goroutine: it is never unlocked, nobody inherits its priority
	runtime.LockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
		m.fail(fmt.Errorf("real-time priority: %w", err))
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(m.fd, buf, 0)
		at := time.Now()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				m.fail(err)
			}
			continue
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			m.fail(err)
			continue
		}
		m.mu.Lock()
		for _, message := range messages {
			m.record(at, message)
		}
		m.mu.Unlock()
	}
}

// fail remembers the first failure: with events lost, what is missing proves nothing, and without
// priority the times don't.
func (m *Monitor) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

func (m *Monitor) record(at time.Time, message syscall.NetlinkMessage) {
	switch message.Header.Type {
	case unix.RTM_NEWLINK:
		attrs, err := syscall.ParseNetlinkRouteAttr(&message)
		if err != nil || len(message.Data) < unix.SizeofIfInfomsg {
			return
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_IFNAME {
				m.names[int(binary.NativeEndian.Uint32(message.Data[4:]))] = unix.ByteSliceToString(a.Value)
			}
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		attrs, err := syscall.ParseNetlinkRouteAttr(&message)
		if err != nil || len(message.Data) < unix.SizeofIfAddrmsg {
			return
		}
		e := Event{At: at, What: AddressAdded, Device: m.names[int(binary.NativeEndian.Uint32(message.Data[4:]))]}
		if message.Header.Type == unix.RTM_DELADDR {
			e.What = AddressRemoved
		}
		for _, a := range attrs {
			if addr, ok := netip.AddrFromSlice(a.Value); ok && a.Attr.Type == unix.IFA_ADDRESS {
				e.Addr = addr
			}
		}
		m.events = append(m.events, e)
	case unix.RTM_NEWNETCONF:
		m.netconf(at, message.Data)
	}
}

// netconf reads struct netconfmsg (one byte, padded to four) and its attributes; the syscall package
// does not know this message.
func (m *Monitor) netconf(at time.Time, data []byte) {
	if len(data) < unix.NLMSG_ALIGNTO || data[0] != unix.AF_INET6 {
		return
	}
	values := map[uint16]int{}
	for rest := data[unix.NLMSG_ALIGNTO*((netconfHeader+unix.NLMSG_ALIGNTO-1)/unix.NLMSG_ALIGNTO):]; len(rest) >= 8; {
		length := int(binary.NativeEndian.Uint16(rest))
		if length < 8 || length > len(rest) {
			return
		}
		values[binary.NativeEndian.Uint16(rest[2:])] = int(int32(binary.NativeEndian.Uint32(rest[4:]))) //nolint:gosec // the wire's two's complement
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	index, ok := values[netconfaIfindex]
	if !ok || index <= 0 {
		return // all and default have negative ones
	}
	for what, attr := range map[string]uint16{Forwarding: netconfaForwarding, ProxyNDP: netconfaProxyNeigh} {
		if value, ok := values[attr]; ok {
			m.events = append(m.events, Event{At: at, What: what, Device: m.names[index], Value: value})
		}
	}
}

// Events returns what was recorded so far, in order, restricted to what keep accepts (nil: all); the
// error says that they are not to be relied on.
func (m *Monitor) Events(keep func(Event) bool) ([]Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kept []Event
	for _, e := range m.events {
		if keep == nil || keep(e) {
			kept = append(kept, e)
		}
	}
	return kept, m.err
}

// Await waits until a recorded event is accepted and returns the first such.
func (m *Monitor) Await(ctx context.Context, what string, accept func(Event) bool) (Event, error) {
	for {
		found, err := m.Events(accept)
		if err != nil {
			return Event{}, fmt.Errorf("waiting for %s: monitor: %w", what, err)
		}
		if len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return Event{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Stop ends the recording and lets the namespace go.
func (m *Monitor) Stop() {
	m.stop()
	<-m.done
	_ = unix.Close(m.fd)
}
