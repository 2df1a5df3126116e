//go:build lab

package e2e

import (
	"strings"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// foreigners puts what is not ours into the shared namespaces: it must be there at the end.
func (w *dvr) foreigners() {
	w.Helper()
	for _, n := range w.nodes() {
		device, _ := w.fg(n)
		for _, c := range [][]string{
			{"neigh", "replace", "proxy", "2001:db8:f::1", "dev", device, "proto", "bird"},
			{"route", "replace", "2001:db8:f::/64", "via", "fe80::1", "dev", device, "proto", "static", "table", "99"},
			{"route", "replace", "2001:db8:e::/64", "via", "fe80::1", "dev", w.cloud.FPR(), "proto", "bird"},
		} {
			_, err := nettools.IP(w.ctx, w.fip(n), append([]string{"-6"}, c...)...)
			w.must(err)
		}
		rule := []string{"priority", "32801", "iif", w.cloud.FPR(), "table", "99"}
		_, _ = nettools.IP(w.ctx, w.fip(n), append([]string{"-6", "rule", "del"}, rule...)...) // of an earlier run
		_, err := nettools.IP(w.ctx, w.fip(n), append([]string{"-6", "rule", "add"}, rule...)...)
		w.must(err)
		_, err = nettools.SetSysctl(w.fip(n), "ipv6/neigh/"+device+"/proxy_delay", "80")
		w.must(err)
	}
}

// snapshots of all shared namespaces, by name.
func (w *dvr) snapshots() map[string]string {
	w.Helper()
	all := map[string]string{}
	for _, n := range w.nodes() {
		for _, ns := range w.shared(n) {
			text, err := nettools.Snapshot(w.ctx, ns)
			w.must(err)
			all[ns] = text
		}
	}
	return all
}

// withdrawn: with the last proxy everything of ours goes, and the namespaces are as they were before
// the daemons came. What comes back then is served again.
func (w *dvr) withdrawn(before map[string]string) {
	w.Helper()
	asked := time.Now()
	for _, i := range []*lab.Instance{w.own, w.far} {
		w.must(w.cloud.Unpublish(w.ctx, i))
	}
	w.both(func(i *lab.Instance) error {
		at, err := nettools.AwaitUnreachable(w.within(5*time.Second), lab.UpstreamNS, i.Addr)
		w.Logf("%s: last answer %v after the first request", i.Port.Name, at.Sub(asked).Round(time.Millisecond))
		return err
	})
	for _, n := range w.nodes() {
		ns := w.fip(n)
		w.settles(5*time.Second, "nothing of ours in "+ns, func() string {
			way, err := nettools.ReadWay(w.ctx, ns, protocol)
			w.must(err)
			k, err := nettools.ReadKernel(w.ctx, ns, table)
			w.must(err)
			if way.Empty() && len(k.Marked(protocol)) == 0 && k.Ours == "" {
				return ""
			}
			return way.String() + k.String()
		})
		after, err := nettools.Snapshot(w.ctx, ns)
		w.must(err)
		if after != before[ns] {
			w.Errorf("%s is not as it was before the daemon\nbefore:\n%s\nafter:\n%s", ns, before[ns], after)
		}
	}
	for _, i := range []*lab.Instance{w.own, w.far} {
		_, err := w.cloud.Publish(w.ctx, i)
		w.must(err)
	}
	w.reached(5 * time.Second)
}

// testDVRPortDeleted: the port goes with its proxy; the server pushes the port's end only.
func testDVRPortDeleted(w *dvr) {
	asked := time.Now()
	w.must(w.far.DeletePortOnly(w.ctx))
	at, err := nettools.AwaitUnreachable(w.within(10*time.Second), lab.UpstreamNS, w.far.Addr)
	w.must(err)
	w.Logf("last answer %v after the request", at.Sub(asked).Round(time.Millisecond))
	w.settles(3*time.Second, "no entry or route for "+w.far.Addr.String(), func() string { return w.left(w.two, w.far) })
	w.must(w.far.Unplug(w.ctx))
}

// left is what a host has of ours for an instance.
func (w *dvr) left(n *lab.Node, i *lab.Instance) string {
	w.Helper()
	all := w.ours(n)
	if strings.Contains(all, i.Addr.String()) {
		return all
	}
	return ""
}
