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
