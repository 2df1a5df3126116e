package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
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
