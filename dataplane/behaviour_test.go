package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// noContext is for reading the fake, which never waits.
var noContext = context.Background()

const dev = "qg-1"

func on(k dataplane.Kernel, t *testing.T) *dataplane.Dataplane {
	return dataplane.New(dataplane.Options{Logger: zaptest.NewLogger(t), Kernel: k})
}

// state publishes addresses on the device.
func state(addrs ...netip.Addr) dataplane.State {
	return dataplane.State{Namespace: namespace, Devices: []dataplane.Device{{
		Name: dev, Answer: true, LinkLocal: addr("fe80::1"), Published: addrs,
		Guarded: []netip.Prefix{prefix("2001:db8:0:2::/64")},
	}}}
}

func host(n int) netip.Addr { return addr(fmt.Sprintf("2001:db8:0:2::%x", n)) }

// shows compares what other tools see with what is wanted on the device.
func shows(t *testing.T, w world, addrs ...netip.Addr) {
	t.Helper()
	var entries []string
	for _, a := range addrs {
		entries = append(entries, fmt.Sprintf("%s %s %d", dev, a, ours))
	}
	slices.Sort(entries)
	if d := cmp.Diff(entries, w.entries()); d != "" {
		t.Errorf("entries:\n%s", d)
	}
	if d := cmp.Diff(addrs, w.elements(dev), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("published set:\n%s", d)
	}
}

func TestApplyTwiceWritesNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		d := on(w.kernel(), t)
		res := converge(t, d, state(host(1), host(2)))
		if len(res.Answerable[dev]) != 2 || len(res.Drift) != 0 {
			t.Errorf("first: %+v", res)
		}
		shows(t, w, host(1), host(2))
		if !w.proxyNDP(dev) || w.proxyDelay(dev) != 0 {
			t.Errorf("proxy_ndp %v, proxy_delay %s", w.proxyNDP(dev), w.proxyDelay(dev))
		}
		// Also to a process that knows nothing.
		for _, d := range []*dataplane.Dataplane{d, on(w.kernel(), t)} {
			for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
				if res := apply(t, d, state(host(1), host(2)), depth); res.Writes != 0 || len(res.Answerable)+len(res.Withdrawn)+len(res.Drift)+len(res.Failures) != 0 {
					t.Errorf("again: %+v", res)
				}
			}
		}
	})
}

func TestForeignEntries(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice("other")
		w.setEntry(dev, host(1), 0, false)    // somebody's, and wanted: adopted
		w.setEntry(dev, host(2), 0, true)     // somebody's, with another flag
		w.setEntry(dev, host(3), 42, false)   // of another program
		w.setEntry("other", host(1), 0, true) // on another device
		w.setEntry("other", host(9), ours, false)
		d := on(w.kernel(), t)
		w.setProxyNDP(dev, true)
		res := converge(t, d, state(host(1)))
		if len(res.Answerable) != 0 {
			t.Errorf("an entry that was there is announced: %v", res.Answerable)
		}
		want := []string{
			"other " + host(1).String() + " 0",
			fmt.Sprintf("%s %s %d", dev, host(1), ours), dev + " " + host(2).String() + " 0", dev + " " + host(3).String() + " 42",
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, w.entries()); diff != "" {
			t.Errorf("entries:\n%s", diff)
		}
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil || len(have.Foreign()) != 3 {
			t.Errorf("foreign: %+v, %v", have.Foreign(), err)
		}
		// The wanted one may be somebody's again, with the Router flag.
		w.setEntry(dev, host(1), ours, true)
		converge(t, d, state(host(1)))
		converge(t, d, dataplane.State{Namespace: namespace})
		want = slices.DeleteFunc(want, func(s string) bool { return s == fmt.Sprintf("%s %s %d", dev, host(1), ours) })
		if diff := cmp.Diff(want, w.entries()); diff != "" {
			t.Errorf("entries after clean-up:\n%s", diff)
		}
	})
}

func TestCleanUpLeavesNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.setProxyDelay(dev, 500*time.Millisecond)
		converge(t, on(w.kernel(), t), state(host(1)))
		if owned, err := on(w.kernel(), t).Owned(t.Context(), namespace); err != nil || !owned {
			t.Errorf("owned: %v, %v", owned, err)
		}
		// By another process: what it must put back is in the kernel.
		d := on(w.kernel(), t)
		converge(t, d, dataplane.State{Namespace: namespace})
		shows(t, w)
		if w.proxyNDP(dev) || w.proxyDelay(dev).Round(50*time.Millisecond) != 500*time.Millisecond {
			t.Errorf("proxy_ndp %v, proxy_delay %s", w.proxyNDP(dev), w.proxyDelay(dev))
		}
		if owned, err := d.Owned(t.Context(), namespace); err != nil || owned {
			t.Errorf("owned: %v, %v", owned, err)
		}
	})
}

func TestProxyDelay(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		d := on(w.kernel(), t)
		want := state(host(1))
		for _, step := range []struct{ want, have time.Duration }{
			{250 * time.Millisecond, 250 * time.Millisecond},
			{0, 0},
			{dataplane.LeaveProxyDelay, 800 * time.Millisecond}, // put back
			{10 * time.Millisecond, 10 * time.Millisecond},
		} {
			want.Devices[0].ProxyDelay = step.want
			converge(t, d, want)
			if got := w.proxyDelay(dev); got != step.have {
				t.Errorf("wanted %s: proxy_delay is %s, not %s", step.want, got, step.have)
			}
		}
		// Somebody deletes the table with the record in it: this process knows.
		w.dropTable()
		converge(t, d, want)
		converge(t, d, dataplane.State{Namespace: namespace})
		if got := w.proxyDelay(dev); got != 800*time.Millisecond {
			t.Errorf("proxy_delay after clean-up is %s", got)
		}
	})
}

func TestDevicesComeAndGo(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		d := on(w.kernel(), t)
		want := state(host(1))
		want.Devices = append(want.Devices, dataplane.Device{Name: "qg-2", Answer: true, Published: []netip.Addr{host(2)}})
		w.addDevice("qg-2")
		res := apply(t, d, want, dataplane.Deep)
		if len(res.Failures) != 1 || res.Failures[0].Device != dev || res.Failures[0].Class() != dataplane.ClassGone {
			t.Errorf("failures: %v", res.Failures)
		}
		if !slices.Equal(w.elements(dev), []netip.Addr{host(1)}) {
			t.Errorf("the filter waits for the device: %v", w.elements(dev))
		}
		if !w.proxyNDP("qg-2") {
			t.Error("the other device waits")
		}
		w.addDevice(dev)
		if res := converge(t, d, want); len(res.Answerable[dev]) != 1 || len(res.Drift) != 0 {
			t.Errorf("device appeared: %+v", res)
		}
		// Made again under its name.
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		next := want
		next.Devices = slices.Clone(want.Devices)
		next.Devices[0].Published = []netip.Addr{host(1), host(3)}
		stale := dataplane.Diff(next, have)
		w.removeDevice(dev)
		w.addDevice(dev)
		res, err = d.Apply(t.Context(), stale)
		if err != nil || len(res.Failures) != 1 || !errors.Is(res.Failures[0].Err, dataplane.ErrStale) {
			t.Errorf("stale changes: %v, %v", res.Failures, err)
		}
		if res := converge(t, d, next); len(res.Answerable[dev]) != 2 || len(res.Drift) != 0 {
			t.Errorf("device made again: %+v", res)
		}
		w.removeDevice(dev)
		want.Devices = want.Devices[1:]
		converge(t, d, want)
		if got := w.elements(dev); got != nil {
			t.Errorf("set of the device that is gone: %v", got)
		}
	})
}

func TestNamespaceMadeAgain(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		d := on(w.kernel(), t)
		converge(t, d, state(host(2)))
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		// Keeps the first one alive, so that its ID is not used again.
		s, err := w.kernel().Open(namespace)
		if err != nil {
			t.Fatal(err)
		}
		w.remake()
		w.addDevice(dev)
		if id, err := d.Identify(namespace); err != nil || id == have.ID || id.IsZero() {
			t.Errorf("identity %v, %v; the first one had %v", id, err, have.ID)
		}
		if _, err := d.Apply(t.Context(), dataplane.Diff(state(host(1)), have)); !errors.Is(err, dataplane.ErrStale) || dataplane.Classify(err) != dataplane.ClassRetry {
			t.Errorf("changes for another namespace: %v", err)
		}
		shows(t, w)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if res := converge(t, d, state(host(1))); len(res.Drift) != 0 {
			t.Errorf("a new namespace is drift: %v", res.Drift)
		}
		if _, err := d.Identify("none"); !errors.Is(err, dataplane.ErrNamespaceGone) {
			t.Errorf("no namespace: %v", err)
		}
		if _, err := d.Observe(t.Context(), "none", dataplane.Quick); !errors.Is(err, dataplane.ErrNamespaceGone) || dataplane.Classify(err) != dataplane.ClassGone {
			t.Errorf("no namespace: %v", err)
		}
	})
}

func TestOneBadValueStopsNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		bad := []netip.Addr{addr("ff02::1"), addr("fe80::5"), addr("::"), addr("::1"), addr("192.0.2.1"), addr("::ffff:192.0.2.1"), addr("2001:db8::1%eth0")}
		want := state(append(bad, host(1))...)
		want.Devices[0].Guarded = append(want.Devices[0].Guarded, prefix("10.0.0.0/8"), netip.Prefix{})
		for _, name := range []string{"", "all", "default", "..", "a/b", "a name", "much-too-long-a-name", dev} {
			want.Devices = append(want.Devices, dataplane.Device{Name: name, Answer: true})
		}
		d := on(w.kernel(), t)
		res := apply(t, d, want, dataplane.Deep)
		if want := len(bad) + 2 + 8; len(res.Failures) != want {
			t.Errorf("%d failures, want %d: %v", len(res.Failures), want, res.Failures)
		}
		for _, f := range res.Failures {
			if f.Class() != dataplane.ClassPermanent {
				t.Errorf("class of %v is %s", f, f.Class())
			}
		}
		shows(t, w, host(1))
		settled(t, d, want)
	})
}

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

// Filter, entry, answering; and back.
func TestOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		for _, step := range []struct {
			to   dataplane.State
			want []fakekernel.Op
		}{
			{state(host(1)), []fakekernel.Op{
				fakekernel.WriteFilter, fakekernel.SetProxyDelay, fakekernel.SetNeighbour, fakekernel.SetProxyNDP,
			}},
			{state(host(2)), []fakekernel.Op{
				fakekernel.WriteFilter, fakekernel.DeleteNeighbour, fakekernel.SetNeighbour, fakekernel.WriteFilter,
			}},
			{dataplane.State{Namespace: namespace}, []fakekernel.Op{
				fakekernel.SetProxyNDP, fakekernel.DeleteNeighbour, fakekernel.SetProxyDelay, fakekernel.WriteFilter,
			}},
		} {
			converge(t, d, step.to)
			if diff := cmp.Diff(step.want, faults.Writes()); diff != "" {
				t.Errorf("order to\n%s%s", step.to, diff)
			}
		}
	})
}
