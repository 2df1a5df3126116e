package plan_test

import (
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
)

func guards(device string, prefixes ...string) []filter.FoundDevice {
	d := filter.FoundDevice{Name: device}
	for _, p := range prefixes {
		d.Guarded = append(d.Guarded, prefix(p))
	}
	return []filter.FoundDevice{d}
}

// What may be of a router that could not be read stays; what a readable router
// has withdrawn goes.
func TestHold(t *testing.T) {
	entries := []inventory.Entry{distributed("a", "a", nil)}
	p := plan.Namespace(fip, entries, seen(pair("a"), far("a")), plan.Options{Exclusive: true})
	claims := plan.Claims(fip, entries)
	theirs, withdrawn := addr("2001:db8:0:e::5"), addr("2001:db8:0:a::99")
	have := dataplane.Observation{
		Proxies: []dataplane.Proxy{
			{Device: fg, Addr: theirs, Ours: true},
			{Device: fg, Addr: withdrawn, Ours: true},
			{Device: fg, Addr: addr("2001:db8:0:e::6")},
		},
		Routes: []dataplane.FoundRoute{
			{Route: dataplane.Route{Table: dataplane.MainTable, Dst: prefix("2001:db8:0:e::5/128"), Via: addr("fe80::e"), Device: "fpr-e"}, Ours: true},
			{Route: dataplane.Route{Table: dataplane.MainTable, Dst: prefix("2001:db8:0:a::99/128"), Via: addr("fe80::a1"), Device: "fpr-a"}, Ours: true},
			{Route: dataplane.Route{Table: plan.RouteTable, Dst: prefix("::/0"), Via: addr("2001:db8::7"), Device: fg, OnLink: true}, Ours: true},
			{Route: dataplane.Route{Table: dataplane.MainTable, Dst: prefix("2001:db8::/64"), Device: fg}},
		},
		Rules: []dataplane.FoundRule{
			{Rule: dataplane.Rule{Priority: plan.RulePriority, IIF: "fpr-e", Table: plan.RouteTable}, Ours: true},
			{Rule: dataplane.Rule{Priority: 32766, Table: dataplane.MainTable}},
		},
	}
	held, ok := plan.Hold(p.State, claims, have)
	if !ok {
		t.Fatal("a device that the plan has is not known")
	}
	golden(t, "held", held.String())

	// Nothing is published by a readable router: as it is, if that is known.
	have.Interfaces = pair("a")
	have.Interfaces[0].ProxyNDP = true
	have.Filter.Devices = guards(fg, "2001:db8:0:e::/64")
	held, ok = plan.Hold(dataplane.State{Namespace: fip}, claims, have)
	if !ok {
		t.Fatal("a device with a filter is not known")
	}
	golden(t, "held-alone", held.String())
	have.Filter.Devices = nil

	// What it guards is unknown.
	if _, ok := plan.Hold(dataplane.State{Namespace: fip}, claims, have); ok {
		t.Error("a state was made of entries without a filter")
	}
	// Nothing of the other one is there: nothing to hold.
	if s, ok := plan.Hold(dataplane.State{Namespace: fip}, claims, dataplane.Observation{Proxies: have.Proxies[1:]}); !ok || len(s.Devices) != 0 {
		t.Errorf("held without need: %v", s)
	}
}
