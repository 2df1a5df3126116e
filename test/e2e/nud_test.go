//go:build lab

package e2e

import (
	"slices"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestUnicastSolicitations: the upstream router's Neighbor Unreachability Detection (RFC 4861
// section 7.3) is answered with conf.all.proxy_ndp at 0. The traffic is UDP: ping(8) would confirm the
// neighbour by itself.
func TestUnicastSolicitations(t *testing.T) {
	const cycles = 5
	w := setup(t)
	w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)
	if all := w.kernel().Sysctls["ipv6/conf/all/proxy_ndp"]; all != "0" {
		t.Errorf("conf.all.proxy_ndp is %q: it taxes every forwarded packet", all)
	}
	w.shortNUD()
	server, err := nettools.StartEcho(w.inst.Namespace, w.inst.Addr)
	w.must(err)
	t.Cleanup(func() { _ = server.Close() })
	watch, err := nettools.WatchNeighbour(lab.UpstreamNS, w.inst.Addr)
	w.must(err)
	t.Cleanup(watch.Stop)
	capture, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
	w.must(err)

	// one cycle: REACHABLE for 0.5 to 1.5 s, DELAY 1 s, PROBE until answered
	report, err := nettools.Flow(w.within(time.Minute), lab.UpstreamNS, server.Addr(), cycles*250, 10*time.Millisecond)
	w.must(err)
	capture.Stop()
	t.Log(report)
	states, err := watch.States()
	w.must(err)
	t.Logf("states of the neighbour: %v", states)
	if slices.Contains(states, "FAILED") {
		t.Error("the upstream router gave the neighbour up")
	}
	if len(report.Lost) > 0 {
		t.Errorf("%d datagrams lost", len(report.Lost))
	}
	solicited := capture.Packets(func(p nettools.Packet) bool {
		return p.Solicits(w.inst.Addr) && p.Outgoing && !p.Dst.IsMulticast()
	})
	answers := capture.Packets(func(p nettools.Packet) bool { return p.Advertises(w.inst.Addr) && !p.Unsolicited() })
	t.Logf("%d unicast solicitations, %d solicited advertisements", len(solicited), len(answers))
	if len(solicited) < 3 {
		t.Errorf("only %d unicast solicitations: not several cycles", len(solicited))
	}
	if len(answers) < len(solicited) {
		t.Errorf("%d unicast solicitations, but %d answers", len(solicited), len(answers))
	}
	for _, a := range answers {
		if a.Bad != nil || a.HopLimit != 255 {
			t.Errorf("bad advertisement %+v", a)
		}
	}
}
