//go:build lab

package e2e

import (
	"context"
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

// TestRouterUpdates: ten updates of the router in a row lose no packet of a running ping. Upstream's
// extension withdraws every address at each of them.
func TestRouterUpdates(t *testing.T) {
	w := setup(t)
	subnet, remove, err := w.cloud.MakeSubnet(w.ctx, "other-net")
	w.must(err)
	w.finally(func(ctx context.Context) error {
		_ = w.cloud.RemoveInterface(ctx, subnet) // it may be off already: the network's removal tells
		return remove(ctx)
	})
	w.daemon(lab.DaemonConfig{})
	first := w.cloud.Gateway
	other := first.Next()
	for other == w.cloud.Upstream || other == first {
		other = other.Next()
	}
	describe := func(n int) func() {
		return func() {
			w.must(w.cloud.UpdateRouter(w.ctx, lab.Fields{"description": fmt.Sprint("update ", n, " of ", time.Now())}))
		}
	}
	gateway := func(a netip.Addr) func() {
		return func() {
			w.must(w.cloud.MoveGateway(w.ctx, a))
			w.await(agentTime, "gateway address "+a.String(), func() bool {
				out, err := nettools.IP(w.ctx, w.cloud.Namespace, "-6", "addr", "show", "dev", w.cloud.GatewayDev)
				return err == nil && strings.Contains(string(out), " "+a.String()+"/")
			})
		}
	}
	devices := func() int {
		all, err := nettools.Devices(w.ctx, w.cloud.Namespace)
		w.must(err)
		return len(all)
	}
	before := devices()
	updates := []func(){
		describe(1), describe(2), describe(3),
		gateway(other), describe(5), gateway(first),
		func() {
			w.must(w.cloud.AddInterface(w.ctx, subnet))
			w.await(agentTime, "the added interface", func() bool { return devices() == before+1 })
		},
		describe(8),
		func() {
			w.must(w.cloud.RemoveInterface(w.ctx, subnet))
			w.await(agentTime, "the end of the added interface", func() bool { return devices() == before })
		},
		describe(10),
	}
	mark, err := w.lab.MarkLog("l3-agent")
	w.must(err)
	w.pinging(func(p *nettools.Pinger) {
		for _, update := range updates {
			update()
		}
		// the last update has reached the L3 agent, and whatever it does to the namespace is done
		finished := regexp.MustCompile("Finished a router update for " + w.cloud.Router)
		asked := regexp.MustCompile("Got routers updated notification.*" + w.cloud.Router)
		w.await(agentTime, "the L3 agent has done all updates", func() bool {
			done, err := mark.Lines(finished)
			w.must(err)
			heard, err := mark.Lines(asked)
			w.must(err)
			return len(heard) >= len(updates) && len(done) > 0 && slices.Max(heard) < slices.Max(done)
		})
		w.must(p.AwaitSent(w.ctx, 200))
	})
}
