//go:build lab

package e2e

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// What marks the daemon's work in a namespace, by default.
const (
	protocol = 110
	table    = "neutron_ndp_proxy"
	// the upper bound of the time in which what the server tells nobody is repaired
	auditInterval = 60 * time.Second
	// how long Neutron's own agents may take for a router
	agentTime = 45 * time.Second
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// world is the guide's cloud with one published instance, and no trace of an earlier daemon.
type world struct {
	*testing.T
	ctx   context.Context
	lab   *lab.Lab
	api   *lab.API
	cloud *lab.Cloud
	inst  *lab.Instance
}

// outer is what every test has: the lab and its API.
func outer(t *testing.T) *world {
	t.Helper()
	l, inside, err := lab.Inside()
	if err != nil || !inside {
		t.Fatalf("not inside a lab: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	return &world{T: t, ctx: ctx, lab: l, api: lab.NewAPI(lab.APIURL)}
}

// setup re-establishes the starting point whatever earlier tests did, and shows that without a
// daemon the address is not reachable: a test that would pass anyway proves nothing.
func setup(t *testing.T) *world {
	t.Helper()
	w := outer(t)
	var err error
	w.cloud, err = w.lab.EnsureCloud(w.ctx, w.api)
	w.must(err)
	w.inst, err = w.cloud.EnsureInstance(w.ctx, lab.InstanceName, netip.Addr{})
	w.must(err)
	w.must(w.cloud.PublishOnly(w.ctx, w.inst))
	w.wipeKernel()
	w.unreachable(10 * time.Second)
	return w
}

// in is the same world for a subtest.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	sub := *w
	sub.T = t
	return &sub
}

// finally runs at the end of the test, whose context is cancelled by then.
func (w *world) finally(do func(ctx context.Context) error) {
	w.Helper()
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 30*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			w.Error(err)
		}
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// within bounds one step of a test.
func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.ctx, d)
	w.Cleanup(cancel)
	return ctx
}

// wipeKernel takes away what an earlier daemon left in the router's namespace.
func (w *world) wipeKernel() {
	w.Helper()
	k := w.kernel()
	for _, e := range k.Entries {
		_, err := nettools.IP(w.ctx, k.Namespace, "-6", "neigh", "del", "proxy", e.Addr.String(), "dev", e.Device)
		w.must(err)
	}
	if k.Ours != "" {
		_, err := nettools.Run(w.ctx, "ip", "netns", "exec", k.Namespace, "nft", "delete", "table", "ip6", table)
		w.must(err)
	}
	// with the filter gone, a neighbour that the upstream router still knows would be reached
	w.must(nettools.Forget(w.ctx, lab.UpstreamNS, lab.UpstreamDev, w.inst.Addr))
	for key, value := range map[string]string{"conf/" + w.cloud.GatewayDev + "/proxy_ndp": "0", "neigh/" + w.cloud.GatewayDev + "/proxy_delay": "80"} {
		_, err := nettools.SetSysctl(k.Namespace, "ipv6/"+key, value)
		w.must(err)
	}
}

// daemon starts the daemon and waits until it is ready.
func (w *world) daemon(c lab.DaemonConfig) *lab.Daemon {
	w.Helper()
	d := w.lab.StartDaemon(w.T, c)
	began := time.Now()
	w.must(d.Ready(w.within(30 * time.Second)))
	w.Logf("daemon ready after %v", time.Since(began).Round(time.Millisecond))
	return d
}

// kernel dumps the router's namespace.
func (w *world) kernel() nettools.Kernel {
	w.Helper()
	k, err := nettools.ReadKernel(w.ctx, w.cloud.Namespace, table)
	w.must(err)
	return k
}

// reachable requires that the instance answers the upstream router in time; it returns when it did.
func (w *world) reachable(within time.Duration) time.Time {
	w.Helper()
	at, err := nettools.AwaitReachable(w.within(within), lab.UpstreamNS, w.inst.Addr)
	if err != nil {
		w.logKernel()
		w.Fatal(err)
	}
	return at
}

// unreachable requires that the instance stops answering in time; it returns when it last did.
func (w *world) unreachable(within time.Duration) time.Time {
	w.Helper()
	at, err := nettools.AwaitUnreachable(w.within(within), lab.UpstreamNS, w.inst.Addr)
	if err != nil {
		w.logKernel()
		w.Fatal(err)
	}
	return at
}

func (w *world) logKernel() {
	w.Helper()
	if k, err := nettools.ReadKernel(w.ctx, w.cloud.Namespace, table); err == nil {
		w.Log(k)
	}
}

// await polls until check holds.
func (w *world) await(within time.Duration, what string, check func() bool) {
	w.Helper()
	for ctx := w.within(within); !check(); {
		select {
		case <-ctx.Done():
			w.logKernel()
			w.Fatalf("after %v still not: %s", within, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// noEntry requires that soon neither a marked entry nor our filter knows the address.
func (w *world) noEntry(a netip.Addr) {
	w.Helper()
	w.await(5*time.Second, "no entry of ours for "+a.String(), func() bool {
		k := w.kernel()
		for _, e := range k.Marked(protocol) {
			if e.Addr == a {
				return false
			}
		}
		return !strings.Contains(k.Ours, a.String())
	})
}

// nothing requires that soon nothing of ours is left in the router's namespace.
func (w *world) nothing() {
	w.Helper()
	w.await(5*time.Second, "nothing of ours in "+w.cloud.Namespace, func() bool {
		k := w.kernel()
		return len(k.Marked(protocol)) == 0 && k.Ours == "" && k.Sysctls["ipv6/conf/"+w.cloud.GatewayDev+"/proxy_ndp"] == "0"
	})
}

// pinging runs two pings at 10 ms, from the upstream router and from a host behind it, around body,
// and requires that none of them is lost. Both must have been answered before.
func (w *world) pinging(body func(p *nettools.Pinger)) {
	w.Helper()
	var pingers []*nettools.Pinger
	for _, ns := range []string{lab.UpstreamNS, lab.BehindNS} {
		_, err := nettools.AwaitReachable(w.within(10*time.Second), ns, w.inst.Addr)
		w.must(err)
		p, err := nettools.StartPing(nettools.PingConfig{Namespace: ns, Target: w.inst.Addr})
		w.must(err)
		pingers = append(pingers, p)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		for _, p := range pingers {
			r := p.Stop()
			w.Log(r)
			if n := len(r.Lost()); n > 0 {
				w.Errorf("%d of %d pings from %s lost", n, len(r.Pings), r.Config.Namespace)
			}
		}
	}
	w.Cleanup(stop) // when body ends the test
	body(pingers[0])
	w.must(pingers[0].AwaitSent(w.ctx, 100))
	stop()
	if w.Failed() {
		w.logKernel()
	}
}

// shortNUD makes the upstream router verify its neighbours every second or so instead of every
// half minute (RFC 4861 section 10: REACHABLE_TIME, DELAY_FIRST_PROBE_TIME, RETRANS_TIMER).
func (w *world) shortNUD() {
	w.Helper()
	for key, value := range map[string]string{
		"base_reachable_time_ms": "1000", "delay_first_probe_time": "1", "retrans_time_ms": "250",
	} {
		path := "ipv6/neigh/" + lab.UpstreamDev + "/" + key
		before, err := nettools.SetSysctl(lab.UpstreamNS, path, value)
		w.must(err)
		w.finally(func(context.Context) error {
			_, err := nettools.SetSysctl(lab.UpstreamNS, path, before)
			return err
		})
	}
	// the timer of an entry that was verified before runs for the old time
	w.must(nettools.Forget(w.ctx, lab.UpstreamNS, lab.UpstreamDev, w.inst.Addr))
}
