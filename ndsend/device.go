package ndsend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkTimeout bounds one request; the library's handles have none of their own.
const netlinkTimeout = 5 * time.Second

// dumpAttempts bounds how often an address dump that changed under our hands
// is repeated. Duplicate address detection alone interrupts some.
const dumpAttempts = 5

// device is what an advertisement needs to know of an interface.
type device struct {
	index  int
	mac    net.HardwareAddr
	source netip.Addr
}

// deviceReader reads devices of the namespace in which it was opened, from any
// thread.
type deviceReader struct{ handle *netlink.Handle }

// openDeviceReader opens a netlink socket in the calling thread's namespace.
func openDeviceReader() (*deviceReader, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
		handle.Close()
		return nil, fmt.Errorf("bound the netlink socket's time: %w", err)
	}
	return &deviceReader{handle: handle}, nil
}

func (r *deviceReader) close() { r.handle.Close() }

// read returns the named device if it can send now: up, running, with an
// Ethernet address and a source address that duplicate address detection has
// confirmed: the wanted one, or any link-local one. Errors: [ErrNoInterface],
// [ErrNotReady], [ErrLinkType].
func (r *deviceReader) read(name string, wanted netip.Addr) (device, error) {
	link, err := r.handle.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	switch {
	case errors.As(err, &notFound), errors.Is(err, unix.ENODEV):
		return device{}, ErrNoInterface
	case err != nil:
		return device{}, fmt.Errorf("read the interface: %w", err)
	}
	attrs := link.Attrs()
	switch {
	case attrs.RawFlags&unix.IFF_LOOPBACK != 0 || !usableMAC(attrs.HardwareAddr):
		return device{}, ErrLinkType
	case attrs.RawFlags&unix.IFF_UP == 0:
		return device{}, errDown
	case attrs.RawFlags&unix.IFF_RUNNING == 0:
		return device{}, errNoCarrier
	}
	addrs, err := r.addresses(link)
	if err != nil {
		return device{}, err
	}
	source, err := chooseSource(addrs, wanted)
	if err != nil {
		return device{}, err
	}
	return device{index: attrs.Index, mac: attrs.HardwareAddr, source: source}, nil
}

// addresses repeats a dump that the kernel marked as inconsistent.
func (r *deviceReader) addresses(link netlink.Link) ([]netlink.Addr, error) {
	var err error
	for range dumpAttempts {
		var addrs []netlink.Addr
		if addrs, err = r.handle.AddrList(link, unix.AF_INET6); err == nil {
			return addrs, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return nil, fmt.Errorf("read the interface's addresses: %w", err)
}

// chooseSource takes the lowest link-local address that works, so that the same
// device announces from the same source each time, or the wanted address.
func chooseSource(addrs []netlink.Addr, wanted netip.Addr) (netip.Addr, error) {
	var best netip.Addr
	var tentative, failed bool
	for _, a := range addrs {
		if a.IPNet == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok || addr.Is4() || addr.Is4In6() {
			continue
		}
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
