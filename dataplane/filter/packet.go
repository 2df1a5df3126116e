package filter

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// packet is what is known of one packet; the rest may be anything.
type packet struct {
	what     string
	hooks    []uint32
	iif, oif string
	// header is the IPv6 header, and known says which of its bytes are.
	header [headerLen]byte
	known  [headerLen]bool
	icmp   byte // type; 0: not known
}

const (
	headerLen   = 40
	icmp6Advert = 136
)

func (p *packet) set(offset int, data ...byte) {
	copy(p.header[offset:], data)
	for i := range data {
		p.known[offset+i] = true
	}
}

// packets are those that have to get through.
func (p Passage) packets() []packet {
	to := packet{what: ToAddress, hooks: []uint32{unix.NF_INET_PRE_ROUTING, unix.NF_INET_FORWARD, unix.NF_INET_POST_ROUTING}, iif: p.External, oif: p.Internal}
	to.set(ip6Daddr, p.Addr.AsSlice()...)
	from := packet{what: FromAddress, hooks: to.hooks, iif: p.Internal, oif: p.External}
	from.set(ip6Saddr, p.Addr.AsSlice()...)
	ask := packet{what: Solicitation, hooks: []uint32{unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_IN}, iif: p.External, icmp: icmp6Solicit}
	low := p.Addr.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16() // RFC 4291 section 2.7.1
	copy(group[13:], low[13:])
	ask.set(ip6Daddr, group[:]...)
	tell := packet{what: Advertisement, hooks: []uint32{unix.NF_INET_LOCAL_OUT, unix.NF_INET_POST_ROUTING}, oif: p.External, icmp: icmp6Advert}
	out := []packet{to, from, ask, tell}
	for i := range out {
		if out[i].icmp != 0 {
			out[i].set(ip6NextHeader, unix.IPPROTO_ICMPV6)
			out[i].set(ip6HopLimit, 255)
		}
	}
	return out
}

// field is a value of a packet, or of a register. Bytes that are not known are
// false in known.
type field struct {
	data  []byte
	known bool
}

// payload is what a rule loads of the packet.
func (p packet) payload(base uint32, offset, length int) field {
	switch {
	case base == unix.NFT_PAYLOAD_NETWORK_HEADER && offset >= 0 && length > 0 && offset+length <= headerLen:
		f := field{data: p.header[offset : offset+length], known: true}
		for _, k := range p.known[offset : offset+length] {
			f.known = f.known && k
		}
		return f
	case base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && offset == 0 && length == 1 && p.icmp != 0:
		return field{[]byte{p.icmp}, true}
	}
	return field{}
}

// meta is what a rule asks about the packet.
func (p packet) meta(key uint32) field {
	switch {
	case key == unix.NFT_META_IIFNAME && p.iif != "":
		return field{ifname(p.iif), true}
	case key == unix.NFT_META_OIFNAME && p.oif != "":
		return field{ifname(p.oif), true}
	case key == unix.NFT_META_L4PROTO && p.icmp != 0:
		return field{[]byte{unix.IPPROTO_ICMPV6}, true}
	case key == unix.NFT_META_NFPROTO:
		return field{[]byte{unix.NFPROTO_IPV6}, true}
	case key == unix.NFT_META_PROTOCOL:
		return field{[]byte{unix.ETH_P_IPV6 >> 8, unix.ETH_P_IPV6 & 0xff}, true}
	}
	return field{}
}
