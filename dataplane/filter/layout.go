package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

const (
	chainForward    = "forward"
	chainPrerouting = "prerouting"
	chainOutput     = "output"
	setRecord       = "record"

	// Before Neutron's filter chains (priority 0): what is dropped need not
	// be looked at again. The order changes no verdict.
	priorityForward = -5
	// Before connection tracking, as conventional for rewriting statelessly.
	priorityPrerouting = -300
	// As forward.
	priorityOutput = -5
)

// baseChain is a base chain as we make it and as the kernel describes it.
type baseChain struct {
	name     string
	hook     uint32
	priority int32
}

func baseChains() []baseChain {
	return []baseChain{
		{chainForward, unix.NF_INET_FORWARD, priorityForward},
		{chainPrerouting, unix.NF_INET_PRE_ROUTING, priorityPrerouting},
		{chainOutput, unix.NF_INET_LOCAL_OUT, priorityOutput},
	}
}

func (b baseChain) build(t *nftables.Table) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name: b.name, Table: t, Type: nftables.ChainTypeFilter, Policy: &policy,
		Hooknum:  nftables.ChainHookRef(nftables.ChainHook(b.hook)),
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(b.priority)),
	}
}

// setName makes a set's name of a device's: letters, digits, dot and hyphen
// stay, all else is written as _xx so that `nft` can read it and no two
// devices share a set.
func setName(kind, device string) string {
	var b strings.Builder
	b.WriteString(kind)
	b.WriteByte('-')
	for i := range len(device) {
		switch c := device[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

func recordSet(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: setRecord, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

func publishedSet(t *nftables.Table, device string) *nftables.Set {
	return &nftables.Set{Table: t, Name: setName("published", device), KeyType: nftables.TypeIP6Addr}
}

func guardedSet(t *nftables.Table, device string) *nftables.Set {
	return &nftables.Set{Table: t, Name: setName("guarded", device), KeyType: nftables.TypeIP6Addr, Interval: true}
}

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
		out = append(out, d.guard())
		if d.LinkLocal.IsValid() {
			out = append(out, d.answer())
		}
		out = append(out, d.mute(mldReport, mldDone), d.mute(mld2Report, mld2Report))
	}
	return out
}

func guardIdentity(device string) string { return "guard " + device + " v" + recordVersion }

func answerIdentity(device, linkLocal string) string {
	return "answer " + device + " by " + linkLocal + " v" + recordVersion
}

func muteIdentity(device string, kind byte) string {
	return fmt.Sprintf("mute %s type %d v%s", device, kind, recordVersion)
}

const reg = unix.NFT_REG_1

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

func comment(text string) []byte { return userdata.AppendString(nil, userdata.TypeComment, text) }

func addrElements(addrs []netip.Addr) []nftables.SetElement {
	out := make([]nftables.SetElement, len(addrs))
	for i, a := range addrs {
		out[i].Key = a.AsSlice()
	}
	return out
}

// rangeElements are the elements of an interval set: where a range starts, and
// the first address behind it. A range up to the last address has no end.
func rangeElements(prefixes []netip.Prefix) []nftables.SetElement {
	_, added := rangesDiff(nil, prefixes)
	return added
}

// rangesDiff are the elements of the ranges that only have contains, and of
// those that only want contains.
func rangesDiff(have, want []netip.Prefix) (gone, added []nftables.SetElement) {
	old, next := ranges(have), ranges(want)
	for _, r := range old {
		if !slices.Contains(next, r) {
			gone = appendRange(gone, r)
		}
	}
	for _, r := range next {
		if !slices.Contains(old, r) {
			added = appendRange(added, r)
		}
	}
	return gone, added
}

func ranges(prefixes []netip.Prefix) []netipx.IPRange {
	set := ipset(prefixes)
	if set == nil {
		return nil
	}
	return set.Ranges()
}

func appendRange(elements []nftables.SetElement, r netipx.IPRange) []nftables.SetElement {
	elements = append(elements, nftables.SetElement{Key: r.From().AsSlice()})
	if end := r.To().Next(); end.IsValid() {
		elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
	}
	return elements
}

// bound is one element of an interval set as the kernel dumps it.
type bound struct {
	addr netip.Addr
	end  bool
}

// prefixesOf is the inverse of rangeElements for bounds sorted by address, an
// end before a start at the same address.
func prefixesOf(bounds []bound) []netip.Prefix {
	var b netipx.IPSetBuilder
	var from netip.Addr
	for _, x := range bounds {
		switch {
		case !x.end && !from.IsValid():
			from = x.addr
		case x.end && from.IsValid():
			b.AddRange(netipx.IPRangeFrom(from, x.addr.Prev()))
			from = netip.Addr{}
		}
	}
	if from.IsValid() {
		b.AddRange(netipx.IPRangeFrom(from, netipx.PrefixLastIP(netip.PrefixFrom(netip.IPv6Unspecified(), 0))))
	}
	set, err := b.IPSet()
	if err != nil {
		return nil // not what we wrote: equals no record
	}
	return set.Prefixes()
}

func recordElements(c Content) []nftables.SetElement {
	out := make([]nftables.SetElement, len(c.Devices))
	for i, d := range c.Devices {
		out[i] = nftables.SetElement{Key: ifname(d.Name), Comment: d.Record().String()}
	}
	return out
}
