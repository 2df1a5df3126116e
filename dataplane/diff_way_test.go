package dataplane_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// observedWays is what the kernel shows once a state's routes and rules stand.
func observedWays(s dataplane.State) dataplane.Observation {
	o := observed(s.Devices[0])
	o.Interfaces = append(o.Interfaces, dataplane.Interface{Name: inner, Index: 8, IPv6: true})
	slices.SortFunc(o.Interfaces, func(a, b dataplane.Interface) int { return b.Index - a.Index })
	for _, r := range s.Routes {
		index := 8
		if r.Device == dev {
			index = 7
		}
		o.Routes = append(o.Routes, dataplane.FoundRoute{Route: r, Ours: true, Kernel: route.Route{
			Table: uint32(r.Table), Dst: r.Dst, Via: r.Via, Index: index, OnLink: r.OnLink,
			Metric: route.DefaultMetric, Protocol: ours, Type: route.Unicast,
		}})
	}
	for _, r := range s.Rules {
		o.Rules = append(o.Rules, dataplane.FoundRule{Rule: r, Ours: true, Kernel: rule.Rule{
			Priority: uint32(r.Priority), IIF: r.IIF, Table: uint32(r.Table), Protocol: ours,
		}})
	}
	return o
}

func TestDiffTextOfWays(t *testing.T) {
	want := routed(host(1), host(2))
	for _, c := range []struct {
		name string
		want func() dataplane.State
		have func() dataplane.Observation
		text string
	}{
		{"nothing to do", func() dataplane.State { return want }, func() dataplane.Observation { return observedWays(want) }, ""},
		{
			"from nothing", func() dataplane.State { return want },
			func() dataplane.Observation {
				o := observedWays(want)
				o.Routes, o.Rules, o.Proxies = nil, nil, nil
				return o
			}, `rule + 32800 iif fpr-1 table 110
rule + 32800 iif lo table 110
route + ::/0 via 2001:db8:9::1 dev qg-1 onlink table 110
route + 2001:db8:0:2::1/128 via fe80::2 dev fpr-1
route + 2001:db8:0:2::2/128 via fe80::2 dev fpr-1
entry + qg-1 2001:db8:0:2::1
entry + qg-1 2001:db8:0:2::2
`,
		},
		{
			"to nothing", nothing, func() dataplane.Observation { return observedWays(want) }, `filter delete
sysctl qg-1 proxy_ndp 0
entry - qg-1 2001:db8:0:2::1
entry - qg-1 2001:db8:0:2::2
sysctl qg-1 proxy_delay 800ms
route - 2001:db8:0:2::1/128 via fe80::2 dev fpr-1
route - 2001:db8:0:2::2/128 via fe80::2 dev fpr-1
route - ::/0 via 2001:db8:9::1 dev qg-1 onlink table 110
rule - 32800 iif fpr-1 table 110
rule - 32800 iif lo table 110
`,
		},
		{
			"somebody's routes, another next hop, and an exclusive device",
			func() dataplane.State {
				s := routed(host(1), host(2))
				s.Devices[0].Exclusive = true
				for i, r := range s.Routes {
					if r.Dst.Addr() == host(2) {
						s.Routes[i].Via = addr("fe80::3")
					}
				}
				return s
			},
			func() dataplane.Observation {
				o := observedWays(want)
				foreign := func(f dataplane.FoundRoute) dataplane.FoundRoute {
					f.Ours, f.Kernel.Protocol = false, route.Static
					return f
				}
				o.Routes[0] = foreign(o.Routes[0]) // the way back, sorted first
				beside := foreign(o.Routes[1])
				beside.Via, beside.Kernel.Via = addr("fe80::7"), addr("fe80::7")
				stale := foreign(o.Routes[1])
				stale.Dst = prefix(host(9).String() + "/128")
				stale.Kernel.Dst = stale.Dst
				o.Routes = append(o.Routes, beside, stale)
				o.Proxies = append(o.Proxies, dataplane.Proxy{Device: dev, Index: 7, Addr: host(9)})
				return o
			}, `route adopt 2001:db8:0:2::1/128 via fe80::2 dev fpr-1
route replace 2001:db8:0:2::1/128 via fe80::7 dev fpr-1 metric 1024 proto 4
route change 2001:db8:0:2::2/128 via fe80::3 dev fpr-1
entry remove qg-1 2001:db8:0:2::9
route remove 2001:db8:0:2::9/128 via fe80::2 dev fpr-1 metric 1024 proto 4
rule - 32800 iif fpr-1 table 110
rule - 32800 iif lo table 110
`,
		},
	} {
		have := c.have()
		changes := dataplane.Diff(c.want(), have)
		if d := cmp.Diff(c.text, changes.String()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if changes.Empty() != (c.text == "") {
			t.Errorf("%s: empty is %v", c.name, changes.Empty())
		}
	}
}

func TestNormalizeWays(t *testing.T) {
	s := dataplane.State{
		Routes: []dataplane.Route{
			{Table: 254, Dst: prefix("2001:db8::5/64"), Device: "b"},
			{Table: 110, Dst: prefix("::/0"), Via: addr("2001:db8::1"), Device: "a", OnLink: true},
			{Table: 254, Dst: prefix("2001:db8::/64"), Device: "b"},
		},
		Rules: []dataplane.Rule{{Priority: 2, IIF: "lo", Table: 110}, {Priority: 1, IIF: "a", Table: 110}, {Priority: 2, IIF: "lo", Table: 110}},
	}
	s.Normalize()
	want := `namespace 
route ::/0 via 2001:db8::1 dev a onlink table 110
route 2001:db8::/64 dev b
rule 1 iif a table 110
rule 2 iif lo table 110
`
	if d := cmp.Diff(want, s.String()); d != "" {
		t.Error(d)
	}
}
