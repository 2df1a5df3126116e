//go:build lab

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// served requires that a published instance and the outside reach each other, on the link and beyond
// it, by ping and by UDP, whoever begins, and that on the upstream link every packet to it goes to
// one MAC, that every packet from it comes from the same, and that nobody else answers for it.
func (w *dvr) served(i *lab.Instance, mac string) {
	w.Helper()
	wire, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
	w.must(err)
	w.must(nettools.Forget(w.ctx, lab.UpstreamNS, lab.UpstreamDev, i.Addr)) // it asks, and is answered
	w.traffic(i)
	wire.Stop()

	type class struct{ what, peer, direction string }
	seen, wrong := map[class]int{}, map[class]string{}
	for _, p := range wire.Packets(nil) {
		c := class{what: "advertisements"}
		by := p.SrcMAC.String()
		switch {
		case p.Advertises(i.Addr):
		case p.Message != nil || p.Bad != nil:
			continue
		case p.Dst == i.Addr:
			c, by = class{kindOf(p), peerName(p.Src), "to"}, p.DstMAC.String()
		case p.Src == i.Addr:
			c = class{kindOf(p), peerName(p.Dst), "from"}
		default:
			continue
		}
		seen[c]++
		if by != mac {
			wrong[c] = by
		}
	}
	for _, c := range []class{
		{"advertisements", "", ""},
		{"ping", "upstream", "to"}, {"ping", "upstream", "from"}, {"ping", "behind", "to"}, {"ping", "behind", "from"},
		{"UDP", "upstream", "to"}, {"UDP", "upstream", "from"}, {"UDP", "behind", "to"}, {"UDP", "behind", "from"},
	} {
		if seen[c] == 0 {
			w.Errorf("%s: no %s seen on the upstream link", i.Port.Name, fmt.Sprint(c))
		}
	}
	for c, by := range wrong {
		w.Errorf("%s: %v by %s, want all by %s", i.Port.Name, c, by, mac)
	}
	w.Logf("%s on %s: by %s: %v", i.Port.Name, i.Node, mac, seen)
}

func kindOf(p nettools.Packet) string {
	switch {
	case p.UDP:
		return "UDP"
	case p.Type == 128 || p.Type == 129:
		return "ping"
	}
	return fmt.Sprint("ICMPv6 type ", p.Type)
}

func peerName(a netip.Addr) string {
	if a == behindAddr {
		return "behind"
	}
	return "upstream"
}

// traffic pings and sends UDP between the instance and the upstream router and the host behind it,
// both ways, and requires that nothing is lost.
func (w *dvr) traffic(i *lab.Instance) {
	w.Helper()
	upstream := w.cloud.Upstream
	type way struct {
		from string
		to   netip.Addr
	}
	ways := []way{{lab.UpstreamNS, i.Addr}, {lab.BehindNS, i.Addr}, {i.Namespace, upstream}, {i.Namespace, behindAddr}}
	servers := map[way]*nettools.EchoServer{}
	for k, at := range []string{i.Namespace, i.Namespace, lab.UpstreamNS, lab.BehindNS} {
		s, err := nettools.StartEcho(at, ways[k].to)
		w.must(err)
		defer s.Close() //nolint:errcheck // of a test
		servers[ways[k]] = s
	}
	var wait sync.WaitGroup
	var bad atomic.Bool
	for _, y := range ways {
		wait.Go(func() {
			if _, err := nettools.AwaitReachable(w.within(5*time.Second), y.from, y.to); err != nil {
				w.Errorf("%s: %v", i.Port.Name, err)
				bad.Store(true)
				return
			}
			p, err := nettools.StartPing(nettools.PingConfig{Namespace: y.from, Target: y.to, Interval: 20 * time.Millisecond})
			if err != nil {
				w.Error(err)
				return
			}
			flow, err := nettools.Flow(w.ctx, y.from, servers[y].Addr(), 25, 20*time.Millisecond)
			r := p.Stop()
			if err != nil || len(flow.Lost) > 0 || len(r.Lost()) > 0 {
				w.Errorf("%s from %s to %s: %v\n%v\n%v", i.Port.Name, y.from, y.to, r, flow, err)
				bad.Store(true)
			}
		})
	}
	if wait.Wait(); bad.Load() {
		w.logDVR()
	}
}

// unserved requires that nothing gets in to an instance that is not published, whichever way the
// upstream router sends it, and no answer either to what the instance sends. By is where it sends it
// without asking: the MACs of devices, by name.
func (w *dvr) unserved(i *lab.Instance, by map[string]string) {
	w.Helper()
	type way struct {
		name string
		asks bool
		args []string
	}
	ways := []way{{"on the link", true, nil}}
	for name, mac := range by {
		ways = append(ways, way{"neighbour entry of " + name, false,
			[]string{"replace", i.Addr.String(), "lladdr", mac, "dev", lab.UpstreamDev, "nud", "permanent"}})
	}
	undo := func() {
		// there may be none
		_, _ = nettools.IP(w.ctx, lab.UpstreamNS, "-6", "neigh", "del", i.Addr.String(), "dev", lab.UpstreamDev)
	}
	for _, y := range ways {
		undo()
		if y.args != nil {
			_, err := nettools.IP(w.ctx, lab.UpstreamNS, append([]string{"-6", "neigh"}, y.args...)...)
			w.must(err)
		}
		outside, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
		w.must(err)
		inside, err := nettools.StartCapture(i.Namespace, "eth0")
		w.must(err)
		answered := w.tried(i)
		outside.Stop()
		inside.Stop()
		undo()
		for what, n := range answered {
			if n > 0 {
				w.Errorf("%s, %s: %d pings %s were answered", i.Port.Name, y.name, n, what)
			}
		}
		if asked := outside.Packets(func(p nettools.Packet) bool { return p.Solicits(i.Addr) }); y.asks && len(asked) == 0 {
			w.Errorf("%s, %s: nobody asked for it: the test proves nothing", i.Port.Name, y.name)
		}
		if sent := outside.Packets(func(p nettools.Packet) bool { return p.Type == 128 && p.Dst == i.Addr }); !y.asks && len(sent) == 0 {
			w.Errorf("%s, %s: no ping left the upstream router: the test proves nothing", i.Port.Name, y.name)
		}
		for _, p := range outside.Packets(func(p nettools.Packet) bool { return p.Advertises(i.Addr) }) {
			w.Errorf("%s, %s: advertised by %s", i.Port.Name, y.name, p.SrcMAC)
			break
		}
		for _, p := range inside.Packets(func(p nettools.Packet) bool { return p.Type == 128 && !p.Outgoing }) {
			w.Errorf("%s, %s: a ping of %s came in", i.Port.Name, y.name, p.Src)
			break
		}
	}
}

// tried pings the instance from outside and the outside from the instance, and counts the replies.
func (w *dvr) tried(i *lab.Instance) map[string]int {
	w.Helper()
	pingers := map[string]*nettools.Pinger{}
	for _, c := range []struct {
		from string
		to   netip.Addr
		what string
	}{
		{lab.UpstreamNS, i.Addr, "in from the upstream router"}, {lab.BehindNS, i.Addr, "in from behind it"},
		{i.Namespace, w.cloud.Upstream, "out to the upstream router"}, {i.Namespace, behindAddr, "out to the host behind it"},
	} {
		p, err := nettools.StartPing(nettools.PingConfig{Namespace: c.from, Target: c.to, Interval: 50 * time.Millisecond})
		w.must(err)
		pingers[c.what] = p
	}
	answered := map[string]int{}
	for _, p := range pingers {
		w.must(p.AwaitSent(w.ctx, 25))
		break
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	for what, p := range pingers {
		wait.Go(func() {
			r := p.Stop()
			mu.Lock()
			defer mu.Unlock()
			answered[what] = len(r.Pings) - len(r.Lost())
		})
	}
	wait.Wait()
	return answered
}

// silent requires that a capture saw no advertisement for an instance from a MAC.
func (w *dvr) silent(wire *nettools.Capture, i *lab.Instance, mac string) {
	w.Helper()
	got := wire.Packets(func(p nettools.Packet) bool { return p.Advertises(i.Addr) && p.SrcMAC.String() == mac })
	if len(got) > 0 {
		w.Errorf("%d advertisements of %s for %s, first %+v", len(got), mac, i.Port.Name, got[0])
	}
}

// entries requires that a namespace has entries for exactly these instances, besides those of bird.
func (w *dvr) entries(ns, device string, want ...*lab.Instance) {
	w.Helper()
	w.settles(5*time.Second, fmt.Sprintf("%d entries in %s", len(want), ns), func() string {
		k, err := nettools.ReadKernel(w.ctx, ns, table)
		w.must(err)
		var got, wanted []string
		for _, e := range k.Entries {
			if e.Protocol == "bird" {
				continue // not ours, see foreigners
			}
			got = append(got, e.String())
		}
		for _, i := range want {
			wanted = append(wanted, nettools.ProxyEntry{Addr: i.Addr, Device: device, Protocol: fmt.Sprint(protocol)}.String())
		}
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			return fmt.Sprintf("entries %q, want %q", got, wanted)
		}
		return ""
	})
}
