package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/dataplane"
)

// answers decides law 5 for one device. Whether it forwards IPv6 does not
// decide: while it does not, the kernel answers nothing anyway, and on a
// failover the L3 agent switches forwarding on only seconds after keepalived
// brought the address, when the switches must have learned long since where
// the gateway lives now. why may so be told of a device that answers.
func answers(device string, gateway []netip.Addr, interfaces []dataplane.Interface) (linkLocal netip.Addr, answer bool, why string) {
	iface, ok := find(interfaces, device)
	if !ok {
		return netip.Addr{}, false, "device " + device + " does not exist"
	}
	if linkLocal = iface.LinkLocal(); !linkLocal.IsValid() {
		linkLocal = expected(iface)
	}
	switch {
	case !iface.IPv6:
		return linkLocal, false, "device " + device + " has no IPv6 (disabled, or an MTU below 1280)"
	case !iface.Up:
		return linkLocal, false, "device " + device + " is down"
	}
	answer, why = holds(iface, gateway)
	if answer && !iface.Forwarding {
		why = "IPv6 forwarding is off on " + device
	}
	return linkLocal, answer, why
}

// expected is the link-local address that a device will have: the one made from
// its link-layer address (RFC 4291 appendix A). On a backup of an HA router
// keepalived adds just that, with the gateway's addresses. Naming it in the
// filter before saves the failover a transaction, which waits for the kernel's
// grace periods: about 10 ms. Whoever is wrong about it loses those.
func expected(iface dataplane.Interface) netip.Addr {
	mac := iface.MAC
	if len(mac) != 6 {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5],
	})
}

func find(interfaces []dataplane.Interface, device string) (dataplane.Interface, bool) {
	i := slices.IndexFunc(interfaces, func(i dataplane.Interface) bool { return i.Name == device })
	if i < 0 {
		return dataplane.Interface{}, false
	}
	return interfaces[i], true
}

// holds reports whether the device holds one of the gateway's addresses. One
// that is being checked for duplicates again does not stop a device that
// answers already, nor start one that does not: no flapping. Another address of
// the same subnet will do: when the gateway is given another one, the server's
// word and the L3 agent's or keepalived's work come seconds apart, in either
// order. A backup holds no address at all.
func holds(iface dataplane.Interface, gateway []netip.Addr) (bool, string) {
	if len(gateway) == 0 {
		if iface.LinkLocal().IsValid() {
			return true, ""
		}
		return false, fmt.Sprintf("device %s has no usable link-local address", iface.Name)
	}
	tentative := false
	for _, a := range gateway {
		if iface.Holds(a) {
			return true, ""
		}
		tentative = tentative || isTentative(iface, a)
	}
	if tentative && iface.ProxyNDP || slices.ContainsFunc(gateway, func(a netip.Addr) bool { return neighbours(iface, a) }) {
		return true, ""
	}
	if tentative {
		return false, fmt.Sprintf("gateway address on %s is tentative", iface.Name)
	}
	return false, fmt.Sprintf("device %s does not hold the gateway's address", iface.Name)
}

func isTentative(iface dataplane.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(iface.Addrs, func(x dataplane.InterfaceAddr) bool {
		return x.Prefix.Addr() == a && x.Tentative && !x.DADFailed
	})
}

// neighbours reports whether the device holds another address of the subnet.
func neighbours(iface dataplane.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(iface.Addrs, func(x dataplane.InterfaceAddr) bool {
		own := x.Prefix.Addr()
		return !own.IsLinkLocalUnicast() && x.Prefix.Bits() < own.BitLen() && x.Prefix.Contains(a) && iface.Holds(own)
	})
}
