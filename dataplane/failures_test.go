package dataplane_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// Killed after any number of writes, the next process ends in the same place,
// whether or not it knew what sets held: a new one that looks quickly does not.
func TestKilledInTheMiddle(t *testing.T) {
	for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
		killedInTheMiddle(t, depth)
	}
}

func killedInTheMiddle(t *testing.T, depth dataplane.Depth) {
	t.Helper()
	killed := errors.New("killed")
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		before := state(host(1), host(2), host(3))
		after := state(host(3), host(4), host(5))
		after.Devices[0].Guarded = []netip.Prefix{prefix("2001:db8:0:2::/64"), prefix("2001:db8:0:3::/64")}
		for _, step := range []struct{ from, to dataplane.State }{
			{dataplane.State{Namespace: namespace}, before}, {before, after}, {after, dataplane.State{Namespace: namespace}},
		} {
			for n := 0; ; n++ {
				converge(t, on(w.kernel(), t), step.from)
				faults := fakekernel.NewFaults(w.kernel())
				d := on(faults, t)
				have, err := d.Observe(t.Context(), namespace, depth)
				if err != nil {
					t.Fatal(err)
				}
				faults.Cut(n, killed)
				res, err := d.Apply(t.Context(), dataplane.Diff(step.to, have))
				shut(t, w)
				if err == nil && len(res.Failures) == 0 {
					break
				}
				if n > 50 {
					t.Fatalf("never done: %v, %v", res.Failures, err)
				}
				converge(t, on(w.kernel(), t), step.to)
			}
		}
		if w.proxyDelay(dev) != 800*time.Millisecond {
			t.Errorf("proxy_delay after all is %s", w.proxyDelay(dev))
		}
	})
}

// shut fails if an address is answered for and not let through.
func shut(t *testing.T, w world) {
	t.Helper()
	if !w.proxyNDP(dev) {
		return
	}
	through := map[string]bool{}
	for _, a := range w.elements(dev) {
		through[fmt.Sprintf("%s %s %d", dev, a, ours)] = true
	}
	for _, e := range w.entries() {
		if !through[e] {
			t.Errorf("answered for and not let through: %s", e)
		}
	}
}

func TestFailures(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		converge(t, d, state(host(1)))

		// One address that cannot be set for good stops none of the others.
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetNeighbour, Err: unix.EINVAL})
		res := apply(t, d, state(host(1), host(2), host(3)), dataplane.Quick)
		if len(res.Failures) != 1 || res.Failures[0].Addr != host(2) || res.Failures[0].Class() != dataplane.ClassPermanent {
			t.Errorf("failures: %v", res.Failures)
		}
		if got := res.Answerable[dev]; !slices.Equal(got, []netip.Addr{host(3)}) {
			t.Errorf("answerable: %v", got)
		}
		converge(t, d, state(host(1), host(2), host(3)))

		// What passes by itself is tried again at once.
		for _, errno := range []error{unix.EINTR, unix.ENOBUFS, unix.ENETDOWN} {
			faults.Fail(fakekernel.Fault{Op: fakekernel.SetNeighbour, Err: errno, Times: 2})
			faults.Fail(fakekernel.Fault{Op: fakekernel.DeleteNeighbour, Err: errno})
			converge(t, d, state(host(4)))
			converge(t, d, state(host(1), host(2)))
		}

		// The device vanishes within the batch: one failure, the rest waits.
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetNeighbour, Err: unix.ENODEV, After: 1})
		res = apply(t, d, state(host(1), host(2), host(3), host(4), host(5)), dataplane.Quick)
		if len(res.Failures) != 1 || res.Failures[0].Class() != dataplane.ClassGone {
			t.Errorf("failures: %v", res.Failures)
		}
		converge(t, d, state(host(1), host(2), host(3), host(4), host(5)))
		faults.Writes()

		// The acknowledgement of a transaction is lost: the kernel is asked,
		// and nothing is written twice.
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.ENOBUFS, Done: true})
		converge(t, d, state(host(1), host(2), host(3), host(4), host(5), host(6)))
		if got := faults.Writes(); !slices.Equal(got, []fakekernel.Op{fakekernel.WriteFilter, fakekernel.SetNeighbour}) {
			t.Errorf("writes: %v", got)
		}
		// Not applied: written whole.
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.ENOBUFS})
		converge(t, d, state(host(1)))
	})
}

// Fail closed: without the filter nothing is added, and what must go goes.
func TestWithoutTheFilterNothingOpens(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		converge(t, d, state(host(1), host(2)))
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.EOPNOTSUPP, Times: -1})
		res := apply(t, d, state(host(2), host(3)), dataplane.Quick)
		shows2 := []string{fmt.Sprintf("%s %s %d", dev, host(2), ours)}
		if diff := cmp.Diff(shows2, w.entries()); diff != "" {
			t.Errorf("entries:\n%s", diff)
		}
		classes := map[dataplane.Class]bool{}
		for _, f := range res.Failures {
			classes[f.Class()] = true
		}
		if !classes[dataplane.ClassOperator] || !classes[dataplane.ClassRetry] || len(res.Answerable) != 0 || len(res.Withdrawn[dev]) != 1 {
			t.Errorf("%+v", res)
		}
	})
}

// Without the record the original proxy_delay would be lost, so it is left.
func TestWithoutTheFilterTheDelayStays(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		faults := fakekernel.NewFaults(w.kernel())
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.EOPNOTSUPP})
		res := apply(t, on(faults, t), state(), dataplane.Quick)
		if got := w.proxyDelay(dev); got != 800*time.Millisecond {
			t.Errorf("proxy_delay is %s", got)
		}
		held := slices.ContainsFunc(res.Failures, func(f dataplane.Failure) bool {
			return f.Device == dev && f.Op == "proxy_delay" && errors.Is(f.Err, dataplane.ErrHeldBack)
		})
		if !held {
			t.Errorf("failures: %v", res.Failures)
		}
		converge(t, on(w.kernel(), t), state())
		converge(t, on(w.kernel(), t), dataplane.State{Namespace: namespace})
		if got := w.proxyDelay(dev); got != 800*time.Millisecond {
			t.Errorf("proxy_delay after clean-up is %s", got)
		}
	})
}

// The record of the original proxy_delay stays until it is put back.
func TestCleanUpThatFailsIsFinishedLater(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		converge(t, on(w.kernel(), t), state(host(1)))
		faults := fakekernel.NewFaults(w.kernel())
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetProxyDelay, Err: unix.EPERM})
		res := apply(t, on(faults, t), dataplane.State{Namespace: namespace}, dataplane.Quick)
		if len(res.Failures) != 2 || w.proxyDelay(dev) != 0 {
			t.Errorf("failures: %v", res.Failures)
		}
		converge(t, on(w.kernel(), t), dataplane.State{Namespace: namespace})
		if got := w.proxyDelay(dev); got != 800*time.Millisecond {
			t.Errorf("proxy_delay is %s", got)
		}
	})
}
