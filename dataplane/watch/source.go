package watch

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

// source is one namespace's stream of events.
type source interface {
	// Receive waits for the next event and returns its cause. After an error
	// (ENOBUFS: some were lost) the source is of no use.
	Receive() (cause string, err error)
	// Close ends a Receive that waits.
	Close() error
}

// subscription is a netlink socket in the groups that concern us. It waits on
// the runtime's poller: a thousand of them take no thread. It also keeps its
// namespace alive, so the namespace's ID stays unique while it is open; it must
// be closed when the name goes.
type subscription struct {
	nl       *netlink.Conn
	protocol uint8
}

// open subscribes to a namespace. Errors as netns.Open.
func open(dir, ns string, receiveBuffer int, protocol uint8) (source, netns.ID, error) {
	h, err := netns.Open(dir, ns)
	if err != nil {
		return nil, netns.ID{}, err
	}
	defer func() { _ = h.Close() }() // only a reference
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{NetNS: h.FD()})
	if err != nil {
		return nil, netns.ID{}, fmt.Errorf("namespace %s: subscribe: %w", ns, netns.Denied(err))
	}
	if err := join(nl, receiveBuffer, protocol); err != nil {
		_ = nl.Close() // the first error says more
		return nil, netns.ID{}, fmt.Errorf("namespace %s: subscribe: %w", ns, netns.Denied(err))
	}
	return subscription{nl, protocol}, h.ID(), nil
}

func join(nl *netlink.Conn, receiveBuffer int, protocol uint8) error {
	if err := nl.SetReadBuffer(receiveBuffer); err != nil {
		return err
	}
	program, err := quiet(protocol)
	if err != nil {
		return err
	}
	// Before the groups: nothing gets past it.
	if err := nl.SetBPF(program); err != nil {
		return err
	}
	for _, group := range []uint32{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_NETCONF,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
	} {
		if err := nl.JoinGroup(group); err != nil {
			return err
		}
	}
	return nil
}

func (s subscription) Receive() (string, error) {
	for {
		messages, err := s.nl.Receive()
		if err != nil {
			return "", err
		}
		for _, m := range messages {
			if c := cause(m, s.protocol); c != "" {
				return c, nil
			}
		}
	}
}

func (s subscription) Close() error { return s.nl.Close() }
