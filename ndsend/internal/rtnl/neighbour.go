package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Entry is a proxy entry of the neighbour table.
type Entry struct {
	Index int // of the interface
	Addr  netip.Addr
	Flags uint8 // NTF_PROXY and others
}

// ProxyEntry returns the proxy entry for addr on an interface, and whether there
// is one. Needs Linux 5.0: EOPNOTSUPP before.
func (c *Conn) ProxyEntry(index int, addr netip.Addr) (Entry, bool, error) {
	value := addr.As16()
	answer, err := c.Get(unix.RTM_GETNEIGH, Append(neighbour(index), unix.NDA_DST, value[:]))
	switch {
	case errors.Is(err, unix.ENOENT):
		return Entry{}, false, nil
	case err != nil:
		return Entry{}, false, err
	}
	entry, err := decodeEntry(answer)
	return entry, err == nil, err
}

// ProxyEntries lists the proxy entries of all interfaces.
func (c *Conn) ProxyEntries() ([]Entry, error) {
	var all []Entry
	list, err := c.List(unix.RTM_GETNEIGH, neighbour(0))
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		entry, err := decodeEntry(m)
		if err != nil {
			return nil, err
		}
		if entry.Flags&unix.NTF_PROXY != 0 {
			all = append(all, entry)
		}
	}
	return all, nil
}

// neighbour begins a question about proxy entries (struct ndmsg).
func neighbour(index int) []byte {
	request := make([]byte, unix.SizeofNdMsg)
	request[0] = unix.AF_INET6
	binary.NativeEndian.PutUint32(request[4:], uint32(index))
	request[10] = unix.NTF_PROXY
	return request
}

func decodeEntry(m []byte) (Entry, error) {
	if len(m) < unix.SizeofNdMsg {
		return Entry{}, errMalformed
	}
	entry := Entry{Index: int(Uint32(m[4:])), Flags: m[10]}
	for kind, value := range Attributes(m, unix.SizeofNdMsg) {
		if kind == unix.NDA_DST {
			entry.Addr = addr6(value)
		}
	}
	return entry, nil
}

// Of linux/netconf.h, not in x/sys.
const (
	netconfIndex      = 1 // NETCONFA_IFINDEX
	netconfForwarding = 2 // NETCONFA_FORWARDING
	netconfProxyNDP   = 5 // NETCONFA_PROXY_NEIGH
	netconfAll        = ^uint32(0)
)

// All is net.ipv6.conf.all.
type All struct{ Forwarding, ProxyNDP bool }

// All reads what net.ipv6.conf.all says.
func (c *Conn) All() (All, error) {
	// struct netconfmsg is one byte, and attributes begin at the fourth.
	request := AppendUint32([]byte{unix.AF_INET6, 0, 0, 0}, netconfIndex, netconfAll)
	answer, err := c.Get(unix.RTM_GETNETCONF, request)
	if err != nil {
		return All{}, err
	}
	var all All
	for kind, value := range Attributes(answer, 4) {
		switch kind {
		case netconfForwarding:
			all.Forwarding = Uint32(value) != 0
		case netconfProxyNDP:
			all.ProxyNDP = Uint32(value) != 0
		}
	}
	return all, nil
}

// Route returns the type (RTN_UNICAST, RTN_LOCAL, ...) of the route of a packet
// for addr that comes in on an interface; RTN_UNREACHABLE where there is none, or
// one that says so.
func (c *Conn) Route(index int, addr netip.Addr) (uint8, error) {
	request := make([]byte, unix.SizeofRtMsg)
	request[0], request[1] = unix.AF_INET6, 128
	value := addr.As16()
	request = Append(request, unix.RTA_DST, value[:])
	request = AppendUint32(request, unix.RTA_IIF, uint32(index))
	answer, err := c.Get(unix.RTM_GETROUTE, request)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return unix.RTN_UNREACHABLE, nil // prohibit and blackhole included
	case err != nil:
		return 0, err
	case len(answer) < unix.SizeofRtMsg:
		return 0, errMalformed
	}
	return answer[7], nil
}
