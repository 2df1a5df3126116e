//go:build lab

package e2e

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestUnpublished: an address of the internal subnet without a proxy is neither answered for nor let
// through from outside, whichever way the upstream router sends the packet.
func TestUnpublished(t *testing.T) {
	w := setup(t)
	hidden, err := w.cloud.EnsureInstance(w.ctx, "hidden", netip.Addr{})
	w.must(err)
	w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)
	mac, err := lab.MACOf(w.ctx, w.cloud.Namespace, w.cloud.GatewayDev)
	w.must(err)

	// each way is open for the published address, so that it is the filter that makes the difference
	for _, way := range []struct {
		name string
		asks bool // the upstream router has to ask for the neighbour
		open func(a netip.Addr) (undo func(context.Context) error, err error)
	}{{
		name: "on the link",
		asks: true,
		open: func(netip.Addr) (func(context.Context) error, error) {
			return func(context.Context) error { return nil }, nil
		},
	}, {
		name: "route via the gateway address",
		open: func(a netip.Addr) (func(context.Context) error, error) {
			return w.cloud.RouteVia(w.ctx, a, w.cloud.Gateway)
		},
	}, {
		name: "neighbour entry by hand",
		open: func(a netip.Addr) (func(context.Context) error, error) {
			_, err := nettools.IP(w.ctx, lab.UpstreamNS, "-6", "neigh", "replace", a.String(), "lladdr", mac, "dev", lab.UpstreamDev, "nud", "permanent")
			return func(ctx context.Context) error {
				_, err := nettools.IP(ctx, lab.UpstreamNS, "-6", "neigh", "del", a.String(), "dev", lab.UpstreamDev)
				return err
			}, err
		},
	}} {
		for _, from := range []string{lab.UpstreamNS, lab.BehindNS} {
			t.Run(way.name+" from "+from, func(t *testing.T) {
				w := w.in(t)
				for _, i := range []*lab.Instance{w.inst, hidden} {
					undo, err := way.open(i.Addr)
					w.must(err)
					w.finally(undo)
				}
				outside, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
				w.must(err)
				inside, err := nettools.StartCapture(hidden.Namespace, "eth0")
				w.must(err)
				_, err = nettools.AwaitReachable(w.within(5*time.Second), from, w.inst.Addr)
				if err != nil {
					t.Errorf("the published address: %v", err)
				}
				p, err := nettools.StartPing(nettools.PingConfig{Namespace: from, Target: hidden.Addr, Interval: 20 * time.Millisecond})
				w.must(err)
				w.must(p.AwaitSent(w.ctx, 75))
				r := p.Stop()
				outside.Stop()
				inside.Stop()
				t.Log(r)
				if got := len(r.Pings) - len(r.Lost()); got != 0 {
					t.Errorf("%d pings to the unpublished address were answered", got)
				}
				if got := outside.Packets(func(p nettools.Packet) bool { return p.Solicits(hidden.Addr) }); way.asks && len(got) == 0 {
					t.Error("nobody asked for the unpublished address: the test proves nothing")
				}
				if got := outside.Packets(func(p nettools.Packet) bool { return p.Advertises(hidden.Addr) }); len(got) != 0 {
					t.Errorf("%d advertisements for the unpublished address, first %+v", len(got), got[0])
				}
				if got := inside.Packets(func(p nettools.Packet) bool { return p.Type == 128 && !p.Outgoing }); len(got) != 0 {
					t.Errorf("%d echo requests reached the unpublished instance", len(got))
				}
			})
		}
	}
}
