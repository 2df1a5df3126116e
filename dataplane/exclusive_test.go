package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
	"neutron-ndp-proxy-agent/dataplane/route"
)

// What upstream's extension left behind is reported, and goes where the device
// is to be ours alone.
func TestExclusive(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		for _, name := range []string{dev, "other", inner, "fpr-2"} {
			w.addDevice(name)
		}
		w.setEntry(dev, host(1), 0, false) // wanted: adopted
		w.setEntry(dev, host(7), 0, true)
		w.setEntry(dev, host(8), 42, false)
		w.setEntry("other", host(8), 0, false) // of a device that is nobody's business
		keep := map[string][]route.Route{
			// The L3 agent's own, to a gateway that is in no subnet.
			dev: {static("2001:db8:9::1/128", ""), static("fe80::1/128", "")},
			inner: {
				static("2001:db8:0:3::/64", "fe80::2"), // no host
				func() route.Route { r := static("2001:db8:0:3::1/128", "fe80::2"); r.Protocol = 12; return r }(), // a routing daemon's
				func() route.Route { r := static("2001:db8:0:3::2/128", "fe80::2"); r.Table = 4711; return r }(),  // another table
				static("2001:db8:0:3::4/128", ""),                // on the link
				static("2001:db8:0:3::5/128", "2001:db8:0:3::4"), // no router's end of a pair
			},
			"fpr-2": {static("2001:db8:0:3::3/128", "fe80::2")}, // another router's
		}
		for device, routes := range keep {
			for _, r := range routes {
				w.addRoute(device, r)
			}
		}
		besides := w.routes()
		stale := static(host(7).String()+"/128", "fe80::2")
		w.addRoute(inner, stale)
		w.addRoute(inner, static(host(1).String()+"/128", "fe80::7")) // wanted: adopted
		low := static(host(1).String()+"/128", "fe80::7")             // and one that would win over ours
		low.Metric = 7
		w.addRoute(inner, low)

		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		want := routed(host(1))
		res := converge(t, d, want)
		if len(res.Removed)+len(res.RemovedRoutes) != 0 {
			t.Errorf("removed: %+v", res)
		}
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		var foreign []string
		for _, r := range have.ForeignRoutes(want) {
			foreign = append(foreign, r.Route.String())
		}
		told := []string{host(1).String() + "/128 via fe80::7 dev fpr-1", host(7).String() + "/128 via fe80::2 dev fpr-1"}
		if diff := cmp.Diff(told, foreign); diff != "" || len(have.Foreign()) != 3 {
			t.Errorf("reported: %v\n%s", have.Foreign(), diff)
		}

		want.Devices[0].Exclusive = true
		faults.Fail(fakekernel.Fault{Op: fakekernel.DeleteNeighbour, Err: unix.EPERM, After: 1})
		faults.Fail(fakekernel.Fault{Op: fakekernel.DeleteRoute, Err: unix.EPERM, After: 1})
		res = apply(t, d, want, dataplane.Quick)
		if !slices.Equal(failed(res), []netip.Addr{host(8), host(7)}) || !slices.Equal(res.Removed[dev], []netip.Addr{host(7)}) || len(res.RemovedRoutes) != 1 {
			t.Errorf("%+v", res)
		}
		res = converge(t, d, want)
		if !slices.Equal(res.Removed[dev], []netip.Addr{host(8)}) || len(res.RemovedRoutes) != 1 || res.RemovedRoutes[0].Dst.Addr() != host(7) || len(res.Drift)+len(res.Withdrawn) != 0 {
			t.Errorf("%+v", res)
		}
		routedThere(t, w, want, besides...)
		entries := append(entriesOf(host(1)), "other "+host(8).String()+" 0")
		slices.Sort(entries)
		if diff := cmp.Diff(entries, w.entries()); diff != "" {
			t.Errorf("entries:\n%s", diff)
		}
		// Also one that comes later.
		w.setEntry(dev, host(9), 0, false)
		if res := converge(t, d, want); !slices.Equal(res.Removed[dev], []netip.Addr{host(9)}) || res.Writes != 1 {
			t.Errorf("%+v", res)
		}
		converge(t, d, nothing())
		routedThere(t, w, nothing(), besides...)
		// What is taken over is not removed, also if it is there from the start.
		w.setEntry(dev, host(1), 0, false)
		w.addRoute(inner, static(host(1).String()+"/128", "fe80::7"))
		if res := converge(t, d, want); len(res.Removed)+len(res.RemovedRoutes) != 0 {
			t.Errorf("%+v", res)
		}
		routedThere(t, w, want, besides...)
	})
}

func TestInvalidWays(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		want := routed(host(1), host(2), host(3))
		good := routed(host(1))
		for i, r := range want.Routes {
			switch r.Dst.Addr() {
			case host(2):
				want.Routes[i].Via = addr("ff02::1")
			case host(3): // another way beside the first
				r.Via = addr("fe80::9")
				want.Routes = append(want.Routes, r, r)
			}
		}
		bad := []dataplane.Route{
			{Table: 0, Dst: prefix("2001:db8::/32"), Device: inner},
			{Table: 255, Dst: prefix("2001:db8::/32"), Device: inner},
			{Table: 1 << 32, Dst: prefix("2001:db8::/32"), Device: inner},
			{Table: 254, Device: inner},
			{Table: 254, Dst: prefix("10.0.0.0/8"), Device: inner},
			{Table: 254, Dst: prefix("ff00::/8"), Device: inner},
			{Table: 254, Dst: prefix("fe80::/64"), Device: inner},
			{Table: 254, Dst: prefix("2001:db8::/32"), Device: "all"},
			{Table: 254, Dst: prefix("2001:db8::/32"), Via: addr("192.0.2.1"), Device: inner},
			{Table: 254, Dst: prefix("2001:db8::/32"), Via: addr("fe80::1%1"), Device: inner},
			{Table: 254, Dst: prefix("2001:db8::/32"), Via: addr("::"), Device: inner},
			{Table: 254, Dst: prefix("2001:db8::/32"), OnLink: true, Device: inner},
		}
		want.Routes = append(want.Routes, bad...)
		badRules := []dataplane.Rule{
			{Priority: 0, IIF: "lo", Table: 110}, {Priority: 1 << 32, IIF: "lo", Table: 110}, {Priority: 1, Table: 110},
			{Priority: 1, IIF: "much-too-long-a-name", Table: 110}, {Priority: 1, IIF: "lo"}, {Priority: 1, IIF: "lo", Table: 255},
		}
		want.Rules = append(want.Rules, badRules...)
		d := on(w.kernel(), t)
		res := apply(t, d, want, dataplane.Deep)
		if n := len(bad) + len(badRules) + 3; len(res.Failures) != n {
			t.Errorf("%d failures, want %d: %v", len(res.Failures), n, res.Failures)
		}
		for _, f := range res.Failures {
			if f.Class() != dataplane.ClassPermanent {
				t.Errorf("class of %v is %s", f, f.Class())
			}
		}
		// Nothing is published whose way is not clear.
		shows(t, w, host(1))
		good.Routes = append(good.Routes, hostRoute(host(3)))
		routedThere(t, w, good)
		settled(t, d, want)
	})
}
