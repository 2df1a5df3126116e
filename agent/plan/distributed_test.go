package plan_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

const (
	fip  = "fip-net"
	snat = "snat-a"
	fg   = "fg-1"
)

// distributed is a router on a dvr host: its subnet is 2001:db8:0:<n>::/64,
// and of its three proxies one is here, one at the edge and one elsewhere.
func distributed(id, n string, change func(*inventory.Entry)) inventory.Entry {
	subnet := "2001:db8:0:" + n + "::"
	e := inventory.Entry{
		Router: inventory.Router{
			ID: id, Enabled: true, Scope: "scope",
			External: []inventory.Attachment{{
				Namespace: fip, Device: fg, Addrs: []netip.Addr{addr("2001:db8::2")}, Serves: inventory.Here,
				Inner: &inventory.Inner{
					Device: "fpr-" + id, PeerNamespace: "qrouter-" + id, PeerDevice: "rfp-" + id, Gateway: addr("2001:db8::1"),
				},
			}},
			Subnets: []inventory.Subnet{{Prefix: prefix(subnet + "/64"), Scope: "scope"}},
		},
		Places: map[string]inventory.Place{},
	}
	for _, p := range []inventory.Place{inventory.Here, inventory.Edge, inventory.Elsewhere} {
		port := "port-" + string(p)
		host := map[inventory.Place]string{inventory.Here: "5", inventory.Edge: "6", inventory.Elsewhere: "7"}[p]
		e.Proxies = append(e.Proxies, inventory.Proxy{ID: id + string(p), RouterID: id, PortID: port, Addr: addr(subnet + host)})
		e.Places[port] = p
	}
	if change != nil {
		change(&e)
	}
	return e
}

// edge adds the centralised attachment of a dvr_snat host.
func edge(e *inventory.Entry) {
	e.Router.External = append(e.Router.External, inventory.Attachment{
		Namespace: snat, Device: qg, Addrs: []netip.Addr{addr("2001:db8::9")}, Serves: inventory.Edge,
	})
}

func unknownHere(e *inventory.Entry) { delete(e.Places, "port-here") }

func nobodyHere(e *inventory.Entry) { e.Places["port-here"] = inventory.Elsewhere }

// pair is fg- and a router's fpr-, as the L3 agent makes them.
func pair(routers ...string) []dataplane.Interface {
	out := device(func(i *dataplane.Interface) { i.Name = fg })
	for _, id := range routers {
		out = append(out, dataplane.Interface{
			Name: "fpr-" + id, Up: true, IPv6: true, Forwarding: true,
			Addrs: []dataplane.InterfaceAddr{{Prefix: prefix("fe80::f/64")}},
		})
	}
	return out
}

// far is the other ends, with the link-local addresses fe80::a1, fe80::a2, ...
func far(routers ...string) plan.Peers {
	peers := plan.Peers{}
	for n, id := range routers {
		ll := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(0xa1 + n)}), 64)
		peers["qrouter-"+id] = []dataplane.Interface{{
			Name: "rfp-" + id, Up: true, IPv6: true, Addrs: []dataplane.InterfaceAddr{{Prefix: ll}},
		}}
	}
	return peers
}

func TestDistributedGoldens(t *testing.T) {
	a := func(change func(*inventory.Entry)) []inventory.Entry {
		return []inventory.Entry{distributed("a", "a", change)}
	}
	inner := func(change func(*inventory.Inner)) func(*inventory.Entry) {
		return func(e *inventory.Entry) { change(e.Router.External[0].Inner) }
	}
	changed := func(peers plan.Peers, change func(*dataplane.Interface)) plan.Peers {
		change(&peers["qrouter-a"][0])
		return peers
	}
	near := func(change func([]dataplane.Interface) []dataplane.Interface) []dataplane.Interface {
		return change(pair("a"))
	}
	both := a(edge)
	for name, c := range map[string]struct {
		namespace  string
		entries    []inventory.Entry
		interfaces []dataplane.Interface
		peers      plan.Peers
		opts       plan.Options
	}{
		"dvr":                  {fip, a(nil), pair("a"), far("a"), plan.Options{}},
		"dvr-exclusive":        {fip, a(nil), pair("a"), far("a"), plan.Options{Exclusive: true}},
		"dvr-no-local-port":    {fip, a(nobodyHere), pair("a"), far("a"), plan.Options{}},
		"dvr-unknown-place":    {fip, a(unknownHere), pair("a"), far("a"), plan.Options{}},
		"dvr-disabled":         {fip, a(func(e *inventory.Entry) { e.Router.Enabled = false }), pair("a"), far("a"), plan.Options{}},
		"dvr-other-scope":      {fip, a(func(e *inventory.Entry) { e.Router.Subnets[0].Scope = "other" }), pair("a"), far("a"), plan.Options{}},
		"dvr-no-external":      {fip, a(func(e *inventory.Entry) { e.Router.External = nil }), pair("a"), far("a"), plan.Options{}},
		"dvr-two-routers":      {fip, []inventory.Entry{distributed("a", "a", nil), distributed("b", "b", nil)}, pair("a", "b"), far("a", "b"), plan.Options{}},
		"dvr-two-one-not-here": {fip, []inventory.Entry{distributed("a", "a", nobodyHere), distributed("b", "b", nil)}, pair("a", "b"), far("a", "b"), plan.Options{}},
		"dvr-two-one-without-way": {fip, []inventory.Entry{distributed("a", "a", nil), distributed("b", "b", nil)},
			pair("a", "b"), far("a"), plan.Options{}},
		"dvr-two-publish-one-address": {fip, []inventory.Entry{distributed("a", "a", nil), distributed("b", "a", nil)},
			pair("a", "b"), far("a", "b"), plan.Options{}},
		"dvr-two-publish-one-and-one-has-no-way": {fip, []inventory.Entry{distributed("a", "a", nil), distributed("b", "a", nil)},
			pair("b"), far("a", "b"), plan.Options{}},
		"dvr-two-gateways": {fip, []inventory.Entry{distributed("a", "a", nil), distributed("b", "b", inner(func(in *inventory.Inner) {
			in.Gateway = addr("2001:db8::8")
		}))}, pair("a", "b"), far("a", "b"), plan.Options{}},
		"dvr-no-ipv6-subnet": {fip, a(func(e *inventory.Entry) {
			e.Router.External[0].Addrs = []netip.Addr{addr("192.0.2.2")}
			e.Router.External[0].Inner.Gateway = netip.Addr{}
		}), near(func(i []dataplane.Interface) []dataplane.Interface {
			i[0].Addrs[0].Prefix = prefix("192.0.2.2/24")
			return i
		}), far("a"), plan.Options{}},
		"dvr-gateway-link-local": {fip, a(inner(func(in *inventory.Inner) { in.Gateway = addr("fe80::1") })), pair("a"), far("a"), plan.Options{}},
		"dvr-no-peer-namespace":  {fip, a(nil), pair("a"), plan.Peers{}, plan.Options{}},
		"dvr-no-rfp":             {fip, a(nil), pair("a"), plan.Peers{"qrouter-a": nil}, plan.Options{}},
		"dvr-no-fpr":             {fip, a(nil), pair(), far("a"), plan.Options{}},
		"dvr-fpr-down": {fip, a(nil), near(func(i []dataplane.Interface) []dataplane.Interface {
			i[1].Up = false
			return i
		}), far("a"), plan.Options{}},
		"dvr-no-fg":              {fip, a(nil), pair("a")[1:], far("a"), plan.Options{}},
		"dvr-rfp-tentative":      {fip, a(nil), pair("a"), changed(far("a"), func(i *dataplane.Interface) { i.Addrs[0].Tentative = true }), plan.Options{}},
		"dvr-rfp-duplicate":      {fip, a(nil), pair("a"), changed(far("a"), func(i *dataplane.Interface) { i.Addrs[0].DADFailed = true }), plan.Options{}},
		"dvr-rfp-no-link-local":  {fip, a(nil), pair("a"), changed(far("a"), func(i *dataplane.Interface) { i.Addrs = nil }), plan.Options{}},
		"dvr-snat-edge":          {snat, both, device(func(i *dataplane.Interface) { i.Addrs[0].Prefix = prefix("2001:db8::9/64") }), nil, plan.Options{}},
		"dvr-snat-here":          {fip, both, pair("a"), far("a"), plan.Options{}},
		"dvr-snat-standby":       {snat, both, device(func(i *dataplane.Interface) { i.Addrs = nil }), nil, plan.Options{}},
		"dvr-snat-other-scope":   {snat, a(func(e *inventory.Entry) { edge(e); e.Router.Subnets[0].Scope = "other" }), device(nil), nil, plan.Options{}},
		"dvr-waits-for-its-port": {fip, a(func(e *inventory.Entry) { e.Router.External, e.Router.Awaits = nil, "its port" }), pair("a"), far("a"), plan.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Namespace(c.namespace, c.entries, seen(c.interfaces, c.peers), c.opts)
			golden(t, name, text(p))
		})
	}
}

func TestPeerNamespaces(t *testing.T) {
	entries := []inventory.Entry{distributed("a", "a", edge), distributed("b", "b", nil), distributed("none", "d", nobodyHere), distributed("maybe", "e", unknownHere), distributed("off", "c", func(e *inventory.Entry) { e.Router.Enabled = false })}
	if got := plan.PeerNamespaces(fip, entries); !slices.Equal(got, []string{"qrouter-a", "qrouter-b", "qrouter-maybe"}) {
		t.Errorf("peers of %s: %v", fip, got)
	}
	if got := plan.PeerNamespaces(snat, entries); len(got) != 0 {
		t.Errorf("peers of %s: %v", snat, got)
	}
}

// Whatever is missing where: an address of a shared namespace is published if
// and only if there is a way to it, and each proxy that is served there is
// published, refused or waiting.
func TestPublishedIffThereIsAWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c"}
		place := rapid.SampledFrom([]inventory.Place{inventory.Here, inventory.Edge, inventory.Elsewhere, inventory.Anywhere})
		var entries []inventory.Entry
		var near, there []string
		for _, id := range ids {
			n := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "subnet")
			entries = append(entries, distributed(id, n, func(e *inventory.Entry) {
				for port := range e.Places {
					e.Places[port] = place.Draw(t, "place")
				}
				e.Router.Enabled = rapid.Bool().Draw(t, "enabled")
			}))
			if rapid.Bool().Draw(t, "fpr") {
				near = append(near, id)
			}
			if rapid.Bool().Draw(t, "rfp") {
				there = append(there, id)
			}
		}
		p := plan.Namespace(fip, entries, seen(pair(near...), far(there...)), plan.Options{})
		ways := map[netip.Addr]int{}
		for _, r := range p.State.Routes {
			if r.Table == dataplane.MainTable {
				ways[r.Dst.Addr()]++
			}
		}
		d, _ := p.State.Device(fg)
		if len(d.Published) != len(ways) {
			t.Fatalf("%d published, %d ways:\n%v", len(d.Published), len(ways), p.State)
		}
		for _, a := range d.Published {
			if ways[a] != 1 {
				t.Fatalf("%d ways to %s:\n%v", ways[a], a, p.State)
			}
		}
		waits := map[netip.Addr]bool{}
		for _, r := range p.Waiting {
			waits[r.Proxy.Addr] = true
		}
		for _, e := range entries {
			for _, proxy := range plan.Served(fip, e) {
				if e.Router.Enabled && ways[proxy.Addr] == 0 && !waits[proxy.Addr] {
					t.Fatalf("%s is neither published nor waiting:\n%v", proxy.Addr, p.State)
				}
			}
		}
		if len(d.Published) > 0 != (len(p.State.Rules) > 0) {
			t.Fatalf("rules without need, or need without rules:\n%v", p.State)
		}
	})
}
