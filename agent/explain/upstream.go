package explain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/ndsend/probe"
)

// watchFor is how long to listen where nobody can be asked: a neighbour asks each
// second for what it does not know.
const watchFor = 10 * time.Second

// Probe asks for an address on the device of an answer as its neighbours do, or else
// watches what they ask, and returns the link [LinkUpstream] for
// [Answer.WithUpstream]. enter enters a namespace by name. It is for a command that
// root runs in the host's network namespace: the daemon has no right to packet
// sockets.
func Probe(ctx context.Context, a Answer, addr netip.Addr, enter func(ns string, fn func() error) error) Link {
	if a.Namespace == "" || a.Device == "" {
		return unknown("not tried: it is served on no device here", "")
	}
	o := probe.Options{Device: a.Device, Addr: addr, Enter: func(fn func() error) error { return enter(a.Namespace, fn) }}
	heard, err := probe.Ask(ctx, o)
	if err == nil {
		return fromHeard(heard, addr)
	}
	why := fmt.Sprintf("could not be asked from outside (%v)", err)
	if !errors.Is(err, probe.ErrNoWay) {
		do := ""
		if errors.Is(err, os.ErrPermission) {
			do = "run it as root, in the host's network namespace"
		}
		return unknown(why, do)
	}
	seen, err := probe.Watch(ctx, o, watchFor)
	if err != nil {
		return unknown(fmt.Sprintf("%s, nor watched (%v)", why, err), "")
	}
	return fromSeen(seen, why, a.Namespace, addr)
}

// fromHeard is the upstream's view, by what was heard on the bridge.
func fromHeard(h probe.Heard, addr netip.Addr) Link {
	asked := "asked from bridge " + h.Bridge + ": "
	switch others := h.Others(); {
	case len(others) > 0 && h.Answered():
		return broken(fmt.Sprintf("%sbesides this device (%s) also %s answers for it, and the upstream may send there", asked, h.MAC, others[0].MAC), whoHas(others[0].MAC, h.Bridge))
	case len(others) > 0:
		return broken(fmt.Sprintf("%snot this device (%s) but %s answers for it", asked, h.MAC, others[0].MAC), whoHas(others[0].MAC, h.Bridge))
	case !h.Answered():
		return broken(asked+"nobody answers, although the kernel has all that it needs",
			"something between takes the solicitation or the answer: ebtables, nft list table bridge, the bridge's multicast snooping; tcpdump -eni "+h.Bridge+" icmp6")
	case len(h.Astray) > 0:
		return broken(fmt.Sprintf("%sit is answered for with %s, but packets for it are sent to %s: somebody knows a wrong link-layer address", asked, h.MAC, h.Astray[0]),
			program+" announce "+addr.String()+"; on the upstream: ip -6 neigh show "+addr.String())
	case !h.Unicast:
		return broken(fmt.Sprintf("%sanswered with %s, but a neighbour's check (a unicast solicitation) is not", asked, h.MAC),
			"nft list table ip6 neutron_ndp_proxy in the namespace: the counter of the rule in prerouting should rise; somebody's filter may drop before it")
	}
	return ok(fmt.Sprintf("%sanswered with %s after %v, and so is a neighbour's check", asked, h.MAC, h.Answers[0].After.Round(10*time.Microsecond)))
}

func whoHas(mac net.HardwareAddr, bridge string) string {
	return fmt.Sprintf("find who has %s (bridge fdb show br %s; the switch): a host that should have withdrawn the address (is the daemon there stopped?), or a node with the same one", mac, bridge)
}

// fromSeen is the upstream's view, by what was seen on the device.
func fromSeen(s probe.Seen, why, ns string, addr netip.Addr) Link {
	saw := fmt.Sprintf("%s; watched for %v: ", why, s.For.Round(time.Second))
	what := fmt.Sprintf("%d solicitations, %d answers, %d packets to it and %d from it", s.Asked, s.Answered, s.In, s.Out)
	switch {
	case len(s.Others) > 0:
		var macs []string
		for _, m := range s.Others {
			macs = append(macs, m.String())
		}
		return broken(saw+"another node advertises it, with "+strings.Join(macs, ", "), whoHas(s.Others[0], "<bridge>"))
	case s.Asked > 0 && s.Answered == 0:
		return broken(saw+what, "the kernel was asked and did not answer: somebody's filter drops it; ip netns exec "+ns+" nft list ruleset")
	case s.Asked > 0:
		return ok(saw + what)
	case s.In > 0:
		return ok(saw + what + ": the upstream knows where it is")
	}
	return unknown(saw+"nobody asked for it or sent to it",
		"repeat it while you ping "+addr.String()+" from outside. If it stays so the upstream has no direct route for its subnet on this link, or knows a wrong link-layer address: ip -6 route get and ip -6 neigh show there; "+
			program+" announce "+addr.String())
}
