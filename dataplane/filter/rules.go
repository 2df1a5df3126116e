package filter

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rule is one rule with the identity by which it is found again. The kernel
// does not give expressions back in the form they were sent, so the identity
// goes into the comment, which `nft list` shows.
type rule struct {
	chain    string
	identity string
	exprs    []expr.Any
}

// rules are the rules of a content, in their order within each chain.
func (c Content) rules() []rule {
	var out []rule
	for _, d := range c.Devices {
		if !d.Open {
			out = append(out, d.confine())
		}
		out = append(out, d.guard())
		if d.LinkLocal.IsValid() {
			out = append(out, d.answer())
		}
		out = append(out, d.mute(mldReport, mldDone), d.mute(mld2Report, mld2Report))
	}
	return out
}

func confineIdentity(device string) string { return "confine " + device + " v" + recordVersion }

func guardIdentity(device string) string { return "guard " + device + " v" + recordVersion }

func answerIdentity(device, linkLocal string) string {
	return "answer " + device + " by " + linkLocal + " v" + recordVersion
}

func muteIdentity(device string, kind byte) string {
	return fmt.Sprintf("mute %s type %d v%s", device, kind, recordVersion)
}

const reg = unix.NFT_REG_1

// confine drops what goes on to a network that is not guarded, and so not known
// here: a subnet that was just added to the router, or the one that just left
// it. Without this rule it would be open from the moment in which the kernel has
// its address until we are told of it, or for as long as this program is not
// running (docs/decisions/0013-unknown-networks-are-shut.md).
//
// On the link, the next hop of a packet is its destination; where a route leads
// through a gateway, it is the gateway's address. So a next hop in a guarded
// prefix is either of a destination in there, which the guard deals with, or a
// router in a network that is known, behind which Neutron's static routes lead
// elsewhere. A link-local next hop is always a gateway: packets to link-local
// destinations are not forwarded. What leaves through an external device (the
// record set names them) is no internal network's.
//
// It comes before the guard, so that a prefix that becomes guarded between the
// two was dropped by the first.
func (d Device) confine() rule {
	linkLocal := netip.MustParsePrefix("fe80::/10")
	return rule{chainForward, confineIdentity(d.Name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, equal(ifname(d.Name)...),
		&expr.Rt{Key: expr.RtNexthop6, Register: reg},
		&expr.Lookup{SourceRegister: reg, SetName: setName("guarded", d.Name), Invert: true},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: addrLen, Mask: mask(linkLocal), Xor: make([]byte, addrLen)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: linkLocal.Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg},
		&expr.Lookup{SourceRegister: reg, SetName: setRecord, Invert: true},
		load(expr.PayloadBaseNetworkHeader, ip6Daddr, addrLen),
		&expr.Lookup{SourceRegister: reg, SetName: setName("published", d.Name), Invert: true},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}}
}

// mask is a prefix's netmask.
func mask(p netip.Prefix) []byte { return net.CIDRMask(p.Bits(), p.Addr().BitLen()) }

func (d Device) guard() rule {
	return rule{chainForward, guardIdentity(d.Name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, equal(ifname(d.Name)...),
		load(expr.PayloadBaseNetworkHeader, ip6Daddr, 16),
		&expr.Lookup{SourceRegister: reg, SetName: setName("guarded", d.Name)},
		&expr.Lookup{SourceRegister: reg, SetName: setName("published", d.Name), Invert: true},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}}
}

// Offsets in the IPv6 header (RFC 8200 section 3) and in an ICMPv6 message.
const (
	ip6NextHeader = 6
	ip6HopLimit   = 7
	ip6Saddr      = 8
	ip6Daddr      = 24
	icmp6Checksum = 40 + 2 // behind a bare IPv6 header

	icmp6Solicit = 135 // RFC 4861 section 4.3

	mldReport  = 131 // RFC 2710 section 3
	mldDone    = 132
	mld2Report = 143 // RFC 3810 section 5.2
)

// answer hands unicast solicitations to the device's link-local address.
//
// The write changes the pseudo-header, so the ICMPv6 checksum must follow.
// nft would use the pseudo-header flag alone, which google/nftables v0.3.0
// cannot express; an update of the 16 bits at their offset from the network
// header is the same arithmetic, and is right because the rule demands that
// ICMPv6 follows the IPv6 header directly. The hop limit of 255 proves that
// the message comes from the link (RFC 4861 section 7.1.1).
func (d Device) answer() rule {
	return rule{chainPrerouting, answerIdentity(d.Name, d.LinkLocal.String()), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg}, equal(ifname(d.Name)...),
		load(expr.PayloadBaseNetworkHeader, ip6NextHeader, 1), equal(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseNetworkHeader, ip6HopLimit, 1), equal(255),
		// The load's verdict on a fragment without a transport header is "no match".
		load(expr.PayloadBaseTransportHeader, 0, 1), equal(icmp6Solicit),
		load(expr.PayloadBaseNetworkHeader, ip6Daddr, 16),
		&expr.Lookup{SourceRegister: reg, SetName: setName("published", d.Name)},
		&expr.Immediate{Register: reg, Data: d.LinkLocal.AsSlice()},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: reg,
			Base: expr.PayloadBaseNetworkHeader, Offset: ip6Daddr, Len: 16,
			CsumType: expr.CsumTypeInet, CsumOffset: icmp6Checksum,
		},
		&expr.Counter{},
	}}
}

// mute keeps the device from reporting to multicast listeners while it has no
// link-local address. Each proxy entry joins a solicited-node group, so the
// kernel would, also on the backup of a highly available router, whose device
// has the primary's link-layer address: every switch would send the gateway's
// traffic to the backup then. Reports from :: are to be ignored by routers
// (RFC 3810 section 5.2.13), and the kernel repeats them once it has a
// link-local address (mld_dad_complete, net/ipv6/mcast.c). They have a
// hop-by-hop header, so the next header is not ICMPv6.
func (d Device) mute(first, last byte) rule {
	return rule{chainOutput, muteIdentity(d.Name, first), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}, equal(ifname(d.Name)...),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, equal(unix.IPPROTO_ICMPV6),
		load(expr.PayloadBaseNetworkHeader, ip6Saddr, 16), equal(make([]byte, 16)...),
		load(expr.PayloadBaseTransportHeader, 0, 1),
		&expr.Cmp{Op: expr.CmpOpGte, Register: reg, Data: []byte{first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: reg, Data: []byte{last}},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}}
}

func load(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: base, Offset: offset, Len: length}
}

func equal(data ...byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data} }

// ifname is an interface name as the kernel compares it: padded with NULs to
// IFNAMSIZ, so that it matches the whole name and no longer one.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b[:unix.IFNAMSIZ-1], name)
	return b
}
