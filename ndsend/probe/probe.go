package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Options of [Ask] and [Watch].
type Options struct {
	// Enter runs a function on a thread inside the device's namespace.
	Enter  func(func() error) error
	Device string
	// Addr is asked for, or watched.
	Addr netip.Addr
}

// Times of [Ask]: three solicitations a second apart, as address resolution sends
// them, and what comes after the last for a while.
const (
	solicitations = 3
	pause         = time.Second
	listen        = 300 * time.Millisecond // for a second answer, after the first
)

// Answer is one neighbour that says that it has the address.
type Answer struct {
	MAC net.HardwareAddr
	// After is the time since the solicitation.
	After time.Duration
}

// Heard is what [Ask] heard on the wire.
type Heard struct {
	// Bridge was asked from, and MAC is the device's.
	Bridge string
	MAC    net.HardwareAddr
	// Answers to the solicited-node group, one for each link-layer address; Unicast
	// whether the device answered a neighbour's check.
	Answers []Answer
	Unicast bool
	// Astray are the link-layer addresses, not the device's, to which packets for the
	// address were sent past: a neighbour knows a wrong one.
	Astray []net.HardwareAddr
}

// Answered reports whether the device answered.
func (h Heard) Answered() bool {
	return slices.ContainsFunc(h.Answers, func(a Answer) bool { return slices.Equal(a.MAC, h.MAC) })
}

// Others are the answers of others.
func (h Heard) Others() []Answer {
	return slices.DeleteFunc(slices.Clone(h.Answers), func(a Answer) bool { return slices.Equal(a.MAC, h.MAC) })
}

// Ask solicits the address from a throw-away port of the bridge that the device is
// attached to, in the calling thread's namespace. It takes some 3 seconds if nobody
// answers. It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN. The source is a
// random link-local address that nobody else can have, and is never announced.
//
// Errors: [ErrNoWay].
func Ask(ctx context.Context, o Options) (Heard, error) {
	host, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Heard{}, fmt.Errorf("this network namespace: %w", os.NewSyscallError("open", err))
	}
	defer func() { _ = unix.Close(host) }()
	a, err := attached(o.Enter, o.Device)
	if err != nil {
		return Heard{}, err
	}
	h := Heard{Bridge: a.bridge.Name, MAC: a.mac}
	err = away(func() error {
		outer, err := netlink.NewHandleAt(netns.NsHandle(host), unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("ask about the bridge: %w", err)
		}
		defer outer.Close()
		link, err := plug(ctx, outer, host, a.bridge)
		if link != nil {
			// At once, not only with the namespace, which the kernel removes when it has
			// time for it. There is nothing to do about an error: that comes then.
			defer func() { _ = netlink.LinkDel(link) }()
		}
		if err != nil {
			return err
		}
		w, err := open(link.Attrs().Index, link.Attrs().HardwareAddr, unix.ETH_P_IPV6)
		if err != nil {
			return err
		}
		defer w.close()
		return h.ask(ctx, w, o.Addr)
	})
	return h, err
}

func (h *Heard) ask(ctx context.Context, w *wire, addr netip.Addr) error {
	var last time.Time
	for n := 0; n < solicitations && len(h.Answers) == 0; n++ {
		last = time.Now()
		if err := w.solicit(addr, nil); err != nil {
			return err
		}
		err := w.read(ctx, last.Add(pause), func(f frame) bool {
			h.hear(f, addr, last)
			return len(h.Answers) > 0
		})
		if err != nil {
			return err
		}
	}
	if len(h.Answers) == 0 {
		return nil
	}
	if err := w.read(ctx, time.Now().Add(listen), func(f frame) bool { h.hear(f, addr, last); return false }); err != nil {
		return err
	}
	for n := 0; n < solicitations && !h.Unicast; n++ {
		if err := w.solicit(addr, h.MAC); err != nil {
			return err
		}
		err := w.read(ctx, time.Now().Add(listen), func(f frame) bool {
			mac, ok := f.advertises(addr)
			h.Unicast = h.Unicast || ok && slices.Equal(mac, h.MAC) && slices.Equal(f.to, w.mac)
			return h.Unicast
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Heard) hear(f frame, addr netip.Addr, asked time.Time) {
	mac, ok := f.advertises(addr)
	switch {
	case ok && !slices.ContainsFunc(h.Answers, func(a Answer) bool { return slices.Equal(a.MAC, mac) }):
		h.Answers = append(h.Answers, Answer{mac, time.Since(asked)})
	case !ok && f.message == nil && f.dst == addr && !slices.Equal(f.to, h.MAC) &&
		!slices.ContainsFunc(h.Astray, func(a net.HardwareAddr) bool { return slices.Equal(a, f.to) }):
		h.Astray = append(h.Astray, f.to)
	}
}

// Seen is what [Watch] saw on the device.
type Seen struct {
	// For is how long it watched.
	For time.Duration
	MAC net.HardwareAddr
	// Asked counts solicitations for the address that came in, Answered those of the
	// device's advertisements that went out.
	Asked, Answered int
	// Others are the link-layer addresses, not the device's, that others advertised for
	// it. In and Out count its packets.
	Others  []net.HardwareAddr
	In, Out int
}

// Watch listens on the device, for that long. It sends nothing.
func Watch(ctx context.Context, o Options, long time.Duration) (s Seen, err error) {
	var w *wire
	err = o.Enter(func() error {
		link, err := netlink.LinkByName(o.Device)
		if err != nil {
			return fmt.Errorf("device %s: %w", o.Device, err)
		}
		w, err = open(link.Attrs().Index, link.Attrs().HardwareAddr, unix.ETH_P_ALL)
		return err
	})
	if w != nil { // Enter may also fail on the way back
		defer w.close()
	}
	if err != nil {
		return s, err
	}
	start := time.Now()
	s.MAC = w.mac
	err = w.read(ctx, start.Add(long), func(f frame) bool {
		mac, advertises := f.advertises(o.Addr)
		switch {
		case f.solicits(o.Addr) && !f.out:
			s.Asked++
		case advertises && f.out:
			s.Answered++
		case advertises && !slices.Equal(mac, s.MAC):
			if !slices.ContainsFunc(s.Others, func(a net.HardwareAddr) bool { return slices.Equal(a, mac) }) {
				s.Others = append(s.Others, mac)
			}
		case f.dst == o.Addr && !f.out:
			s.In++
		case f.src == o.Addr && f.out:
			s.Out++
		}
		return false
	})
	s.For = time.Since(start)
	if errors.Is(err, context.Canceled) {
		err = nil // what was seen is worth telling
	}
	return s, err
}
