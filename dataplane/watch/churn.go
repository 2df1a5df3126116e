package watch

import (
	"encoding/binary"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// fraProtocol is FRA_PROTOCOL (linux/fib_rules.h).
const fraProtocol = 21

// rtaNextHopID is RTA_NH_ID (linux/rtnetlink.h).
const rtaNextHopID = 30

// Offsets into a message: struct nlmsghdr, then struct rtmsg.
const (
	offType     = 4
	offFlags    = 6
	offProtocol = 16 + 5
	offRoute    = 16 + 7 // rtm_type

	offAttributes = 16 + routeHeaderLen

	routeHeaderLen = 12 // struct rtmsg
	ruleHeaderLen  = 12 // struct fib_rule_hdr
)

// quiet lets the kernel drop the news of routes that concern nobody here, so
// that a table full of them, written by us or by a routing daemon, wakes no one
// and fills no buffer. What passes: a route of ours that is deleted, a route of
// somebody else that took the place of another or a share of it, and the
// kernel's own multicast route of a device, for which see [ipv6Switched].
func quiet(protocol uint8) ([]bpf.RawInstruction, error) {
	const fresh = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	newRoute, delRoute := asLoaded(unix.RTM_NEWROUTE), asLoaded(unix.RTM_DELROUTE)
	pass, drop := bpf.RetConstant{Val: 1<<32 - 1}, bpf.RetConstant{Val: 0}
	messageType, flags := bpf.LoadAbsolute{Off: offType, Size: 2}, bpf.LoadAbsolute{Off: offFlags, Size: 2}
	by, kind := bpf.LoadAbsolute{Off: offProtocol, Size: 1}, bpf.LoadAbsolute{Off: offRoute, Size: 1}
	ours := uint32(protocol)

	program := slices.Concat(
		[]bpf.Instruction{messageType},
		when(bpf.JumpNotEqual, newRoute, when(bpf.JumpNotEqual, delRoute, pass)...),
		[]bpf.Instruction{kind},
		when(bpf.JumpEqual, unix.RTN_MULTICAST, append([]bpf.Instruction{by}, when(bpf.JumpEqual, unix.RTPROT_KERNEL, pass)...)...),
		[]bpf.Instruction{messageType},
		when(bpf.JumpEqual, delRoute, append([]bpf.Instruction{by}, append(when(bpf.JumpEqual, ours, pass), drop)...)...),
		// A share of others' packets; the kernel's own are of no such place.
		[]bpf.Instruction{flags},
		when(bpf.JumpNotEqual, asLoaded(fresh), when(bpf.JumpNotEqual, asLoaded(unix.NLM_F_REPLACE),
			append([]bpf.Instruction{by}, append(when(bpf.JumpEqual, unix.RTPROT_KERNEL, drop), pass)...)...)...),
		// Somebody else's: his own business, or a replacement.
		[]bpf.Instruction{by},
		when(bpf.JumpNotEqual, ours, append([]bpf.Instruction{flags}, append(when(bpf.JumpEqual, asLoaded(fresh), drop), pass)...)...),
	)
	for _, attribute := range []uint32{unix.RTA_METRICS, unix.RTA_MULTIPATH, unix.RTA_ENCAP, rtaNextHopID} {
		program = slices.Concat(program, []bpf.Instruction{
			bpf.LoadConstant{Dst: bpf.RegX, Val: attribute},
			bpf.LoadConstant{Dst: bpf.RegA, Val: offAttributes},
			bpf.LoadExtension{Num: bpf.ExtNetlinkAttr}, // its offset, or 0
		}, when(bpf.JumpNotEqual, 0, pass))
	}
	return bpf.Assemble(append(program, drop))
}

// when goes through the instructions if the condition holds, and else past them.
func when(condition bpf.JumpTest, value uint32, then ...bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{bpf.JumpIf{Cond: condition, Val: value, SkipFalse: uint8(len(then))}}, then...)
}

// asLoaded is what the filter's machine, which is big-endian, loads of a field
// that netlink keeps in the host's order.
func asLoaded(v uint16) uint32 {
	return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v)))
}

// cause is the cause of an event that a message stands for; "" is none.
func cause(m netlink.Message, protocol uint8) string {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return CauseLink
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return CauseAddress
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if ipv6Switched(m.Data) {
			return CauseIPv6
		}
		return CauseRoute
	case unix.RTM_DELRULE:
		if ruleProtocol(m.Data) != protocol {
			return ""
		}
		return CauseRule
	case unix.RTM_NEWRULE:
		return ""
	}
	return CauseSetting
}

// ipv6Switched recognizes the route that the kernel gives every device for as
// long as IPv6 runs on it, `multicast ff00::/8 dev DEVICE table local proto
// kernel` (addrconf_add_mroute in net/ipv6/addrconf.c). Where a device has no
// address, as on a backup, nothing else tells that net.ipv6.conf.*.disable_ipv6
// was written, which drops all proxy neighbours: there is no message of links,
// of addresses, or of settings (inet6_netconf has no such attribute).
func ipv6Switched(b []byte) bool {
	return len(b) >= routeHeaderLen && b[5] == unix.RTPROT_KERNEL && b[7] == unix.RTN_MULTICAST
}

// ruleProtocol is 0 for a rule that does not say whose it is.
func ruleProtocol(b []byte) uint8 {
	if len(b) < ruleHeaderLen {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(b[ruleHeaderLen:])
	if err != nil {
		return 0
	}
	for ad.Next() {
		if ad.Type() == fraProtocol {
			return ad.Uint8()
		}
	}
	return 0
}
