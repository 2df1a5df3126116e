package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/test/nettest"
)

// inner leads to the published addresses.
const inner = "fpr-1"

const wayTable, wayPriority = 110, 32800

func hostRoute(a netip.Addr) dataplane.Route {
	return dataplane.Route{Table: dataplane.MainTable, Dst: netip.PrefixFrom(a, 128), Via: addr("fe80::2"), Device: inner}
}

// routed publishes addresses with a way to each and one back.
func routed(addrs ...netip.Addr) dataplane.State {
	s := state(addrs...)
	for _, a := range addrs {
		s.Routes = append(s.Routes, hostRoute(a))
	}
	s.Routes = append(s.Routes, dataplane.Route{
		Table: wayTable, Dst: prefix("::/0"), Via: addr("2001:db8:9::1"), Device: dev, OnLink: true,
	})
	s.Rules = []dataplane.Rule{{Priority: wayPriority, IIF: inner, Table: wayTable}, {Priority: wayPriority, IIF: "lo", Table: wayTable}}
	s.Normalize()
	return s
}

// routedThere compares what other tools see with the state, and what is there
// besides.
func routedThere(t *testing.T, w world, s dataplane.State, besides ...string) {
	t.Helper()
	want := slices.Clone(besides)
	for _, r := range s.Routes {
		want = append(want, wantedRoute(r))
	}
	for _, r := range s.Rules {
		want = append(want, wantedRule(r))
	}
	slices.Sort(want)
	have := slices.Concat(w.routes(), w.rules())
	slices.Sort(have)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("routes and rules:\n%s", d)
	}
}

func nothing() dataplane.State { return dataplane.State{Namespace: namespace} }

func TestWays(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		for _, step := range []struct {
			to   dataplane.State
			want []fakekernel.Op
		}{
			// The filter, the way, the entries, the answering; and back.
			{routed(host(1)), []fakekernel.Op{
				fakekernel.WriteFilter, fakekernel.SetProxyDelay,
				fakekernel.AddRule, fakekernel.AddRule, fakekernel.SetRoute, fakekernel.SetRoute,
				fakekernel.SetNeighbour, fakekernel.SetProxyNDP,
			}},
			{routed(host(2)), []fakekernel.Op{
				fakekernel.WriteFilter, fakekernel.DeleteNeighbour, fakekernel.SetRoute, fakekernel.SetNeighbour,
				fakekernel.DeleteRoute, fakekernel.WriteFilter,
			}},
			{nothing(), []fakekernel.Op{
				fakekernel.SetProxyNDP, fakekernel.DeleteNeighbour, fakekernel.SetProxyDelay,
				fakekernel.DeleteRoute, fakekernel.DeleteRoute, fakekernel.DeleteRule, fakekernel.DeleteRule,
				fakekernel.WriteFilter,
			}},
		} {
			if res := converge(t, d, step.to); len(res.Drift) != 0 {
				t.Errorf("drift %v", res.Drift)
			}
			if diff := cmp.Diff(step.want, faults.Writes()); diff != "" {
				t.Errorf("order to\n%s%s", step.to, diff)
			}
			routedThere(t, w, step.to)
			// Again, and to a process that knows nothing.
			for _, d := range []*dataplane.Dataplane{d, on(w.kernel(), t)} {
				for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
					if res := apply(t, d, step.to, depth); res.Writes != 0 {
						t.Errorf("again: %+v", res)
					}
				}
			}
			owned, err := d.Owned(t.Context(), namespace)
			have, observeErr := d.Observe(t.Context(), namespace, dataplane.Quick)
			if want := len(step.to.Devices) > 0; err != nil || observeErr != nil || owned != want || have.Owned() != want {
				t.Errorf("owned: %v, %v, %v, %v", owned, have.Owned(), err, observeErr)
			}
		}
	})
}

// Routes or rules alone are found as well, and only ours go, from any table.
func TestLeftovers(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(inner)
		foreign, foreignRule := static("2001:db8:7::/64", "fe80::1"), rule.Rule{Priority: wayPriority, IIF: inner, Table: wayTable, Protocol: 4}
		w.addRoute(inner, foreign)
		w.addRule(foreignRule)
		besides := slices.Concat(w.routes(), w.rules())
		ourRule := foreignRule
		ourRule.Protocol = ours
		ourRoute := static("2001:db8:8::/64", "")
		ourRoute.Protocol, ourRoute.Table, ourRoute.Metric = ours, 4711, 7
		for name, leave := range map[string]func(){
			"nothing":      func() {},
			"a rule":       func() { w.addRule(ourRule) },
			"a rule twice": func() { w.addRule(ourRule); w.addRule(ourRule) },
			"a route":      func() { w.addRoute(inner, ourRoute) },
		} {
			leave()
			d := on(w.kernel(), t)
			owned, err := d.Owned(t.Context(), namespace)
			if err != nil || owned != (name != "nothing") {
				t.Errorf("%s: owned: %v, %v", name, owned, err)
			}
			converge(t, d, nothing())
			routedThere(t, w, nothing(), besides...)
			if owned, err := d.Owned(t.Context(), namespace); err != nil || owned {
				t.Errorf("%s: owned after clean-up: %v, %v", name, owned, err)
			}
		}
		// With ours beside them, foreign ones stay.
		w.addDevice(dev)
		d := on(w.kernel(), t)
		converge(t, d, routed(host(1)))
		routedThere(t, w, routed(host(1)), besides...)
		converge(t, d, nothing())
		routedThere(t, w, nothing(), besides...)
	})
}

// What upstream's extension left is taken over, whatever it was, and no second
// next hop stays beside ours.
func TestAdoptRoutes(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		w.addDevice("fpr-2")
		to := hostRoute(host(1)).Dst.String()
		for name, there := range map[string]map[string]string{
			"the same way":                 {"fe80::2": inner},
			"another router's":             {"fe80::7": "fpr-2"},
			"two next hops":                {"fe80::2": inner, "fe80::7": "fpr-2"},
			"without a next hop":           {"": "fpr-2"},
			"with a next hop, and without": {"fe80::7": inner, "": "fpr-2"},
		} {
			for via, device := range there {
				w.addRoute(device, static(to, via))
			}
			d := on(w.kernel(), t)
			converge(t, d, routed(host(1)))
			routedThere(t, w, routed(host(1)))
			// And by somebody's hand it is two again.
			w.addRoute("fpr-2", static(to, "fe80::7"))
			if res := converge(t, d, routed(host(1))); res.Drift[dataplane.KindRoute] != 1 {
				t.Errorf("%s: drift %v", name, res.Drift)
			}
			routedThere(t, w, routed(host(1)))
			converge(t, d, nothing())
			routedThere(t, w, nothing())
		}
	})
}

func TestWayDrift(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		d := on(w.kernel(), t)
		want := routed(host(1), host(2))
		converge(t, d, want)
		mine := static(host(1).String()+"/128", "fe80::2")
		mine.Protocol = ours
		back := rule.Rule{Priority: wayPriority, IIF: inner, Table: wayTable, Protocol: ours}
		other := back
		other.Table = 4711
		more := mine
		more.Other = true
		stray := static(host(9).String()+"/128", "fe80::2")
		stray.Protocol = ours
		for name, c := range map[string]struct {
			do    func()
			drift dataplane.Kind
		}{
			"route deleted":     {func() { w.deleteRoute(inner, mine) }, dataplane.KindRoute},
			"route taken over":  {func() { w.deleteRoute(inner, mine); w.addRoute(inner, static(host(1).String()+"/128", "fe80::7")) }, dataplane.KindRoute},
			"route with more":   {func() { w.deleteRoute(inner, mine); w.addRoute(inner, more) }, dataplane.KindRoute},
			"route with mark":   {func() { w.addRoute(inner, stray) }, dataplane.KindRoute},
			"rule deleted":      {func() { w.deleteRule(back) }, dataplane.KindRule},
			"rule twice":        {func() { w.addRule(back) }, dataplane.KindRule},
			"rule with mark":    {func() { w.addRule(other) }, dataplane.KindRule},
			"foreign, no drift": {func() { w.addRoute(inner, static("2001:db8:77::/64", "fe80::7")) }, ""},
		} {
			c.do()
			var drift map[dataplane.Kind]int
			if c.drift != "" {
				drift = map[dataplane.Kind]int{c.drift: 1}
			}
			if res := converge(t, d, want); len(res.Drift)+len(drift) > 0 && !cmp.Equal(res.Drift, drift) {
				t.Errorf("%s: drift %v, want %v", name, res.Drift, drift)
			}
		}
		w.deleteRoute(inner, static("2001:db8:77::/64", "fe80::7"))
		routedThere(t, w, want)
		// A device that was made again took them with it, and nobody's hand.
		w.removeDevice(inner)
		w.addDevice(inner)
		if res := converge(t, d, want); len(res.Drift) != 0 {
			t.Errorf("device made again: drift %v", res.Drift)
		}
		routedThere(t, w, want)
		if res := converge(t, d, routed(host(2))); len(res.Drift) != 0 {
			t.Errorf("wanted differently: drift %v", res.Drift)
		}
	})
}

func TestInterfaces(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		faults := fakekernel.NewFaults(w.kernel())
		d := on(faults, t)
		for _, op := range []fakekernel.Op{fakekernel.Neighbours, fakekernel.ReadFilter, fakekernel.Routes, fakekernel.Rules} {
			faults.Fail(fakekernel.Fault{Op: op, Err: fmt.Errorf("%w: nobody should ask", unix.EIO), Times: -1})
		}
		nettest.Eventually(t, 5*time.Second, "the same as Observe says", func() bool { // link-local addresses come late
			have, err := on(w.kernel(), t).Observe(t.Context(), namespace, dataplane.Quick)
			if err != nil {
				t.Fatal(err)
			}
			list, err := d.Interfaces(t.Context(), namespace)
			if err != nil || len(list) < 2 {
				t.Fatalf("%v, %v", list, err)
			}
			return cmp.Equal(have.Interfaces, list, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
		})
		if _, err := d.Interfaces(t.Context(), "none"); dataplane.Classify(err) != dataplane.ClassGone {
			t.Errorf("no namespace: %v", err)
		}
	})
}
