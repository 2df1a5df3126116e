//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

var behindAddr = netip.MustParseAddr(lab.BehindAddr)

// dvr is a distributed router on two hosts with a daemon on each: a published instance on either, and
// one on the second that is not published.
type dvr struct {
	*world
	top              *testing.T // daemons live as long as all subtests
	one, two         *lab.Node
	own, far, hidden *lab.Instance // on one, on two, on two
	daemons          map[string]*lab.Daemon
}

// setupDVR re-establishes the cloud for a pair of agent modes, without a trace of an earlier daemon,
// and shows that without one nothing is reachable.
func setupDVR(t *testing.T, mode1, mode2 string, ha bool) *dvr {
	t.Helper()
	if os.Getenv("LAB_HOST2") != "1" || !lab.OpenVSwitch() {
		t.Skip("needs a lab with two hosts and Open vSwitch: LAB_HOST2=1 LAB_L2=ovs")
	}
	w := &dvr{world: outer(t), top: t, daemons: map[string]*lab.Daemon{}}
	began := time.Now()
	var err error
	w.one, err = w.lab.Node(lab.Host)
	w.must(err)
	w.two, err = w.lab.Node(lab.Host2)
	w.must(err)
	w.must(w.lab.SetAgentModes(w.ctx, mode1, mode2))
	w.cloud, err = w.lab.EnsureDVR(w.ctx, w.api, ha)
	w.must(err)
	w.instances()
	w.inst = w.far // what the helpers of a world look at
	for _, n := range w.nodes() {
		if mode, err := n.AgentMode(); err != nil {
			w.Fatal(err)
		} else if mode != "dvr_no_external" {
			w.fg(n) // built
		}
		w.wipe(n)
	}
	for _, i := range []*lab.Instance{w.own, w.far, w.hidden} {
		w.must(nettools.Forget(w.ctx, lab.UpstreamNS, lab.UpstreamDev, i.Addr))
	}
	w.both(func(i *lab.Instance) error {
		_, err := nettools.AwaitUnreachable(w.within(10*time.Second), lab.UpstreamNS, i.Addr)
		return err
	})
	t.Logf("%s and %s set up in %v", mode1, mode2, time.Since(began).Round(time.Millisecond))
	return w
}

// in is the same for a subtest.
func (w *dvr) in(t *testing.T) *dvr {
	t.Helper()
	sub := *w
	sub.world = w.world.in(t)
	return &sub
}

// sub runs a subtest; what it does to the instances is seen by the next one.
func (w *dvr) sub(name string, body func(w *dvr)) {
	w.top.Helper()
	w.top.Run(name, func(t *testing.T) {
		began := time.Now()
		body(w.in(t))
		t.Logf("took %v", time.Since(began).Round(100*time.Millisecond))
	})
}

func (w *dvr) nodes() []*lab.Node { return []*lab.Node{w.one, w.two} }

// instances finds or makes them where they belong, published or not.
func (w *dvr) instances() {
	w.Helper()
	for _, c := range []struct {
		name string
		at   *lab.Node
		to   **lab.Instance
	}{{"own", w.one, &w.own}, {"far", w.two, &w.far}, {"hidden", w.two, &w.hidden}} {
		i, err := w.cloud.EnsureInstanceOn(w.ctx, c.at, c.name, netip.Addr{})
		w.must(err)
		*c.to = i
	}
	w.must(w.cloud.Unpublish(w.ctx, w.hidden))
	for _, i := range []*lab.Instance{w.own, w.far} {
		_, err := w.cloud.Publish(w.ctx, i)
		w.must(err)
	}
}

// both does it for the two published instances at the same time.
func (w *dvr) both(do func(i *lab.Instance) error) {
	w.Helper()
	errs := make([]error, 2)
	var wait sync.WaitGroup
	for k, i := range []*lab.Instance{w.own, w.far} {
		wait.Go(func() { errs[k] = do(i) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		w.logDVR()
		w.Fatal(err)
	}
}

// start starts a daemon on a host, for the rest of the test, and waits until it is ready.
func (w *dvr) start(n *lab.Node, ours string) *lab.Daemon {
	w.Helper()
	began := time.Now()
	d := w.lab.StartDaemon(w.top, lab.DaemonConfig{Node: n, Ours: ours})
	w.daemons[n.Name] = d
	w.must(d.Ready(w.within(30 * time.Second)))
	w.Logf("daemon on %s ready after %v", n, time.Since(began).Round(time.Millisecond))
	return d
}

// restart replaces the daemons by ones with other options.
func (w *dvr) restart(ours string) {
	w.Helper()
	for _, n := range w.nodes() {
		w.must(w.daemons[n.Name].Stop(w.ctx))
		w.start(n, ours)
	}
}

// fip is the name of the shared namespace on a host.
func (w *dvr) fip(n *lab.Node) string { return n.NS(w.cloud.FIP()) }

// fg waits for a host's device in the shared namespace and returns it with its MAC.
func (w *dvr) fg(n *lab.Node) (device, mac string) {
	w.Helper()
	device, p, err := w.cloud.AgentGateway(w.ctx, n)
	w.must(err)
	mac, err = lab.MACOf(w.ctx, w.fip(n), device)
	w.must(err)
	if mac != p.MAC {
		w.Fatalf("%s on %s has %s, its port %s", device, n, mac, p.MAC)
	}
	return device, mac
}

// shared lists the namespaces of the host in which something may be answered for.
func (w *dvr) shared(n *lab.Node) []string {
	var names []string
	for _, name := range []string{w.cloud.FIP(), w.cloud.Snat()} {
		if nettools.Exists(n.NS(name)) {
			names = append(names, n.NS(name))
		}
	}
	return names
}

// wipe takes away what an earlier daemon left on a host.
func (w *dvr) wipe(n *lab.Node) {
	w.Helper()
	for _, ns := range w.shared(n) {
		k, err := nettools.ReadKernel(w.ctx, ns, table)
		w.must(err)
		way, err := nettools.ReadWay(w.ctx, ns, protocol)
		w.must(err)
		var commands [][]string
		for _, e := range k.Marked(protocol) {
			commands = append(commands, []string{"neigh", "del", "proxy", e.Addr.String(), "dev", e.Device})
		}
		for _, r := range way.Rules {
			commands = append(commands, []string{"rule", "del", "priority", fmt.Sprint(r.Priority), "iif", r.IIF, "table", r.Table})
		}
		if len(way.Routes) > 0 {
			commands = append(commands, []string{"route", "flush", "table", "all", "proto", fmt.Sprint(protocol)})
		}
		for _, c := range commands {
			_, err := nettools.IP(w.ctx, ns, append([]string{"-6"}, c...)...)
			w.must(err)
		}
		if k.Ours != "" {
			_, err := nettools.Exec(w.ctx, ns, "nft", "delete", "table", "ip6", table)
			w.must(err)
		}
		for key, value := range k.Sysctls {
			if strings.HasSuffix(key, "/proxy_ndp") && value != "0" {
				_, err := nettools.SetSysctl(ns, key, "0")
				w.must(err)
			}
		}
	}
}

// ours describes what a host has that carries our marks; "" if nothing.
func (w *dvr) ours(n *lab.Node) string {
	w.Helper()
	var b strings.Builder
	for _, ns := range w.shared(n) {
		k, err := nettools.ReadKernel(w.ctx, ns, table)
		w.must(err)
		way, err := nettools.ReadWay(w.ctx, ns, protocol)
		w.must(err)
		for _, e := range k.Marked(protocol) {
			fmt.Fprintf(&b, "  %s: proxy %s\n", ns, e)
		}
		for key, value := range k.Sysctls {
			if strings.HasSuffix(key, "/proxy_ndp") && value != "0" {
				fmt.Fprintf(&b, "  %s: %s = %s\n", ns, key, value)
			}
		}
		if !way.Empty() {
			fmt.Fprintf(&b, "  %s:\n%s", ns, way)
		}
		b.WriteString(k.Ours)
	}
	return b.String()
}

// bare requires that soon nothing of ours is on a host.
func (w *dvr) bare(n *lab.Node) {
	w.Helper()
	w.settles(5*time.Second, "nothing of ours on "+n.Name, func() string { return w.ours(n) })
}

// settles polls until wrong has nothing to say.
func (w *dvr) settles(within time.Duration, what string, wrong func() string) {
	w.Helper()
	for ctx := w.within(within); ; {
		why := wrong()
		if why == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.logDVR()
			w.Fatalf("after %v still not: %s\n%s", within, what, why)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// reached requires that the published instances answer the upstream router in time.
func (w *dvr) reached(within time.Duration) {
	w.Helper()
	began := time.Now()
	w.both(func(i *lab.Instance) error {
		at, err := nettools.AwaitReachable(w.within(within), lab.UpstreamNS, i.Addr)
		if err != nil {
			return fmt.Errorf("%s on %s: %w", i.Port.Name, i.Node, err)
		}
		w.Logf("%s on %s answers after %v", i.Port.Name, i.Node, at.Sub(began).Round(time.Millisecond))
		return nil
	})
}

// logDVR writes down what both hosts have.
func (w *dvr) logDVR() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
	defer cancel()
	for _, n := range w.nodes() {
		for _, ns := range w.shared(n) {
			k, err := nettools.ReadKernel(ctx, ns, table)
			if err != nil {
				w.Log(err)
				continue
			}
			way, err := nettools.ReadWay(ctx, ns, protocol)
			w.Logf("%s:\n%v%v%v", n, k, way, err)
		}
	}
}
