package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/route"
)

// What somebody else left where nothing is published: an entry, a host route,
// and the switch, on a device that nothing says is ours.
func TestDiffOfAnIdleDevice(t *testing.T) {
	strangers := func() dataplane.Observation {
		return dataplane.Observation{
			Namespace: namespace,
			Interfaces: []dataplane.Interface{
				{Name: inner, Index: 8, IPv6: true}, {Name: dev, Index: 7, IPv6: true, ProxyNDP: true},
			},
			Proxies: []dataplane.Proxy{{Device: inner, Index: 8, Addr: host(8)}, {Device: dev, Index: 7, Addr: host(9)}},
			Routes: []dataplane.FoundRoute{{
				Route:  dataplane.Route{Table: dataplane.MainTable, Dst: netip.PrefixFrom(host(9), 128), Via: addr("fe80::2"), Device: inner},
				Kernel: route.Route{Table: dataplane.MainTable, Dst: netip.PrefixFrom(host(9), 128), Via: addr("fe80::2"), Index: 8, Protocol: route.Static, Metric: 1024, Type: route.Unicast},
			}},
		}
	}
	const gone = `sysctl qg-1 proxy_ndp 0
entry remove qg-1 2001:db8:0:2::9
route remove 2001:db8:0:2::9/128 via fe80::2 dev fpr-1 metric 1024 proto 4
`
	for _, c := range []struct {
		name   string
		want   dataplane.State
		change func(*dataplane.Observation)
		text   string
	}{
		{"nobody asks", dataplane.State{}, nil, ""},
		{"to be reported", dataplane.State{Idle: []dataplane.Idle{{Name: dev}}, Ways: []string{inner}}, nil, ""},
		{"to be removed", dataplane.State{Idle: []dataplane.Idle{{Name: dev, Exclusive: true}}, Ways: []string{inner}}, nil, gone},
		{"the switch alone", dataplane.State{Idle: []dataplane.Idle{{Name: dev, Exclusive: true}}}, func(o *dataplane.Observation) {
			o.Proxies, o.Routes = nil, nil
		}, "sysctl qg-1 proxy_ndp 0\n"},
		{"nothing left", dataplane.State{Idle: []dataplane.Idle{{Name: dev, Exclusive: true}}, Ways: []string{inner}}, func(o *dataplane.Observation) {
			o.Proxies, o.Routes = o.Proxies[:1], nil
			o.Interfaces[1].ProxyNDP = false
		}, ""},
		{"it does not exist", dataplane.State{Idle: []dataplane.Idle{{Name: "qg-9", Exclusive: true}}, Ways: []string{"fpr-9"}}, nil, ""},
	} {
		have := strangers()
		if c.change != nil {
			c.change(&have)
		}
		slices.SortFunc(have.Interfaces, func(a, b dataplane.Interface) int { return b.Index - a.Index })
		c.want.Namespace = namespace
		changes := dataplane.Diff(c.want, have)
		if d := cmp.Diff(c.text, changes.String()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if changes.Empty() != (c.text == "") {
			t.Errorf("%s: empty is %v", c.name, changes.Empty())
		}
	}
}

func TestIdleText(t *testing.T) {
	s := dataplane.State{Namespace: "fip-1", Idle: []dataplane.Idle{{Name: "fg-2", Exclusive: true}, {Name: "fg-1"}}, Ways: []string{"fpr-2", "fpr-1", "fpr-2"}}
	s.Normalize()
	want := `namespace fip-1
idle fg-1
idle fg-2 exclusive
way fpr-1
way fpr-2
`
	if d := cmp.Diff(want, s.String()); d != "" {
		t.Error(d)
	}
}
