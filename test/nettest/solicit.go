package nettest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// Solicitation is a neighbour solicitation (RFC 4861 section 4.3) to be sent
// frame by frame, past the sender's own neighbour cache.
type Solicitation struct {
	// Device to send it from, and its source address, one of the device's.
	Device string
	Source netip.Addr
	Target netip.Addr
	// Unicast: to this hardware address and the target itself, as neighbour
	// unreachability detection does; nil: to the solicited-node group.
	Unicast net.HardwareAddr
	// HopLimit is 255 if zero; receivers must ignore all else.
	HopLimit uint8
	// Within is how long to wait for the answer; 300 ms if zero.
	Within time.Duration
}

// Answer is a neighbour advertisement that came for a solicitation.
type Answer struct {
	From          netip.Addr
	Advertisement *ndp.NeighborAdvertisement
	// After is the time from the solicitation to the answer.
	After time.Duration
}

// Solicit sends a solicitation and waits for the advertisement of its target.
// ok is false if none came in time. The kernel has verified its checksum.
func (n *Namespace) Solicit(s Solicitation) (a Answer, ok bool) {
	n.t.Helper()
	if s.HopLimit == 0 {
		s.HopLimit = 255
	}
	if s.Within == 0 {
		s.Within = 300 * time.Millisecond
	}
	index, mac := n.Index(s.Device), n.MAC(s.Device)
	n.Do(func() (err error) {
		a, ok, err = s.exchange(index, mac)
		return err
	})
	return a, ok
}

func (s Solicitation) exchange(index int, mac net.HardwareAddr) (a Answer, ok bool, err error) {
	in, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return a, false, fmt.Errorf("raw socket: %w", err)
	}
	defer func() { _ = unix.Close(in) }()
	out, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return a, false, fmt.Errorf("packet socket: %w", err)
	}
	defer func() { _ = unix.Close(out) }()
	packet, to, err := s.packet(mac)
	if err != nil {
		return a, false, err
	}
	ll := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IPV6), Ifindex: index, Halen: 6}
	copy(ll.Addr[:], to)
	start := time.Now()
	if err := unix.Sendto(out, packet, 0, ll); err != nil {
		return a, false, fmt.Errorf("send solicitation: %w", err)
	}
	buffer := make([]byte, 1500)
	for {
		left := s.Within - time.Since(start)
		if left <= 0 {
			return a, false, nil
		}
		timeout := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return a, false, err
		}
		size, from, err := unix.Recvfrom(in, buffer, 0)
		after := time.Since(start)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return a, false, fmt.Errorf("receive: %w", err)
		}
		m, err := ndp.ParseMessage(buffer[:size])
		if err != nil {
			continue // some other ICMPv6
		}
		if na, is := m.(*ndp.NeighborAdvertisement); is && na.TargetAddress == s.Target {
			a = Answer{Advertisement: na, After: after}
			if sa, is := from.(*unix.SockaddrInet6); is {
				a.From = netip.AddrFrom16(sa.Addr)
			}
			return a, true, nil
		}
	}
}

// packet is the IPv6 packet and the hardware address it goes to.
func (s Solicitation) packet(mac net.HardwareAddr) ([]byte, net.HardwareAddr, error) {
	dst, to := s.Target, s.Unicast
	if to == nil {
		group, err := ndp.SolicitedNodeMulticast(s.Target)
		if err != nil {
			return nil, nil, err
		}
		low := group.As16()
		dst, to = group, net.HardwareAddr{0x33, 0x33, low[12], low[13], low[14], low[15]}
	}
	m := &ndp.NeighborSolicitation{
		TargetAddress: s.Target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}},
	}
	body, err := ndp.MarshalMessageChecksum(m, s.Source, dst)
	if err != nil {
		return nil, nil, err
	}
	header := make([]byte, 40, 40+len(body))
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
	header[6], header[7] = unix.IPPROTO_ICMPV6, s.HopLimit
	copy(header[8:], s.Source.AsSlice())
	copy(header[24:], dst.AsSlice())
	return append(header, body...), to, nil
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
