package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

const (
	ethernetLen = 14
	ipv6Len     = 40
	turn        = 50 * time.Millisecond // of waiting, between two looks at the context
)

// wire is a packet socket on one device, in whatever namespace it was opened.
type wire struct {
	fd, index int
	mac       net.HardwareAddr
}

// open opens it in the calling thread's namespace. protocol: ETH_P_IPV6 for what comes
// in, ETH_P_ALL for what goes out as well.
func open(index int, mac net.HardwareAddr, protocol uint16) (*wire, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	w := &wire{fd, index, mac}
	timeout := unix.NsecToTimeval(turn.Nanoseconds())
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	if err = errors.Join(err, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(protocol), Ifindex: index})); err != nil {
		w.close()
		return nil, fmt.Errorf("bind a packet socket: %w", err)
	}
	return w, nil
}

func (w *wire) close() { _ = unix.Close(w.fd) } // nothing is buffered

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// frame is what was read of one IPv6 packet.
type frame struct {
	out      bool // sent by this device
	from, to net.HardwareAddr
	src, dst netip.Addr
	// message is of neighbour discovery, nil for all else.
	message ndp.Message
}

// read waits for IPv6 packets until the time, and hands them to take until that says
// that it has enough.
func (w *wire) read(ctx context.Context, until time.Time, take func(frame) (enough bool)) error {
	buffer := make([]byte, 2048)
	for time.Now().Before(until) && ctx.Err() == nil {
		n, from, err := unix.Recvfrom(w.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			continue
		case err != nil:
			return fmt.Errorf("read the wire: %w", err)
		}
		ll, is := from.(*unix.SockaddrLinklayer)
		if f, ok := decode(buffer[:n]); ok {
			f.out = is && ll.Pkttype == unix.PACKET_OUTGOING
			if take(f) {
				return nil
			}
		}
	}
	return ctx.Err()
}

func decode(b []byte) (f frame, ok bool) {
	if len(b) < ethernetLen+ipv6Len || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IPV6 || b[ethernetLen]>>4 != 6 {
		return f, false
	}
	ip := b[ethernetLen:]
	f = frame{
		to: append(net.HardwareAddr(nil), b[:6]...), from: append(net.HardwareAddr(nil), b[6:12]...),
		src: netip.AddrFrom16([16]byte(ip[8:24])), dst: netip.AddrFrom16([16]byte(ip[24:40])),
	}
	if size := int(binary.BigEndian.Uint16(ip[4:])); ip[6] == unix.IPPROTO_ICMPV6 && ip[7] == 255 && len(ip) >= ipv6Len+size && size >= 4 {
		if m, err := ndp.ParseMessage(append([]byte(nil), ip[ipv6Len:ipv6Len+size]...)); err == nil {
			f.message = m
		}
	}
	return f, true
}

// advertises returns the link-layer address that a message gives for an address.
func (f frame) advertises(addr netip.Addr) (net.HardwareAddr, bool) {
	na, is := f.message.(*ndp.NeighborAdvertisement)
	if !is || na.TargetAddress != addr {
		return nil, false
	}
	for _, o := range na.Options {
		if l, is := o.(*ndp.LinkLayerAddress); is && l.Direction == ndp.Target {
			return l.Addr, true
		}
	}
	return f.from, true
}

func (f frame) solicits(addr netip.Addr) bool {
	ns, is := f.message.(*ndp.NeighborSolicitation)
	return is && ns.TargetAddress == addr
}

// source is the link-local address made from the device's link-layer address
// (RFC 4291 appendix A).
func (w *wire) source() netip.Addr {
	m := w.mac
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// solicit sends a solicitation: to the solicited-node group, as address resolution
// does, or with unicast to the address itself at that link-layer address, as neighbour
// unreachability detection does (RFC 4861 sections 7.2.2 and 7.3.3).
func (w *wire) solicit(addr netip.Addr, unicast net.HardwareAddr) error {
	dst, to := addr, unicast
	if to == nil {
		group, err := ndp.SolicitedNodeMulticast(addr)
		if err != nil {
			return err
		}
		low := group.As16()
		dst, to = group, net.HardwareAddr{0x33, 0x33, low[12], low[13], low[14], low[15]}
	}
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: w.mac}},
	}, w.source(), dst)
	if err != nil {
		return err
	}
	b := make([]byte, 0, ethernetLen+ipv6Len+len(body))
	b = append(append(b, to...), w.mac...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, unix.IPPROTO_ICMPV6, 255)
	b = append(append(b, w.source().AsSlice()...), dst.AsSlice()...)
	b = append(b, body...)
	ll := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IPV6), Ifindex: w.index, Halen: 6}
	copy(ll.Addr[:], to)
	if err := unix.Sendto(w.fd, b, 0, ll); err != nil {
		return fmt.Errorf("send a solicitation: %w", err)
	}
	return nil
}
