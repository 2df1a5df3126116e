package nettools

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// Packet is one captured ICMPv6 or UDP packet.
type Packet struct {
	At       time.Time // the kernel's
	Outgoing bool      // sent by the host that captures
	SrcMAC   net.HardwareAddr
	DstMAC   net.HardwareAddr
	Src, Dst netip.Addr
	HopLimit uint8
	UDP      bool // UDP over IPv6: nothing below is set
	Type     uint8
	Message  ndp.Message // nil if it is not Neighbor Discovery
	Bad      error       // why a Neighbor Discovery message could not be read (checksum, format)
}

// Target is the target address of a solicitation or advertisement, or the zero Addr.
func (p Packet) Target() netip.Addr {
	switch m := p.Message.(type) {
	case *ndp.NeighborSolicitation:
		return m.TargetAddress
	case *ndp.NeighborAdvertisement:
		return m.TargetAddress
	}
	return netip.Addr{}
}

// Solicits and Advertises tell whether the packet is an NS or an NA for the address.
func (p Packet) Solicits(a netip.Addr) bool {
	_, is := p.Message.(*ndp.NeighborSolicitation)
	return is && p.Target() == a
}

// Advertises tells whether the packet is a Neighbor Advertisement for the address.
func (p Packet) Advertises(a netip.Addr) bool {
	_, is := p.Message.(*ndp.NeighborAdvertisement)
	return is && p.Target() == a
}

// Unsolicited tells whether the packet is an unsolicited Neighbor Advertisement.
func (p Packet) Unsolicited() bool {
	na, is := p.Message.(*ndp.NeighborAdvertisement)
	return is && !na.Solicited
}

// Capture records all ICMPv6 and UDP packets (over IPv6) of a device.
type Capture struct {
	fd   int
	end  atomic.Int64 // Unix nanoseconds: what comes later is not recorded; 0 while it runs
	done chan struct{}

	mu      sync.Mutex
	packets []Packet
}

// StartCapture begins to record; end it with Stop.
func StartCapture(ns, device string) (*Capture, error) {
	c := &Capture{done: make(chan struct{})}
	err := In(ns, func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		// a socket bound to one protocol would not see what this host sends
		proto := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
		// protocol 0 until bound: else packets of other devices come in before
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			return err
		}
		// the kernel's own time: what our scheduling costs is not the network's
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index})
	})
	if err != nil {
		return nil, fmt.Errorf("capture on %s in %s: %w", device, ns, err)
	}
	go c.read()
	return c, nil
}

func (c *Capture) read() {
	defer close(c.done)
	buf, control := make([]byte, 65536), make([]byte, 256)
	for {
		n, cn, _, from, err := unix.Recvmsg(c.fd, buf, control, 0)
		if err != nil {
			if c.end.Load() != 0 {
				return
			}
			continue
		}
		at := received(control[:cn])
		// on a busy device reading never times out
		if end := c.end.Load(); end != 0 && at.UnixNano() > end {
			return
		}
		packet, ok := decode(buf[:n])
		if !ok {
			continue
		}
		packet.At = at
		if ll, is := from.(*unix.SockaddrLinklayer); is {
			packet.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		c.mu.Lock()
		c.packets = append(c.packets, packet)
		c.mu.Unlock()
	}
}

// decode reads Ethernet, IPv6 and ICMPv6 or UDP; ok is false for anything else.
func decode(frame []byte) (p Packet, ok bool) {
	const ethernet, header = 14, 40
	if len(frame) < ethernet+header+4 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return Packet{}, false
	}
	ip := frame[ethernet:]
	length := int(binary.BigEndian.Uint16(ip[4:]))
	if ip[6] != unix.IPPROTO_ICMPV6 && ip[6] != unix.IPPROTO_UDP || len(ip) < header+length || length < 4 {
		return Packet{}, false
	}
	body := ip[header : header+length]
	p = Packet{
		DstMAC:   net.HardwareAddr(append([]byte(nil), frame[:6]...)),
		SrcMAC:   net.HardwareAddr(append([]byte(nil), frame[6:12]...)),
		Src:      netip.AddrFrom16([16]byte(ip[8:24])),
		Dst:      netip.AddrFrom16([16]byte(ip[24:40])),
		HopLimit: ip[7],
		UDP:      ip[6] == unix.IPPROTO_UDP,
	}
	if p.UDP {
		return p, true
	}
	if p.Type = body[0]; p.Type < 133 || p.Type > 137 {
		return p, true
	}
	if sum := checksum(ip[8:40], body); sum != 0 {
		p.Bad = fmt.Errorf("ICMPv6 checksum is off by %#04x", sum)
		return p, true
	}
	p.Message, p.Bad = ndp.ParseMessage(body)
	return p, true
}

// checksum is 0 for a valid message (RFC 4443 section 2.3, with the pseudo-header of RFC 8200 8.1).
func checksum(addresses, body []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			sum += uint32(b[len(b)-1]) << 8
		}
	}
	add(addresses)
	add(body)
	sum += uint32(len(body)) + unix.IPPROTO_ICMPV6
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Packets returns what was captured so far, in order, restricted to what keep accepts (nil: all).
func (c *Capture) Packets(keep func(Packet) bool) []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kept []Packet
	for _, p := range c.packets {
		if keep == nil || keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Await waits until a captured packet is accepted and returns it.
func (c *Capture) Await(ctx context.Context, what string, accept func(Packet) bool) (Packet, error) {
	for {
		if found := c.Packets(accept); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return Packet{}, fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Stop ends the capture; packets that are already queued are still read.
func (c *Capture) Stop() {
	c.end.CompareAndSwap(0, time.Now().UnixNano())
	<-c.done
	_ = unix.Close(c.fd)
}
