//go:build lab

package e2e

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestRestart: the dataplane does not need the daemon. Killed, stopped, without its broker: no packet
// is lost, although the upstream router verifies its neighbour every second.
func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, d *lab.Daemon, p *nettools.Pinger)
	}{{
		name: "kill -9",
		do: func(w *world, d *lab.Daemon, p *nettools.Pinger) {
			w.must(d.Kill())
			w.must(p.AwaitSent(w.ctx, 300))
			w.daemon(lab.DaemonConfig{})
		},
	}, {
		name: "SIGTERM",
		do: func(w *world, d *lab.Daemon, p *nettools.Pinger) {
			w.must(d.Stop(w.ctx))
			w.must(p.AwaitSent(w.ctx, 300))
			w.daemon(lab.DaemonConfig{})
		},
	}, {
		name: "broker stopped and started",
		do: func(w *world, d *lab.Daemon, p *nettools.Pinger) {
			other, err := w.cloud.EnsureInstance(w.ctx, "other", netip.Addr{})
			w.must(err)
			w.must(w.cloud.Unpublish(w.ctx, other))
			w.must(w.lab.Service(w.ctx, "stop", "rabbitmq"))
			w.must(p.AwaitSent(w.ctx, 300))
			w.must(w.lab.Service(w.ctx, "start", "rabbitmq"))
			// work goes on: what is published now is answered for. The server's own reconnection
			// takes its time, hence the bound.
			_, err = w.cloud.Publish(w.within(90*time.Second), other)
			w.must(err)
			at, err := nettools.AwaitReachable(w.within(auditInterval), lab.UpstreamNS, other.Addr)
			w.must(err)
			w.Logf("published after the broker's return, answered %v later", time.Since(at).Round(time.Millisecond))
			select {
			case <-d.Exited():
				w.Error("the daemon ended")
			default:
			}
		},
	}} {
		t.Run(c.name, func(t *testing.T) {
			w := setup(t)
			d := w.daemon(lab.DaemonConfig{})
			w.reachable(5 * time.Second)
			w.shortNUD()
			w.pinging(func(p *nettools.Pinger) {
				w.must(p.AwaitSent(w.ctx, 100))
				c.do(w, d, p)
			})
		})
	}
}

// TestStaleAfterStop: what was deleted through the API while the daemon was stopped is gone with the
// first sync after its start; what somebody else made is untouched.
func TestStaleAfterStop(t *testing.T) {
	w := setup(t)
	d := w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)
	w.must(d.Stop(w.ctx))
	if !slices.ContainsFunc(w.kernel().Marked(protocol), func(e nettools.ProxyEntry) bool { return e.Addr == w.inst.Addr }) {
		t.Errorf("the stopped daemon did not leave its entry for %s:\n%v", w.inst.Addr, w.kernel())
	}
	w.must(w.cloud.Unpublish(w.ctx, w.inst))

	foreign := []string{
		"2001:db8:f::1 dev " + w.cloud.InternalDev,                 // another device, no mark
		"2001:db8:f::2 dev " + w.cloud.InternalDev + " proto bird", // another device, another mark
	}
	for _, e := range [][]string{{"2001:db8:f::1"}, {"2001:db8:f::2", "proto", "bird"}} {
		args := append([]string{"-6", "neigh", "add", "proxy", e[0], "dev", w.cloud.InternalDev}, e[1:]...)
		_, err := nettools.IP(w.ctx, w.cloud.Namespace, args...)
		w.must(err)
	}
	w.daemon(lab.DaemonConfig{})
	// ready means applied: no waiting here
	k := w.kernel()
	var left []string
	for _, e := range k.Entries {
		left = append(left, e.String())
	}
	if !slices.Equal(left, foreign) {
		t.Errorf("proxy entries after the start: %q, want only the foreign %q\n%v", left, foreign, k)
	}
	w.unreachable(5 * time.Second)
}
