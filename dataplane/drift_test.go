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
