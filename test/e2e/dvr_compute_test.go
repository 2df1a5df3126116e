//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestDVR: hosts with agent_mode dvr_snat and dvr. Each serves its own instances in its shared
// namespace; nothing is done in snat-. The steps follow one another; the first works alone.
func TestDVR(t *testing.T) {
	w := setupDVR(t, "dvr_snat", "dvr", false)
	w.foreigners()
	before := w.snapshots()
	w.start(w.one, "")
	w.start(w.two, "")
	w.reached(10 * time.Second)

	w.sub("path", testDVRPath)
	w.sub("not published", testDVRUnpublished)
	w.sub("errors", testDVRErrors)
	w.sub("two routers", testDVRTwoRouters)
	w.sub("moves", testDVRMoves)
	w.sub("restart", testDVRRestart)
	w.sub("withdrawn", func(w *dvr) { w.withdrawn(before) })
	w.sub("port deleted", testDVRPortDeleted)
}

// testDVRPath: published instances are served by their own host, symmetrically; snat- answers nothing.
func testDVRPath(w *dvr) {
	qg, err := lab.MACOf(w.ctx, w.cloud.Snat(), w.cloud.GatewayDev)
	w.must(err)
	wire, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
	w.must(err)
	defer wire.Stop()
	for _, i := range []*lab.Instance{w.own, w.far} {
		device, mac := w.fg(i.Node)
		w.entries(w.fip(i.Node), device, i)
		w.served(i, mac)
		w.silent(wire, i, qg)
	}
	w.entries(w.cloud.Snat(), w.cloud.GatewayDev)
}

// testDVRUnpublished: there is no way in, in fip- of its host, in that of the other, in snat-.
func testDVRUnpublished(w *dvr) {
	qg, err := lab.MACOf(w.ctx, w.cloud.Snat(), w.cloud.GatewayDev)
	w.must(err)
	_, one := w.fg(w.one)
	_, two := w.fg(w.two)
	w.unserved(w.hidden, map[string]string{"its own fg-": two, "the other host's fg-": one, "qg-": qg})
}

// testDVRErrors: ICMPv6 errors that the shared namespace makes itself reach the host beyond the
// upstream router: hop limit exceeded, and packet too big, which it then heeds.
func testDVRErrors(w *dvr) {
	for _, i := range []*lab.Instance{w.own, w.far} {
		device, _ := w.fg(i.Node)
		self, err := globalAddr(w.ctx, w.fip(i.Node), device)
		w.must(err)
		wire, err := nettools.StartCapture(lab.BehindNS, "eth0")
		w.must(err)
		w.Cleanup(wire.Stop)
		ping := func(args ...string) (string, error) {
			args = append([]string{"ping", "-6", "-n"}, append(args, i.Addr.String())...)
			out, err := nettools.Exec(w.ctx, lab.BehindNS, args...)
			return string(out), err
		}
		from := func(kind uint8) func(p nettools.Packet) bool {
			return func(p nettools.Packet) bool { return p.Type == kind && p.Src == self && !p.Outgoing }
		}
		began := time.Now()
		// the upstream router leaves 1 of 2; ping ends with an error, as it should
		if out, err := ping("-c", "1", "-W", "1", "-t", "2"); err == nil {
			w.Errorf("a hop limit of 2 is enough for %s: %s", i.Port.Name, out)
		}
		_, err = wire.Await(w.within(2*time.Second), "hop limit exceeded from "+self.String(), from(3))
		if err != nil {
			w.Errorf("%s on %s: %v", i.Port.Name, i.Node, err)
		} else {
			w.Logf("%s on %s: hop limit exceeded from %s after %v", i.Port.Name, i.Node, self, time.Since(began).Round(time.Millisecond))
		}
		w.tooBig(i, self, wire, from(2), ping)
	}
}

// tooBig makes the way inside narrower than the packets of the host beyond the upstream router.
func (w *dvr) tooBig(i *lab.Instance, self netip.Addr, wire *nettools.Capture, is func(nettools.Packet) bool, ping func(...string) (string, error)) {
	w.Helper()
	ends := []struct{ ns, device string }{
		{w.fip(i.Node), w.cloud.FPR()}, {i.Node.NS("qrouter-" + w.cloud.Router), w.cloud.RFP()},
	}
	mtu := func(ctx context.Context, value string) error {
		var errs []error
		for _, e := range ends {
			_, err := nettools.IP(ctx, e.ns, "link", "set", e.device, "mtu", value)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	w.must(mtu(w.ctx, "1400"))
	w.finally(func(ctx context.Context) error { return mtu(ctx, "1500") })
	out, err := ping("-c", "6", "-i", "0.2", "-W", "1", "-M", "want", "-s", "1372")
	if got := wire.Packets(is); len(got) == 0 {
		w.Errorf("%s on %s: no packet too big from %s:\n%s%v", i.Port.Name, i.Node, self, out, err)
	}
	if !strings.Contains(out, "icmp_seq=6 ") {
		w.Errorf("%s on %s: large pings do not get through after it:\n%s%v", i.Port.Name, i.Node, out, err)
	}
	w.must(mtu(w.ctx, "1500"))
}

func globalAddr(ctx context.Context, ns, device string) (netip.Addr, error) {
	out, err := nettools.IP(ctx, ns, "-6", "-o", "addr", "show", "dev", device, "scope", "global")
	if err != nil {
		return netip.Addr{}, err
	}
	words := strings.Fields(string(out))
	if i := slices.Index(words, "inet6"); i >= 0 && i+1 < len(words) {
		p, err := netip.ParsePrefix(words[i+1])
		return p.Addr(), err
	}
	return netip.Addr{}, fmt.Errorf("%s in %s has no global address: %s", device, ns, out)
}

// testDVRTwoRouters: another router of the same external network shares the namespace; its removal
// costs the first one no packet and leaves nothing of its own.
func testDVRTwoRouters(w *dvr) {
	s, err := w.cloud.Sibling(w.ctx, "sibling")
	w.must(err)
	gone := false
	w.finally(func(ctx context.Context) error {
		if gone {
			return nil
		}
		return s.RemoveSibling(ctx)
	})
	i, err := s.EnsureInstanceOn(w.ctx, w.two, "sibling", netip.Addr{})
	w.must(err)
	_, mac := w.fg(w.two)
	w.calm(w.two, s.Router) // while it replaces a router's packet filter, the L3 agent loses packets
	w.pinging(func(p *nettools.Pinger) {
		_, err := s.Publish(w.ctx, i)
		w.must(err)
		at, err := nettools.AwaitReachable(w.within(10*time.Second), lab.UpstreamNS, i.Addr)
		w.must(err)
		w.Logf("the sibling's instance answers %v after its publication", time.Since(at).Round(time.Millisecond))
		w.served(i, mac)
		way, err := nettools.ReadWay(w.ctx, w.fip(w.two), protocol)
		w.must(err)
		w.Logf("two routers in one namespace:\n%v", way)
		w.must(s.RemoveSibling(w.ctx))
		gone = true
		w.settles(10*time.Second, "nothing of the sibling's in "+w.cloud.FIP(), func() string {
			left := w.ours(w.two)
			for _, name := range []string{s.FPR(), i.Addr.String()} {
				if strings.Contains(left, name) {
					return left
				}
			}
			return ""
		})
		w.must(p.AwaitSent(w.ctx, 50))
	})
	w.served(w.far, mac)
}

// calm waits until a host's L3 agent has had nothing to say of a router for a while.
func (w *dvr) calm(n *lab.Node, router string) {
	w.Helper()
	const quiet = 2 * time.Second
	w.settles(30*time.Second, "the L3 agent on "+n.Name+" done with "+router, func() string {
		mark, err := n.MarkLog("l3-agent")
		w.must(err)
		select {
		case <-w.ctx.Done():
		case <-time.After(quiet):
		}
		lines, err := mark.Lines(regexp.MustCompile(router))
		w.must(err)
		if len(lines) > 0 {
			return lines[len(lines)-1]
		}
		return ""
	})
}

// testDVRRestart: restarting and killing a daemon costs no packet.
func testDVRRestart(w *dvr) {
	w.pinging(func(p *nettools.Pinger) {
		d := w.daemons[w.two.Name]
		w.must(d.Stop(w.ctx))
		w.must(p.AwaitSent(w.ctx, 50))
		d = w.start(w.two, "")
		w.must(p.AwaitSent(w.ctx, 50))
		w.must(d.Kill())
		w.start(w.two, "")
	})
}
