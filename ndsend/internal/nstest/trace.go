package nstest

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const typeUDP = unix.IPPROTO_UDP

// Event is one IPv6 frame as a [Trace] saw it.
type Event struct {
	// Device is the index of the one that the frame came in or left by.
	Device int
	Out    bool
	Frame  Frame
}

// Advertisement is the frame if it is a Neighbor Advertisement for all nodes,
// else nil.
func (e Event) Advertisement() Frame {
	f := e.Frame
	if len(f) < icmpAt+24 || f[ethernetLen+6] != unix.IPPROTO_ICMPV6 || f[icmpAt] != typeAdvertisement ||
		f.To() != netip.IPv6LinkLocalAllNodes() {
		return nil
	}
	return f
}

// IsAdvertisement tells whether the frame is one of addr.
func (e Event) IsAdvertisement(addr netip.Addr) bool {
	f := e.Advertisement()
	return f != nil && f.Target() == addr
}

// UDP is the payload if the frame is a datagram for addr, else nil.
func (e Event) UDP(to netip.Addr) []byte {
	f := e.Frame
	if len(f) < icmpAt+8 || f[ethernetLen+6] != typeUDP || f.To() != to {
		return nil
	}
	return f[icmpAt+8 : icmpAt+int(binary.BigEndian.Uint16(f[icmpAt+4:]))]
}

// Trace sees the IPv6 frames of a device or of a whole namespace, both ways, in
// the order in which the kernel took them: what came in before it is processed,
// what leaves after its link-layer addresses are chosen.
type Trace struct {
	t  testing.TB
	fd int
}

// Trace starts to watch a device, or all devices if the name is empty.
func (n *Namespace) Trace(device string) *Trace {
	n.t.Helper()
	tr := &Trace{t: n.t, fd: -1}
	err := n.Enter(func() (err error) {
		index := 0
		if device != "" {
			ifi, err := net.InterfaceByName(device)
			if err != nil {
				return err
			}
			index = ifi.Index
		}
		if tr.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(tr.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			return err
		}
		// Only a socket for every protocol sees what leaves.
		const allBigEndian = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		return unix.Bind(tr.fd, &unix.SockaddrLinklayer{Protocol: allBigEndian, Ifindex: index})
	})
	n.t.Cleanup(tr.Close)
	if err != nil {
		n.t.Fatalf("trace %q: %v", device, err)
	}
	return tr
}

// untilTime bounds [Trace.Until]: much longer than anything takes, and shorter
// than the patience of whoever waits for a test that fails.
const untilTime = 10 * time.Second

// Until shows one IPv6 frame after the other to done until that is content. It
// reports false if it is not within ten seconds, however many other frames come.
func (tr *Trace) Until(done func(Event) bool) bool {
	tr.t.Helper()
	deadline := time.Now().Add(untilTime)
	buffer := make([]byte, 2048)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		timeout := unix.NsecToTimeval(max(left, time.Microsecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(tr.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			tr.t.Fatal(err)
		}
		n, from, err := unix.Recvfrom(tr.fd, buffer, 0)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			tr.t.Fatalf("receive: %v", err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || n < icmpAt || binary.BigEndian.Uint16(buffer[12:]) != unix.ETH_P_IPV6 {
			continue
		}
		if done(Event{
			Device: link.Ifindex,
			Out:    link.Pkttype == unix.PACKET_OUTGOING,
			Frame:  append(Frame(nil), buffer[:n]...),
		}) {
			return true
		}
	}
}

// WantWhole fails if the kernel left anything out.
func (tr *Trace) WantWhole() {
	tr.t.Helper()
	stats, err := unix.GetsockoptTpacketStats(tr.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops != 0 {
		tr.t.Fatalf("the trace has gaps: %+v, %v", stats, err)
	}
}

// Close ends the trace. It may be called twice. When it returns, what the kernel
// was processing while done saw it has been processed: closing a packet
// socket waits for that (synchronize_net in packet_release).
func (tr *Trace) Close() {
	if tr.fd >= 0 {
		_ = unix.Close(tr.fd)
		tr.fd = -1
	}
}
