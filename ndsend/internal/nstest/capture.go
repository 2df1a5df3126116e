package nstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Offsets in a frame of Ethernet, IPv6 without extension headers, ICMPv6.
const (
	ethernetLen = 14
	ipv6Len     = 40
	icmpAt      = ethernetLen + ipv6Len

	typeAdvertisement = 136
)

// Frame is a captured Neighbor Advertisement, from the Ethernet header on.
type Frame []byte

// Destination and Source are the Ethernet addresses.
func (f Frame) Destination() net.HardwareAddr { return net.HardwareAddr(f[0:6]) }

// Source is the Ethernet source.
func (f Frame) Source() net.HardwareAddr { return net.HardwareAddr(f[6:12]) }

// HopLimit is IPv6's.
func (f Frame) HopLimit() int { return int(f[ethernetLen+7]) }

// From is the IPv6 source.
func (f Frame) From() netip.Addr { return netip.AddrFrom16([16]byte(f[ethernetLen+8:])) }

// To is the IPv6 destination.
func (f Frame) To() netip.Addr { return netip.AddrFrom16([16]byte(f[ethernetLen+24:])) }

// ICMP is the message, without what Ethernet padded.
func (f Frame) ICMP() []byte {
	length := int(binary.BigEndian.Uint16(f[ethernetLen+4:]))
	return f[icmpAt : icmpAt+length]
}

// Target is the announced address.
func (f Frame) Target() netip.Addr { return netip.AddrFrom16([16]byte(f.ICMP()[8:])) }

// TargetMAC is what the first option says, which must be a Target link-layer
// address.
func (f Frame) TargetMAC() (net.HardwareAddr, error) {
	option := f.ICMP()[24:]
	if len(option) != 8 || option[0] != 2 || option[1] != 1 {
		return nil, fmt.Errorf("option %x is not one Target link-layer address", option)
	}
	return net.HardwareAddr(option[2:]), nil
}

// Sender is who sent an advertisement, in each place that tells.
type Sender struct {
	Ethernet, Announced string // link-layer addresses of the header and of the option
	From                netip.Addr
}

// Sender is the frame's.
func (f Frame) Sender() Sender {
	s := Sender{Ethernet: f.Source().String(), From: f.From()}
	if mac, err := f.TargetMAC(); err == nil {
		s.Announced = mac.String()
	}
	return s
}

// Sender is what advertisements of the device show.
func (n *Namespace) Sender(device string) Sender {
	n.t.Helper()
	mac := n.MAC(device).String()
	return Sender{Ethernet: mac, Announced: mac, From: n.AwaitLinkLocal(device)}
}

// ChecksumValid sums pseudo-header and message (RFC 8200 section 8.1).
func (f Frame) ChecksumValid() bool {
	sum := uint32(len(f.ICMP())) + unix.IPPROTO_ICMPV6
	covered := append([]byte(nil), f[ethernetLen+8:icmpAt]...)
	covered = append(covered, f.ICMP()...)
	for i := 0; i+1 < len(covered); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(covered[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// Capture collects the Neighbor Advertisements for ff02::1 that arrive at a
// device.
type Capture struct {
	t  testing.TB
	fd int
}

// Capture starts to listen on a device.
func (n *Namespace) Capture(device string) *Capture {
	n.t.Helper()
	c := &Capture{t: n.t, fd: -1}
	err := n.Enter(func() (err error) {
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		const ipv6BigEndian = unix.ETH_P_IPV6<<8&0xff00 | unix.ETH_P_IPV6>>8
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: ipv6BigEndian, Ifindex: ifi.Index})
	})
	n.t.Cleanup(func() { _ = unix.Close(c.fd) })
	if err != nil {
		n.t.Fatalf("capture on %s: %v", device, err)
	}
	return c
}

// Next returns the next advertisement, or nil if none arrives in time.
func (c *Capture) Next(within time.Duration) Frame {
	c.t.Helper()
	deadline := time.Now().Add(within)
	buffer := make([]byte, 2048)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			// What has arrived already counts even with no time to wait.
			left = time.Microsecond
		}
		timeout := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			c.t.Fatal(err)
		}
		n, from, err := unix.Recvfrom(c.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			continue // the device went down; it may come back
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			c.t.Fatalf("receive: %v", err)
		}
		frame := Frame(append([]byte(nil), buffer[:n]...))
		link, ok := from.(*unix.SockaddrLinklayer)
		if ok && link.Pkttype != unix.PACKET_OUTGOING && n >= icmpAt+24 &&
			frame[ethernetLen+6] == unix.IPPROTO_ICMPV6 && frame[icmpAt] == typeAdvertisement && frame.To() == netip.IPv6LinkLocalAllNodes() {
			return frame
		}
	}
}

// Want returns the next advertisement, which must come and be for target.
func (c *Capture) Want(target netip.Addr) Frame {
	c.t.Helper()
	frame := c.Next(10 * time.Second)
	if frame == nil {
		c.t.Fatalf("no advertisement of %s arrived", target)
	}
	if frame.Target() != target {
		c.t.Fatalf("an advertisement of %s arrived, want %s", frame.Target(), target)
	}
	return frame
}

// WantNone fails if an advertisement arrives within the time.
func (c *Capture) WantNone(within time.Duration) {
	c.t.Helper()
	if frame := c.Next(within); frame != nil {
		c.t.Fatalf("an advertisement of %s arrived, want none", frame.Target())
	}
}

// Buffer makes room for bursts: with the kernel's default some hundred frames
// that nobody read yet are all.
func (c *Capture) Buffer(size int) {
	c.t.Helper()
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size); err != nil {
		c.t.Fatal(err)
	}
}
