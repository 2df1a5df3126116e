package nettest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// Frame is one captured ICMPv6 packet.
type Frame struct {
	// At is the kernel's own time, read when the packet passed.
	At         time.Time
	Outgoing   bool // sent by the device that is listened on
	Source, To net.HardwareAddr
	From, Dst  netip.Addr
	Type       uint8 // of ICMPv6
	// Message is the Neighbour Discovery message, nil for other types.
	Message ndp.Message
}

// Advertises returns the address that a neighbour advertisement is about.
func (f Frame) Advertises() (target netip.Addr, solicited, ok bool) {
	if na, is := f.Message.(*ndp.NeighborAdvertisement); is {
		return na.TargetAddress, na.Solicited, true
	}
	return netip.Addr{}, false, false
}

// Capture records the ICMPv6 packets of a device until the test ends.
type Capture struct {
	mu     sync.Mutex
	frames []Frame
}

// Capture begins to listen on a device, to both directions.
func (n *Namespace) Capture(device string) *Capture {
	n.t.Helper()
	index := n.Index(device)
	var fd int
	n.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for _, o := range []struct{ name, value int }{{unix.SO_RCVBUFFORCE, 8 << 20}, {unix.SO_TIMESTAMPNS, 1}} {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o.name, o.value); err != nil {
				return err
			}
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	})
	c := &Capture{}
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer, control := make([]byte, 2048), make([]byte, 128)
		for {
			size, oob, _, from, err := unix.Recvmsg(fd, buffer, control, 0)
			if err != nil {
				select {
				case <-done:
					return
				default:
					continue // the timeout, or the device is down for a while
				}
			}
			if f, ok := decode(buffer[:size], control[:oob]); ok {
				ll, is := from.(*unix.SockaddrLinklayer)
				f.Outgoing = is && ll.Pkttype == unix.PACKET_OUTGOING
				c.mu.Lock()
				c.frames = append(c.frames, f)
				c.mu.Unlock()
			}
		}
	})
	n.t.Cleanup(func() { close(done); reading.Wait(); _ = unix.Close(fd) })
	return c
}

// Frames returns what was captured so far and is kept.
func (c *Capture) Frames(keep func(Frame) bool) []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Frame
	for _, f := range c.frames {
		if keep(f) {
			out = append(out, f)
		}
	}
	return out
}

func decode(b, control []byte) (f Frame, ok bool) {
	const ethernet, header = 14, 40
	if len(b) < ethernet+header+4 || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IPV6 {
		return f, false
	}
	ip := b[ethernet:]
	next, body := ip[6], ip[header:]
	if next == 0 && len(body) > 8 { // hop-by-hop options, as before MLD
		length := 8 * (int(body[1]) + 1)
		if len(body) < length+4 {
			return f, false
		}
		next, body = body[0], body[length:]
	}
	if next != unix.IPPROTO_ICMPV6 {
		return f, false
	}
	f = Frame{At: time.Now(), To: append(net.HardwareAddr(nil), b[:6]...), Source: append(net.HardwareAddr(nil), b[6:12]...),
		From: netip.AddrFrom16([16]byte(ip[8:24])), Dst: netip.AddrFrom16([16]byte(ip[24:40])), Type: body[0]}
	if messages, err := unix.ParseSocketControlMessage(control); err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				f.At = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))) // #nosec G115 -- the kernel's time
			}
		}
	}
	if f.Type >= 133 && f.Type <= 137 {
		if m, err := ndp.ParseMessage(append([]byte(nil), body...)); err == nil {
			f.Message = m
		}
	}
	return f, true
}
