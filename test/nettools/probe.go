package nettools

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// ProbeConfig says whom to solicit and how.
type ProbeConfig struct {
	Namespace, Device string           // where the solicitations leave, past any bridge that the device is in
	Source            netip.Addr       // who asks
	SourceMAC         net.HardwareAddr //
	Router            net.HardwareAddr // destination of the unicast ones
	Targets           []netip.Addr     // each is asked for twice in every Interval: multicast and unicast
	Interval          time.Duration
}

// Prober sends Neighbor Solicitations of both kinds (RFC 4861 section 7.2.2 and 7.3.3) at a fixed
// interval. What is answered, a Capture of the same device tells.
type Prober struct {
	config ProbeConfig
	fd     int
	index  int
	stop   context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	sent int // of each kind, for each target
	err  error
}

// StartProbe begins to solicit; end it with Stop.
func StartProbe(c ProbeConfig) (*Prober, error) {
	p := &Prober{config: c, done: make(chan struct{})}
	var frames [][]byte
	for _, target := range c.Targets {
		group := target.As16()
		group = [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: group[13], 14: group[14], 15: group[15]} // RFC 4291 section 2.7.1
		for _, to := range []struct {
			addr netip.Addr
			mac  net.HardwareAddr
		}{
			{netip.AddrFrom16(group), net.HardwareAddr{0x33, 0x33, group[12], group[13], group[14], group[15]}},
			{target, c.Router},
		} {
			frame, err := solicitation(c, target, to.addr, to.mac)
			if err != nil {
				return nil, fmt.Errorf("solicit %s: %w", target, err)
			}
			frames = append(frames, frame)
		}
	}
	err := In(c.Namespace, func() error {
		ifi, err := net.InterfaceByName(c.Device)
		if err != nil {
			return err
		}
		p.index = ifi.Index
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("solicit on %s in %s: %w", c.Device, c.Namespace, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go p.send(ctx, frames)
	return p, nil
}

// solicitation is a whole Ethernet frame.
func solicitation(c ProbeConfig, target, to netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: c.SourceMAC}},
	}, c.Source, to)
	if err != nil {
		return nil, err
	}
	frame := append([]byte{}, mac...)
	frame = append(frame, c.SourceMAC...)
	frame = append(frame, unix.ETH_P_IPV6>>8, unix.ETH_P_IPV6&0xff)
	frame = append(frame, 0x60, 0, 0, 0, byte(len(body)>>8), byte(len(body)), unix.IPPROTO_ICMPV6, 255)
	frame = append(frame, c.Source.AsSlice()...)
	frame = append(frame, to.AsSlice()...)
	return append(frame, body...), nil
}

func (p *Prober) send(ctx context.Context, frames [][]byte) {
	defer close(p.done)
	for next := time.Now(); ctx.Err() == nil; {
		for _, frame := range frames {
			if err := unix.Sendto(p.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: p.index}); err != nil {
				p.mu.Lock()
				p.err = fmt.Errorf("solicit on %s: %w", p.config.Device, err)
				p.mu.Unlock()
				return
			}
		}
		p.mu.Lock()
		p.sent++
		p.mu.Unlock()
		next = next.Add(p.config.Interval)
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(next)):
		}
	}
}

// Stop ends the sending and returns how many solicitations of each kind were sent for each target;
// the error says why it ended before.
func (p *Prober) Stop() (sent int, err error) {
	p.stop()
	<-p.done
	_ = unix.Close(p.fd)
	return p.sent, p.err
}
