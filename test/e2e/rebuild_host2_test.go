//go:build lab

package e2e

import (
	"context"
	"os"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestRebuildRescheduled: a legacy router is given to another host's L3 agent, and back. The daemons on
// both are told by the server alone. The instance stays where it is.
func TestRebuildRescheduled(t *testing.T) {
	if os.Getenv("LAB_HOST2") != "1" || os.Getenv("LAB_L2") == "ovs" {
		t.Skip("needs a lab with two hosts and Linux bridges: LAB_HOST2=1")
	}
	w := outer(t)
	w.must(w.lab.WipeCloud(w.ctx, w.api)) // the router may be one of another kind
	w.finally(func(ctx context.Context) error { return w.lab.WipeCloud(ctx, w.api) })
	here, err := w.lab.Node(lab.Host)
	w.must(err)
	away, err := w.lab.Node(lab.Host2)
	w.must(err)
	w.daemon(lab.DaemonConfig{})
	w.daemon(lab.DaemonConfig{Node: away})
	r := (&rebuilds{}).starting(t)
	r.settled(5*time.Second, away, footprint{})

	for _, move := range []struct{ from, to *lab.Node }{{here, away}, {away, here}} {
		p, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: r.inst.Addr})
		r.must(err)
		asked := time.Now()
		r.must(r.cloud.Reschedule(r.ctx, move.to.Name))
		r.await(agentTime, "end of the namespace on "+move.from.Name, func() bool {
			return !nettools.Exists(move.from.NS(r.cloud.Namespace))
		})
		r.host = move.to
		r.works(agentTime, r.published())
		r.settled(5*time.Second, move.from, footprint{})
		t.Logf("from %s to %s: works %v after the request", move.from, move.to, time.Since(asked).Round(time.Millisecond))
		t.Log(p.Stop())
	}
}
