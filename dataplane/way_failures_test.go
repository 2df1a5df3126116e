package dataplane_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// entriesOf is how our entries for these addresses must show.
func entriesOf(addrs ...netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, fmt.Sprintf("%s %s %d", dev, a, ours))
	}
	return out
}

// failed are the addresses of the failures; the zero Addr for those of none.
func failed(res dataplane.Result) []netip.Addr {
	var out []netip.Addr
	for _, f := range res.Failures {
		out = append(out, f.Addr)
	}
	return out
}

// An address without its way is not answered for, and costs no other.
func TestDeviceOfARouteIsMissing(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		w.addDevice("fpr-2")
		want := routed(host(1), host(2))
		for i, r := range want.Routes {
			if r.Dst.Addr() == host(2) {
				want.Routes[i].Device = "fpr-2"
			}
		}
		d := on(w.kernel(), t)
		converge(t, d, want)
		// With its router it goes, and comes again.
		for range 2 {
			w.removeDevice("fpr-2")
			res := apply(t, d, want, dataplane.Quick)
			if len(res.Failures) != 1 || res.Failures[0].Addr != host(2) || res.Failures[0].Class() != dataplane.ClassGone {
				t.Errorf("failures: %v", res.Failures)
			}
			if got := res.Withdrawn[dev]; !slices.Equal(got, []netip.Addr{host(2)}) || len(res.Drift) != 0 {
				t.Errorf("%+v", res)
			}
			shows(t, w, host(1))
			settled(t, d, want)
			w.addDevice("fpr-2")
			if res := converge(t, d, want); !slices.Equal(res.Answerable[dev], []netip.Addr{host(2)}) || len(res.Drift) != 0 {
				t.Errorf("%+v", res)
			}
			routedThere(t, w, want)
		}
		// Gone, or made again, between the look and the writing.
		next := want
		next.Routes = slices.Clone(want.Routes)
		for i, r := range next.Routes {
			if r.Host() {
				next.Routes[i].Via = addr("fe80::3")
			}
		}
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		w.removeDevice("fpr-2")
		w.addDevice("fpr-2")
		res, err := d.Apply(t.Context(), dataplane.Diff(next, have))
		if err != nil || !slices.Equal(failed(res), []netip.Addr{host(2)}) || !errors.Is(res.Failures[0].Err, dataplane.ErrStale) {
			t.Errorf("made again: %v, %v", res.Failures, err)
		}
		if diff := cmp.Diff(entriesOf(host(1)), w.entries()); diff != "" {
			t.Errorf("entries:\n%s", diff)
		}
		converge(t, d, next)
		routedThere(t, w, next)
	})
}

// What cannot be withdrawn is still answered for, so it keeps its way and its
// hole in the filter; what else goes, goes.
func TestWithdrawalThatFailsKeepsTheWay(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		for name, c := range map[string]struct {
			to     dataplane.State
			faults []fakekernel.Fault
			left   dataplane.State
		}{
			"one of several": {
				routed(host(3)), []fakekernel.Fault{{Op: fakekernel.DeleteNeighbour, Err: unix.ENOBUFS, Times: 3}},
				routed(host(1), host(3)),
			},
			"the last, and the switch": {
				nothing(), []fakekernel.Fault{
					{Op: fakekernel.DeleteNeighbour, Err: unix.EPERM}, {Op: fakekernel.SetProxyNDP, Err: unix.EROFS},
				}, routed(host(1)),
			},
			"nobody answers for it": { // the switch is off
				nothing(), []fakekernel.Fault{{Op: fakekernel.DeleteNeighbour, Err: unix.EPERM}}, nothing(),
			},
		} {
			converge(t, d, routed(host(1), host(2), host(3)))
			for _, f := range c.faults {
				faults.Fail(f)
			}
			res := apply(t, d, c.to, dataplane.Quick)
			routedThere(t, w, c.left)
			if w.proxyNDP(dev) && !slices.Contains(w.elements(dev), host(1)) {
				t.Errorf("%s: answered for and not let through: %v, %v", name, w.entries(), res.Failures)
			}
			if len(res.Failures) == 0 || w.proxyNDP(dev) && slices.Contains(res.Withdrawn[dev], host(1)) {
				t.Errorf("%s: %+v", name, res)
			}
			if res := converge(t, d, c.to); len(res.Drift) != 0 {
				t.Errorf("%s: drift %v", name, res.Drift)
			}
			routedThere(t, w, c.to)
		}
		// Somebody else's, where the device is to be ours alone.
		alone := routed(host(1))
		alone.Devices[0].Exclusive = true
		converge(t, d, alone)
		w.setEntry(dev, host(9), 0, false)
		w.addRoute(inner, static(host(9).String()+"/128", "fe80::2"))
		there := w.routes()
		faults.Fail(fakekernel.Fault{Op: fakekernel.DeleteNeighbour, Err: unix.EPERM})
		if res := apply(t, d, alone, dataplane.Quick); len(res.RemovedRoutes) != 0 || !slices.Equal(there, w.routes()) {
			t.Errorf("%+v", res)
		}
		converge(t, d, alone)
		routedThere(t, w, alone)
	})
}

// A device whose IPv6 is switched off is as good as none, also if that happens
// between the look and the writing.
func TestIPv6SwitchedOff(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		d := on(w.kernel(), t)
		want := routed(host(1))
		has := func(device string) bool {
			have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
			if err != nil {
				t.Fatal(err)
			}
			i, _ := have.Interface(device)
			return i.IPv6 && !i.DisableIPv6
		}
		gone := func(what string, res dataplane.Result, of netip.Addr) {
			t.Helper()
			if !slices.Equal(failed(res), []netip.Addr{of}) || res.Failures[0].Class() != dataplane.ClassGone {
				t.Errorf("%s: %v", what, res.Failures)
			}
		}
		for range 2 {
			if converge(t, d, want); !has(dev) || !has(inner) {
				t.Error("IPv6 is on, and not seen")
			}
			w.setIPv6(inner, false)
			if has(inner) || !has(dev) {
				t.Error("IPv6 is off on the inner device, and not seen")
			}
			gone("inner", apply(t, d, want, dataplane.Quick), host(1))
			settled(t, d, want)
			w.setIPv6(inner, true)
			if res := converge(t, d, want); !slices.Equal(res.Answerable[dev], []netip.Addr{host(1)}) {
				t.Errorf("on again: %+v", res)
			}
		}
		converge(t, d, nothing())
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		w.setIPv6(inner, false)
		res, err := d.Apply(t.Context(), dataplane.Diff(want, have))
		if err != nil {
			t.Fatal(err)
		}
		gone("meanwhile", res, host(1))
		w.setIPv6(inner, true)
		converge(t, d, want)
		// The external device: what is set of it is put back all the same.
		w.setIPv6(dev, false)
		res = apply(t, d, want, dataplane.Quick)
		if len(res.Failures) != 2 || res.Failures[0].Class() != dataplane.ClassGone || res.Failures[1].Class() != dataplane.ClassGone {
			t.Errorf("external: %v", res.Failures)
		}
		converge(t, d, nothing())
		if w.proxyNDP(dev) || w.proxyDelay(dev) != fakekernel.DefaultProxyDelay {
			t.Errorf("left proxy_ndp %v, proxy_delay %s", w.proxyNDP(dev), w.proxyDelay(dev))
		}
		w.setIPv6(dev, true)
		converge(t, d, want)
		routedThere(t, w, want)
	})
}

func TestRouteThatCannotBeMade(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		converge(t, d, routed(host(1)))
		for name, c := range map[string]struct {
			err   error
			class dataplane.Class
		}{
			"no next hop":     {unix.EHOSTUNREACH, dataplane.ClassRetry},
			"refused":         {unix.EINVAL, dataplane.ClassPermanent},
			"device vanished": {unix.ENODEV, dataplane.ClassGone},
			"device is down":  {unix.ENETDOWN, dataplane.ClassGone},
			"not allowed":     {unix.EACCES, dataplane.ClassOperator}, // IPv6 is on: a security module
			"no capability":   {unix.EPERM, dataplane.ClassOperator},
		} {
			// The first of two new ones.
			times := 1
			if c.class == dataplane.ClassRetry {
				times = 3
			}
			faults.Fail(fakekernel.Fault{Op: fakekernel.SetRoute, Err: c.err, Times: times})
			res := apply(t, d, routed(host(1), host(2), host(3)), dataplane.Quick)
			if !slices.Equal(failed(res), []netip.Addr{host(2)}) || res.Failures[0].Class() != c.class {
				t.Errorf("%s: failures: %v", name, res.Failures)
			}
			if !slices.Equal(res.Answerable[dev], []netip.Addr{host(3)}) {
				t.Errorf("%s: answerable %v", name, res.Answerable)
			}
			if diff := cmp.Diff(entriesOf(host(1), host(3)), w.entries()); diff != "" {
				t.Errorf("%s: entries:\n%s", name, diff)
			}
			if res := converge(t, d, routed(host(1), host(2), host(3))); !slices.Equal(res.Answerable[dev], []netip.Addr{host(2)}) {
				t.Errorf("%s: answerable later %v", name, res.Answerable)
			}
			converge(t, d, routed(host(1)))
		}
		// One that was there, and is lost for good: it is answered for no more.
		mine := static(host(1).String()+"/128", "fe80::2")
		mine.Protocol = ours
		w.deleteRoute(inner, mine)
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetRoute, Err: unix.EINVAL})
		res := apply(t, d, routed(host(1)), dataplane.Quick)
		if !slices.Equal(res.Withdrawn[dev], []netip.Addr{host(1)}) || len(w.entries()) != 0 || len(res.Drift) != 0 {
			t.Errorf("%+v, entries %v", res, w.entries())
		}
		res = converge(t, d, routed(host(1)))
		if !slices.Equal(res.Answerable[dev], []netip.Addr{host(1)}) || !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindRoute: 1}) {
			t.Errorf("%+v", res)
		}
		// What passes by itself is tried again at once, and a lost answer does no harm.
		for _, op := range []fakekernel.Op{fakekernel.SetRoute, fakekernel.DeleteRoute, fakekernel.AddRule, fakekernel.DeleteRule} {
			for _, done := range []bool{false, true} {
				faults.Fail(fakekernel.Fault{Op: op, Err: unix.ENOBUFS, Done: done})
				converge(t, d, routed(host(1)))
				converge(t, d, nothing())
			}
		}
	})
}

// Without the way back the neighbours on the link are still served; it is
// reported.
func TestWayBackThatCannotBeMade(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		faults.Fail(fakekernel.Fault{Op: fakekernel.AddRule, Err: unix.EPERM})
		faults.Fail(fakekernel.Fault{Op: fakekernel.SetRoute, Err: unix.EINVAL}) // the widest is the first
		res := apply(t, d, routed(host(1)), dataplane.Quick)
		if !slices.Equal(failed(res), []netip.Addr{{}, {}}) || len(res.Answerable[dev]) != 1 {
			t.Errorf("%+v", res)
		}
		converge(t, d, routed(host(1)))
		routedThere(t, w, routed(host(1)))
		for _, op := range []fakekernel.Op{fakekernel.DeleteRoute, fakekernel.DeleteRule} {
			faults.Fail(fakekernel.Fault{Op: op, Err: unix.EPERM})
			if res := apply(t, d, nothing(), dataplane.Quick); len(res.Failures) != 1 || res.Failures[0].Class() != dataplane.ClassOperator {
				t.Errorf("%s: %v", op, res.Failures)
			}
			if owned, err := d.Owned(t.Context(), namespace); err != nil || !owned {
				t.Errorf("%s: owned %v, %v", op, owned, err)
			}
			converge(t, d, nothing())
			converge(t, d, routed(host(1)))
		}
	})
}

// Fail closed: without the filter no way is made, and none is answered for.
func TestWithoutTheFilterNoWay(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		converge(t, d, routed(host(1)))
		mine := static(host(1).String()+"/128", "fe80::2")
		mine.Protocol = ours
		w.deleteRoute(inner, mine)
		w.dropTable()
		faults.Fail(fakekernel.Fault{Op: fakekernel.WriteFilter, Err: unix.EOPNOTSUPP, Times: -1})
		res := apply(t, d, routed(host(1), host(2)), dataplane.Quick)
		left := routed()
		if len(w.entries()) != 0 || !slices.Equal(res.Withdrawn[dev], []netip.Addr{host(1)}) || len(res.Drift) != 0 {
			t.Errorf("entries %v, %+v", w.entries(), res)
		}
		routedThere(t, w, left)
		apply(t, d, nothing(), dataplane.Quick) // what has to go still goes
		routedThere(t, w, nothing())
	})
}

// Killed after any number of writes: nothing is answered for without its way,
// and the next process ends in the same place.
func TestKilledOnTheWay(t *testing.T) {
	killed := errors.New("killed")
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		before, after := routed(host(1), host(2)), routed(host(2), host(3))
		for _, step := range []struct{ from, to dataplane.State }{{nothing(), before}, {before, after}, {after, nothing()}} {
			for n := 0; ; n++ {
				converge(t, on(w.kernel(), t), step.from)
				faults := fakekernel.NewFaults(w.kernel())
				d := on(faults, t)
				have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
				if err != nil {
					t.Fatal(err)
				}
				faults.Cut(n, killed)
				res, err := d.Apply(t.Context(), dataplane.Diff(step.to, have))
				routes := w.routes()
				for n := 1; n <= 3; n++ {
					if slices.Contains(w.entries(), entriesOf(host(n))[0]) && !slices.Contains(routes, wantedRoute(hostRoute(host(n)))) {
						t.Errorf("%s is answered for and has no way", host(n))
					}
				}
				if err == nil && len(res.Failures) == 0 {
					break
				}
				if n > 50 {
					t.Fatalf("never done: %v, %v", res.Failures, err)
				}
				converge(t, on(w.kernel(), t), step.to)
				routedThere(t, w, step.to)
			}
		}
	})
}
