package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/dataplane"
)

// notice describes what others made that works against us: entries for which
// the kernel answers on our device although nobody publishes them (upstream's
// in-agent extension leaves such), and the sysctl that taxes every packet.
func notice(want dataplane.State, have dataplane.Observation) string {
	var parts []string
	for _, d := range want.Devices {
		if n, first := strangers(have, d.Name, d.Published); n > 0 && d.Answer && !d.Exclusive {
			parts = append(parts, fmt.Sprintf("%d proxy entries on %s that are not published and not ours, the first %s", n, d.Name, first))
		}
	}
	for _, i := range want.Idle {
		if n, first := strangers(have, i.Name, nil); n > 0 && !i.Exclusive {
			answers := "which does not answer"
			if d, _ := have.Interface(i.Name); d.ProxyNDP {
				answers = "which answers for them"
			}
			parts = append(parts, fmt.Sprintf("%d proxy entries on %s, %s, though nothing is published there, the first %s", n, i.Name, answers, first))
		}
	}
	if !want.Exclusive() {
		if routes := have.ForeignRoutes(want); len(routes) > 0 {
			parts = append(parts, fmt.Sprintf("%d host routes beside ours that are not to published addresses and not ours, the first %s",
				len(routes), routes[0].Route))
		}
	}
	if routes := have.WinningRoutes(want); len(routes) > 0 {
		parts = append(parts, fmt.Sprintf("%d routes of others win over ours, so the packets go their way, the first %s", len(routes), routes[0].Route))
	}
	if have.AllProxyNDP && len(want.Devices) > 0 {
		parts = append(parts, "net.ipv6.conf.all.proxy_ndp is 1, which makes every forwarded packet walk the table of entries")
	}
	return strings.Join(parts, "; ")
}

// strangers counts the entries on a device that are somebody else's and not to
// any of the published addresses.
func strangers(have dataplane.Observation, device string, published []netip.Addr) (n int, first netip.Addr) {
	for _, p := range have.Foreign() {
		if _, ours := slices.BinarySearchFunc(published, p.Addr, netip.Addr.Compare); p.Device == device && !ours {
			if n++; n == 1 {
				first = p.Addr
			}
		}
	}
	return n, first
}
