package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Of linux/rtnetlink.h and linux/ipv6.h, not in x/sys.
const (
	filterSkipStats   = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	devconfForwarding = 0
	devconfProxyNDP   = 22
	devconfDisabled   = 26
)

// Link is an interface.
type Link struct {
	Index int
	Name  string
	Flags uint32 // IFF_UP, ...
	MAC   []byte // empty where links have no addresses
	// IPv6 tells whether the interface has IPv6 at all: it has none with an
	// MTU below 1,280.
	IPv6 bool
	// Of net.ipv6.conf.<interface>; false where IPv6 is.
	Disabled, Forwarding, ProxyNDP bool
}

// Link returns the interface of a name. Errors: ENODEV.
func (c *Conn) Link(name string) (Link, error) {
	request := make([]byte, unix.SizeofIfInfomsg)
	return c.link(Append(request, unix.IFLA_IFNAME, append([]byte(name), 0)))
}

// LinkByIndex returns the interface of an index. Errors: ENODEV.
func (c *Conn) LinkByIndex(index int) (Link, error) {
	request := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(request[4:], uint32(index))
	return c.link(request)
}

func (c *Conn) link(request []byte) (Link, error) {
	answer, err := c.Get(unix.RTM_GETLINK, AppendUint32(request, unix.IFLA_EXT_MASK, filterSkipStats))
	if err != nil {
		return Link{}, err
	}
	return decodeLink(answer)
}

func decodeLink(m []byte) (Link, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return Link{}, errMalformed
	}
	l := Link{Index: int(Uint32(m[4:])), Flags: Uint32(m[8:])}
	for kind, value := range Attributes(m, unix.SizeofIfInfomsg) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(value)
		case unix.IFLA_ADDRESS:
			l.MAC = append([]byte(nil), value...)
		case unix.IFLA_AF_SPEC:
			l.decodeFamilies(value)
		}
	}
	return l, nil
}

func (l *Link) decodeFamilies(spec []byte) {
	for family, own := range Attributes(spec, 0) {
		if family != unix.AF_INET6 {
			continue
		}
		l.IPv6 = true
		for kind, conf := range Attributes(own, 0) {
			if kind != unix.IFLA_INET6_CONF {
				continue
			}
			set := func(i int) bool { return len(conf) >= 4*(i+1) && Uint32(conf[4*i:]) != 0 }
			l.Disabled, l.Forwarding, l.ProxyNDP = set(devconfDisabled), set(devconfForwarding), set(devconfProxyNDP)
		}
	}
}

// Address is one of an interface's own addresses.
type Address struct {
	Addr  netip.Addr
	Flags uint32 // IFA_F_TENTATIVE, ...
}

// Addresses lists the IPv6 addresses of an interface.
func (c *Conn) Addresses(index int) ([]Address, error) {
	return c.addresses(unix.RTM_GETADDR, unix.IFA_ADDRESS, index)
}

// Anycast lists the IPv6 anycast addresses of an interface, such as the one
// that a router has for each of its subnets (RFC 4291 section 2.6.1).
func (c *Conn) Anycast(index int) ([]Address, error) {
	return c.addresses(unix.RTM_GETANYCAST, unix.IFA_ANYCAST, index)
}

func (c *Conn) addresses(question int, carrier uint16, index int) ([]Address, error) {
	request := make([]byte, unix.SizeofIfAddrmsg)
	request[0] = unix.AF_INET6
	binary.NativeEndian.PutUint32(request[4:], uint32(index))
	var all []Address
	list, err := c.List(question, request)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		of, a, err := decodeAddress(m, carrier)
		if err != nil {
			return nil, err
		}
		if of == index && a.Addr.IsValid() {
			all = append(all, a)
		}
	}
	return all, nil
}

// decodeAddress returns an address, invalid if it is not IPv6's, and the index
// of its interface.
func decodeAddress(m []byte, carrier uint16) (index int, a Address, err error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, Address{}, errMalformed
	}
	a.Flags = uint32(m[2])
	var peer, local netip.Addr
	for kind, value := range Attributes(m, unix.SizeofIfAddrmsg) {
		switch kind {
		case carrier:
			peer = addr6(value)
		case unix.IFA_LOCAL: // with a peer, ours is this one
			local = addr6(value)
		case unix.IFA_FLAGS: // all 32 bits of them
			a.Flags = Uint32(value)
		}
	}
	if a.Addr = peer; local.IsValid() {
		a.Addr = local
	}
	return int(Uint32(m[4:])), a, nil
}

func addr6(value []byte) netip.Addr {
	if len(value) != 16 {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(value))
}
