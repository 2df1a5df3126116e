package ndsend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/rtnl"
)

// device is what an advertisement needs to know of an interface.
type device struct {
	index  int
	mac    net.HardwareAddr
	source netip.Addr
}

// deviceReader reads devices of the namespace in which it was opened, from any
// thread.
type deviceReader struct{ conn *rtnl.Conn }

// openDeviceReader opens a netlink socket in the calling thread's namespace.
func openDeviceReader() (*deviceReader, error) {
	conn, err := rtnl.Open()
	if err != nil {
		return nil, err
	}
	return &deviceReader{conn: conn}, nil
}

func (r *deviceReader) close() { r.conn.Close() }

// link returns the named device. Errors: [ErrNoInterface].
func (r *deviceReader) link(name string) (rtnl.Link, error) {
	link, err := r.conn.Link(name)
	switch {
	case errors.Is(err, unix.ENODEV):
		return rtnl.Link{}, ErrNoInterface
	case err != nil:
		return rtnl.Link{}, fmt.Errorf("read the interface: %w", err)
	}
	return link, nil
}

// read returns the named device if it can send now: up, running, with an
// Ethernet address and a source address that duplicate address detection has
// confirmed: the wanted one, or any link-local one. Errors: [ErrNoInterface],
// [ErrNotReady], [ErrLinkType].
func (r *deviceReader) read(name string, wanted netip.Addr) (device, error) {
	link, err := r.link(name)
	switch {
	case err != nil:
		return device{}, err
	case link.Flags&unix.IFF_LOOPBACK != 0 || !usableMAC(link.MAC):
		return device{}, ErrLinkType
	case link.Flags&unix.IFF_UP == 0:
		return device{}, errDown
	case link.Flags&unix.IFF_RUNNING == 0:
		return device{}, errNoCarrier
	}
	addrs, err := r.addresses(link.Index)
	if err != nil {
		return device{}, err
	}
	source, err := chooseSource(addrs, wanted)
	if err != nil {
		return device{}, err
	}
	return device{index: link.Index, mac: link.MAC, source: source}, nil
}

func (r *deviceReader) addresses(index int) ([]rtnl.Address, error) {
	addrs, err := r.conn.Addresses(index)
	switch {
	case errors.Is(err, unix.ENODEV): // it went since we read it
		return nil, ErrNoInterface
	case err != nil:
		return nil, fmt.Errorf("read the interface's addresses: %w", err)
	}
	return addrs, nil
}

// chooseSource takes the lowest link-local address that works, so that the same
// device announces from the same source each time, or the wanted address.
func chooseSource(addrs []rtnl.Address, wanted netip.Addr) (netip.Addr, error) {
	var best netip.Addr
	var tentative, failed bool
	for _, a := range addrs {
		addr := a.Addr
		if wanted.IsValid() && addr != wanted || !wanted.IsValid() && !addr.IsLinkLocalUnicast() {
			continue
		}
		switch {
		// First: the kernel leaves a failed address marked as tentative too.
		case a.Flags&unix.IFA_F_DADFAILED != 0:
			failed = true
		case a.Flags&unix.IFA_F_TENTATIVE != 0:
			tentative = true
		case !best.IsValid() || addr.Less(best):
			best = addr
		}
	}
	switch {
	case best.IsValid():
		return best, nil
	case tentative:
		return netip.Addr{}, ErrTentative
	case failed:
		return netip.Addr{}, errDADFailed
	case wanted.IsValid():
		return netip.Addr{}, fmt.Errorf("%s: %w", wanted, errNoSource)
	default:
		return netip.Addr{}, errNoLinkLocal
	}
}
