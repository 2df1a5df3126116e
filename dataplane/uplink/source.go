package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// link is what is known of a device.
type link struct {
	index int
	name  string
	// kind is IFLA_INFO_KIND; "" for a physical device.
	kind     string
	loopback bool
	// running: IFF_UP and IFF_RUNNING, that is administratively up, with a
	// carrier, and no protocol below waits (IF_OPER_DORMANT).
	running bool
	// carriers is IFLA_CARRIER_UP_COUNT: how often the carrier came. It tells
	// of one that went and came while nobody looked.
	carriers uint32
}

// event is a changed link, or one of which only the index counts, as it is gone.
type event struct {
	link
	gone bool
}

// source is a namespace's links and their events, in that order: the events
// begin before the list.
type source interface {
	List(ctx context.Context) ([]link, error)
	// Receive waits for the next events. After an error (ENOBUFS: some were
	// lost) the source is of no use.
	Receive() ([]event, error)
	// Interrupt ends a Receive that waits, now or later.
	Interrupt()
	Close()
}

type subscription struct {
	netns int
	nl    *netlink.Conn
}

func subscribe(ns, receiveBuffer int) (source, error) {
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: ns})
	if err != nil {
		return nil, fmt.Errorf("subscribe to links: %w", netns.Denied(err))
	}
	err = nl.SetReadBuffer(receiveBuffer)
	if err == nil {
		err = nl.JoinGroup(unix.RTNLGRP_LINK)
	}
	if err != nil {
		_ = nl.Close() // the first error says more
		return nil, fmt.Errorf("subscribe to links: %w", netns.Denied(err))
	}
	return subscription{ns, nl}, nil
}

// extFilterSkipStats is RTEXT_FILTER_SKIP_STATS (linux/rtnetlink.h).
const extFilterSkipStats = 1 << 3

// List asks on a socket of its own: answers do not mix with events.
func (s subscription) List(ctx context.Context) ([]link, error) {
	c, err := rtnl.Dial(s.netns)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	defer func() { _ = c.Close() }() // nothing was written
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.IFLA_EXT_MASK, extFilterSkipStats)
	attributes, err := ae.Encode()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	dump, err := c.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, append(make([]byte, unix.SizeofIfInfomsg), attributes...))
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	list := make([]link, 0, len(dump))
	for _, m := range dump {
		e, ok, err := decode(unix.RTM_NEWLINK, m)
		if err != nil {
			return nil, fmt.Errorf("list links: %w", err)
		}
		if ok {
			list = append(list, e.link)
		}
	}
	return list, nil
}

func (s subscription) Receive() ([]event, error) {
	messages, err := s.nl.Receive()
	if err != nil {
		return nil, err
	}
	events := make([]event, 0, len(messages))
	for _, m := range messages {
		e, ok, err := decode(uint16(m.Header.Type), m.Data)
		if err != nil {
			return nil, err
		}
		if ok {
			events = append(events, e)
		}
	}
	return events, nil
}

func (s subscription) Interrupt() { _ = s.nl.SetReadDeadline(time.Unix(1, 0)) } // an error: it is closed

func (s subscription) Close() { _ = s.nl.Close() } // nothing was written

var errShort = errors.New("link message is too short")

// decode returns false for a message that is not about a device's state: a
// bridge sends its ports' changes as link messages of another family, where
// RTM_DELLINK means that the port left the bridge, and wireless devices send
// messages with nothing but IFLA_WIRELESS.
func decode(kind uint16, b []byte) (event, bool, error) {
	if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK {
		return event{}, false, nil
	}
	if len(b) < unix.SizeofIfInfomsg {
		return event{}, false, errShort
	}
	if b[0] != unix.AF_UNSPEC {
		return event{}, false, nil
	}
	const up = unix.IFF_UP | unix.IFF_RUNNING
	flags := binary.NativeEndian.Uint32(b[8:])
	e := event{gone: kind == unix.RTM_DELLINK, link: link{
		index:    int(int32(binary.NativeEndian.Uint32(b[4:]))), // #nosec G115 -- as the kernel declares it
		loopback: flags&unix.IFF_LOOPBACK != 0,
		running:  flags&up == up,
	}}
	ad, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return event{}, false, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			e.name = ad.String()
		case unix.IFLA_CARRIER_UP_COUNT:
			e.carriers = ad.Uint32()
		case unix.IFLA_LINKINFO:
			ad.Nested(func(info *netlink.AttributeDecoder) error {
				for info.Next() {
					if info.Type() == unix.IFLA_INFO_KIND {
						e.kind = info.String()
					}
				}
				return nil
			})
		}
	}
	return e, e.name != "", ad.Err()
}
