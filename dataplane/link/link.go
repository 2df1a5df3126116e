package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// Interface is a device as it is now.
type Interface struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	// Up: administratively up and running (IFF_UP and IFF_RUNNING, that is,
	// with a carrier).
	Up bool
	// CarrierUps counts how often the device got its carrier (since Linux 4.16;
	// 0 before): a carrier that went and came back between two looks shows here
	// only.
	CarrierUps uint32
	// LinkLocalSince is when the oldest link-local address was made, in
	// hundredths of a second since the system's start; 0: there is none. Setting
	// the device down removes them with all proxy entries (addrconf_ifdown and
	// pneigh_ifdown in the kernel), whatever keeps the other addresses, and so
	// does switching IPv6 off: another value means that this happened.
	LinkLocalSince uint32
	// Addrs are the IPv4 and IPv6 addresses, sorted.
	Addrs []Addr

	// DisableIPv6 is net.ipv6.conf.<device>.disable_ipv6.
	DisableIPv6 bool

	// IPv6 is whether IPv6 runs on the device: not with DisableIPv6, and with
	// an MTU below 1280 it has no IPv6 side at all. The fields below mean
	// something only if it has one.
	IPv6 bool
	// Forwarding, ProxyNDP: net.ipv6.conf.<device>.
	Forwarding, ProxyNDP bool
	// ProxyDelay: net.ipv6.neigh.<device>.proxy_delay, as exact as the
	// kernel's clock.
	ProxyDelay time.Duration
}

// Addr is an address of an interface.
type Addr struct {
	// Prefix is the address itself with the length of its prefix, unmasked.
	Prefix netip.Prefix
	// Tentative: duplicate address detection is not over; nothing may be sent
	// from it yet (RFC 4862 section 5.4).
	Tentative bool
	// DADFailed: another node has it; it stays unusable.
	DADFailed bool
}

func (a Addr) usable() bool { return !a.Tentative && !a.DADFailed }

// LinkLocal is the interface's lowest usable IPv6 link-local address, or the
// zero Addr. The lowest, so that the answer stays the same while there are
// several.
func (i Interface) LinkLocal() netip.Addr {
	for _, a := range i.Addrs { // sorted
		if ip := a.Prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() && a.usable() {
			return ip
		}
	}
	return netip.Addr{}
}

// Holds reports whether the interface has that address, usable.
func (i Interface) Holds(addr netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(a Addr) bool { return a.Prefix.Addr() == addr && a.usable() })
}

// Sizes of struct ifinfomsg and struct ifaddrmsg.
const (
	ifinfoLen = 16
	ifaddrLen = 8

	// extFilterSkipStats is RTEXT_FILTER_SKIP_STATS (linux/rtnetlink.h).
	extFilterSkipStats = 1 << 3

	// devconfDisableIPv6 is DEVCONF_DISABLE_IPV6 (linux/ipv6.h), a place in the
	// array of 32-bit settings that every link message has: it costs no request.
	devconfDisableIPv6 = 26
)

var errShort = errors.New("link message is too short")

// List returns the interfaces of the namespace, sorted by name, without what
// comes from sysctls.
func List(ctx context.Context, c *rtnl.Conn) ([]Interface, error) {
	// Statistics are the larger half of a link message; nobody reads them here.
	request := append(make([]byte, ifinfoLen), attribute(unix.IFLA_EXT_MASK, extFilterSkipStats)...)
	links, err := c.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, request)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := c.Dump(ctx, unix.RTM_GETADDR, unix.RTM_NEWADDR, make([]byte, ifaddrLen))
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	list := make([]Interface, 0, len(links))
	at := make(map[int]int, len(links))
	for _, m := range links {
		i, err := decodeLink(m)
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		at[i.Index] = len(list)
		list = append(list, i)
	}
	for _, m := range addrs {
		index, a, since, err := decodeAddr(m)
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		// A device that came between the two dumps announces itself.
		if n, ok := at[index]; ok && a.Prefix.IsValid() {
			list[n].Addrs = append(list[n].Addrs, a)
			if ip := a.Prefix.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() && (list[n].LinkLocalSince == 0 || since < list[n].LinkLocalSince) {
				list[n].LinkLocalSince = since
			}
		}
	}
	for n := range list {
		slices.SortFunc(list[n].Addrs, func(a, b Addr) int { return a.Prefix.Compare(b.Prefix) })
	}
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func attribute(kind uint16, value uint32) []byte {
	b := make([]byte, 8)
	binary.NativeEndian.PutUint16(b, 8)
	binary.NativeEndian.PutUint16(b[2:], kind)
	binary.NativeEndian.PutUint32(b[4:], value)
	return b
}

func decodeLink(b []byte) (Interface, error) {
	if len(b) < ifinfoLen {
		return Interface{}, errShort
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	i := Interface{
		Index: int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Up:    flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0,
	}
	ad, err := netlink.NewAttributeDecoder(b[ifinfoLen:])
	if err != nil {
		return Interface{}, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			i.Name = ad.String()
		case unix.IFLA_ADDRESS:
			i.MAC = net.HardwareAddr(slices.Clone(ad.Bytes()))
		case unix.IFLA_CARRIER_UP_COUNT:
			i.CarrierUps = ad.Uint32()
		case unix.IFLA_AF_SPEC:
			ad.Nested(func(families *netlink.AttributeDecoder) error {
				for families.Next() {
					if families.Type() == unix.AF_INET6 {
						families.Nested(func(inet6 *netlink.AttributeDecoder) error {
							i.DisableIPv6 = disableIPv6(inet6)
							return nil
						})
					}
				}
				return nil
			})
		}
	}
	return i, ad.Err()
}

// disableIPv6 reads IFLA_INET6_CONF. What is not there is not set.
func disableIPv6(inet6 *netlink.AttributeDecoder) bool {
	for inet6.Next() {
		if inet6.Type() != unix.IFLA_INET6_CONF {
			continue
		}
		if b := inet6.Bytes(); len(b) >= 4*(devconfDisableIPv6+1) {
			return binary.NativeEndian.Uint32(b[4*devconfDisableIPv6:]) != 0
		}
	}
	return false
}

// decodeAddr returns the device's index, the address and when it was made.
func decodeAddr(b []byte) (int, Addr, uint32, error) {
	if len(b) < ifaddrLen {
		return 0, Addr{}, 0, errShort
	}
	bits, flags := int(b[1]), uint32(b[2])
	index := int(int32(binary.NativeEndian.Uint32(b[4:])))
	ad, err := netlink.NewAttributeDecoder(b[ifaddrLen:])
	if err != nil {
		return 0, Addr{}, 0, err
	}
	var local, address netip.Addr
	var since uint32
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_CACHEINFO: // struct ifa_cacheinfo: preferred, valid, made, changed
			if b := ad.Bytes(); len(b) >= 12 {
				since = binary.NativeEndian.Uint32(b[8:])
			}
		case unix.IFA_FLAGS:
			flags = ad.Uint32()
		}
	}
	if err := ad.Err(); err != nil {
		return 0, Addr{}, 0, err
	}
	// On a point-to-point device IFA_ADDRESS is the other end's.
	if !local.IsValid() {
		local = address
	}
	return index, Addr{
		Prefix: netip.PrefixFrom(local, bits),
		// An optimistic address may be used while it is tentative (RFC 4429).
		Tentative: flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
		DADFailed: flags&unix.IFA_F_DADFAILED != 0,
	}, since, nil
}
