package dataplane_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

func TestDrift(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		d := on(w.kernel(), t)
		want := state(host(1), host(2))
		converge(t, d, want)
		for name, c := range map[string]struct {
			do    func()
			drift map[dataplane.Kind]int
		}{
			"entry deleted":   {func() { w.deleteEntry(dev, host(1)) }, map[dataplane.Kind]int{dataplane.KindEntry: 1}},
			"entry added":     {func() { w.setEntry(dev, host(7), ours, false) }, map[dataplane.Kind]int{dataplane.KindEntry: 1}},
			"proxy_ndp":       {func() { w.setProxyNDP(dev, false) }, map[dataplane.Kind]int{dataplane.KindSysctl: 1}},
			"proxy_delay":     {func() { w.setProxyDelay(dev, time.Second) }, map[dataplane.Kind]int{dataplane.KindSysctl: 1}},
			"table deleted":   {func() { w.dropTable() }, map[dataplane.Kind]int{dataplane.KindFilter: 1}},
			"element deleted": {func() { w.deleteElement(dev, host(2)) }, map[dataplane.Kind]int{dataplane.KindFilter: 1}},
		} {
			c.do()
			if res := converge(t, d, want); !cmp.Equal(res.Drift, c.drift) {
				t.Errorf("%s: drift %v, want %v", name, res.Drift, c.drift)
			}
			shows(t, w, host(1), host(2))
		}
		// A process that knows nothing finds what the kernel's record proves.
		w.deleteElement(dev, host(2))
		if res := converge(t, on(w.kernel(), t), want); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindFilter: 1}) {
			t.Errorf("new process: drift %v", res.Drift)
		}
		// One whose first look was a quick one knows the table from the next deep one.
		fresh := on(w.kernel(), t)
		apply(t, fresh, want, dataplane.Quick)
		converge(t, fresh, want)
		w.dropTable()
		if res := converge(t, fresh, want); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindFilter: 1}) {
			t.Errorf("new process after a quick look: drift %v", res.Drift)
		}
		// What is wanted differently is no drift.
		if res := converge(t, d, state(host(2))); len(res.Drift) != 0 {
			t.Errorf("drift %v", res.Drift)
		}
	})
}

// Drift that could not be repaired is counted when it is.
func TestDriftCountsWhenRepaired(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		want := state(host(1))
		converge(t, d, want)
		w.deleteEntry(dev, host(1))
		w.setProxyNDP(dev, false)
		w.dropTable()
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetNeighbour, Err: unix.EPERM, Times: 2})
		for range 2 {
			res := apply(t, d, want, dataplane.Quick)
			if res.Drift[dataplane.KindEntry] != 0 {
				t.Errorf("drift %v with %v", res.Drift, res.Failures)
			}
		}
		if res := converge(t, d, want); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindEntry: 1}) {
			t.Errorf("drift %v", res.Drift)
		}
		// Neither is that of the filter, nor of what waited for it.
		w.dropTable()
		w.deleteEntry(dev, host(1))
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.EOPNOTSUPP})
		if res := apply(t, d, want, dataplane.Quick); len(res.Drift) != 0 {
			t.Errorf("drift %v with %v", res.Drift, res.Failures)
		}
		if res := converge(t, d, want); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindEntry: 1, dataplane.KindFilter: 1}) {
			t.Errorf("drift %v", res.Drift)
		}
	})
}

// A next hop that comes back is what is wanted, and nobody's hand; the last one
// is known all the same.
func TestNextHopThatComesBackIsNoDrift(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		d := on(w.kernel(), t)
		a, b := routed(host(1)), routed(host(1))
		for i, r := range b.Routes {
			if r.Host() {
				b.Routes[i].Via = addr("fe80::3")
			}
		}
		for n, s := range []dataplane.State{a, b, a, b} {
			if res := converge(t, d, s); len(res.Drift) != 0 {
				t.Errorf("step %d: drift %v", n, res.Drift)
			}
		}
		last := static(host(1).String()+"/128", "fe80::3")
		last.Protocol = ours
		w.deleteRoute(inner, last)
		if res := converge(t, d, b); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindRoute: 1}) {
			t.Errorf("deleted by hand: drift %v", res.Drift)
		}
	})
}
