package plan_test

import (
	"net/netip"
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

// stands is a namespace in which router a's address ...:5 was published, with an
// old next hop, and ...:6 was announced without a route.
func stands(interfaces []dataplane.Interface) plan.Seen {
	s := seen(interfaces, far("a"))
	s.Proxies = []dataplane.Proxy{
		{Device: fg, Addr: addr("2001:db8:0:a::5"), Ours: true}, {Device: fg, Addr: addr("2001:db8:0:a::6"), Ours: true},
		{Device: qg, Addr: addr("2001:db8:0:a::5"), Ours: true}, {Device: qg, Addr: addr("2001:db8:0:a::6")},
	}
	s.Routes = []dataplane.FoundRoute{{Ours: true, Route: dataplane.Route{
		Table: dataplane.MainTable, Dst: prefix("2001:db8:0:a::5/128"), Via: addr("fe80::01d"), Device: "fpr-a",
	}}}
	return s
}

// What nobody knows whether it belongs here stays as it is.
func TestStandingGoldens(t *testing.T) {
	nobodyKnows := distributed("a", "a", func(e *inventory.Entry) { edge(e); e.Places = nil })
	unreadable := func(s plan.Seen) plan.Seen {
		s.Peers, s.Unreadable = nil, map[string]bool{"qrouter-a": true}
		return s
	}
	unrouted := stands(pair("a"))
	unrouted.Routes = nil
	for name, c := range map[string]struct {
		namespace string
		entry     inventory.Entry
		seen      plan.Seen
		opts      plan.Options
	}{
		"standing":                    {fip, nobodyKnows, stands(pair("a")), plan.Options{Exclusive: true}},
		"standing-no-way":             {fip, nobodyKnows, stands(pair()), plan.Options{}},
		"standing-unrouted":           {fip, nobodyKnows, unrouted, plan.Options{}},
		"standing-edge":               {snat, nobodyKnows, stands(device(nil)), plan.Options{}},
		"standing-outside":            {fip, distributed("a", "b", unknownHere), stands(pair("a")), plan.Options{}},
		"unreadable":                  {fip, distributed("a", "a", nil), unreadable(stands(pair("a"))), plan.Options{}},
		"unreadable-nothing-there":    {fip, distributed("a", "a", nil), unreadable(seen(pair("a"), nil)), plan.Options{}},
		"unreadable-and-unknown":      {fip, nobodyKnows, unreadable(stands(pair("a"))), plan.Options{}},
		"leftovers-of-others":         {fip, distributed("a", "a", nobodyHere), seen(pair("a"), far("a")), plan.Options{Exclusive: true}},
		"leftovers-but-nobody-knows":  {fip, distributed("a", "a", unknownHere), seen(pair("a"), far("a")), plan.Options{Exclusive: true}},
		"leftovers-while-one-waits":   {fip, distributed("a", "a", nil), seen(pair("a"), nil), plan.Options{Exclusive: true}},
		"leftovers-without-a-device":  {fip, distributed("a", "a", nobodyHere), seen(nil, nil), plan.Options{Exclusive: true}},
		"leftovers-of-one-turned-off": {fip, distributed("a", "a", func(e *inventory.Entry) { e.Router.Enabled = false }), seen(pair("a"), nil), plan.Options{Exclusive: true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Namespace(c.namespace, []inventory.Entry{c.entry}, c.seen, c.opts)
			golden(t, name, text(p))
		})
	}
}

// A router that is gone holds nothing, also while another may be there; what is
// routed to that other one is held in the same subnet too.
func TestHoldKnowsWhatWas(t *testing.T) {
	have := stands(pair("a", "x")).Observation
	have.Interfaces[0].ProxyNDP = true
	have.Rules = []dataplane.FoundRule{
		{Rule: dataplane.Rule{Priority: plan.RulePriority, IIF: "fpr-a", Table: plan.RouteTable}, Ours: true},
		{Rule: dataplane.Rule{Priority: plan.RulePriority, IIF: "lo", Table: plan.RouteTable}, Ours: true},
	}
	have.Routes = append(have.Routes, dataplane.FoundRoute{Ours: true, Route: dataplane.Route{
		Table: plan.RouteTable, Dst: prefix("::/0"), Via: addr("2001:db8::1"), Device: fg, OnLink: true,
	}})
	have.Proxies = have.Proxies[:2]
	gone := plan.Claims(fip, []inventory.Entry{distributed("a", "a", nil)})
	state, ok := plan.Hold(dataplane.State{Namespace: fip}, gone, have)
	if want := "namespace " + fip + "\n"; !ok || state.String() != want {
		t.Errorf("held of a router that is gone (ok %v):\n%s", ok, state)
	}
	have.Routes[0].Device = "fpr-x"
	have.Filter.Devices = guards(fg, "2001:db8:0:a::/64")
	state, ok = plan.Hold(dataplane.State{Namespace: fip}, gone, have)
	if !ok {
		t.Fatal("a device with a filter is not known")
	}
	golden(t, "held-in-the-same-subnet", state.String())
}

// As many addresses as a device may have, in a time that is not noticed.
func TestHoldOfThousands(t *testing.T) {
	have := stands(pair("a")).Observation
	have.Proxies = have.Proxies[:2]
	have.Filter.Devices = guards(fg, "2001:db8:0:1::/64", "2001:db8:0:2::/64", "2001:db8:0:3::/64")
	a := netip.MustParseAddr("2001:db8:0:1::1")
	for range 10000 {
		have.Proxies = append(have.Proxies, dataplane.Proxy{Device: fg, Addr: a, Ours: true})
		have.Routes = append(have.Routes, dataplane.FoundRoute{Ours: true, Route: dataplane.Route{
			Table: dataplane.MainTable, Dst: netip.PrefixFrom(a, 128), Via: addr("fe80::2"), Device: "fpr-x",
		}})
		a = a.Next()
	}
	// Allocations instead of a clock: copying all for each takes one each.
	n := testing.AllocsPerRun(1, func() {
		if state, ok := plan.Hold(dataplane.State{Namespace: fip}, nil, have); !ok || len(state.Devices[0].Published) != 10002 {
			t.Fatalf("held %v, %v", ok, state)
		}
	})
	if n > 2000 {
		t.Errorf("%v allocations for 10000 addresses", n)
	}
}
