package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

// published are the addresses that a plan answers for.
func published(p plan.Plan) []netip.Addr {
	var out []netip.Addr
	for _, d := range p.State.Devices {
		if d.Answer {
			out = append(out, d.Published...)
		}
	}
	return out
}

// Who has no authority over an address does not answer for it. Each case is the
// router of the other tests, which publishes 2001:db8:0:1::5 on a link with
// 2001:db8::/112, and one thing that takes the authority away.
func TestAuthority(t *testing.T) {
	const good = "2001:db8:0:1::5"
	outside := func(e *inventory.Entry) { e.Router.Outside = []netip.Prefix{prefix("2001:db8::/112")} }
	subnets := func(l ...inventory.Subnet) func(*inventory.Entry) {
		return func(e *inventory.Entry) { e.Router.Subnets = l }
	}
	scope := func(p string, own ...netip.Addr) inventory.Subnet {
		return inventory.Subnet{Prefix: prefix(p), Scope: "scope", RouterAddrs: own}
	}
	for _, c := range []struct {
		name, address string
		change        func(*inventory.Entry)
		why           string // "": nothing is even planned
	}{
		{"router is off", good, func(e *inventory.Entry) { e.Router.Enabled = false }, ""},
		{"no gateway", good, func(e *inventory.Entry) { e.Router.External = nil }, ""},
		{"gateway in another namespace", good, func(e *inventory.Entry) { e.Router.External[0].Namespace = "qrouter-2" }, ""},
		{"no subnets", good, subnets(), "outside every internal subnet"},
		{"another subnet", good, subnets(scope("2001:db8:0:2::/64")), "outside every internal subnet"},
		{"scope of the subnet changed", good, subnets(inventory.Subnet{Prefix: prefix("2001:db8:0:1::/64"), Scope: "other"}), "another address scope"},
		{"subnet without a scope", good, subnets(inventory.Subnet{Prefix: prefix("2001:db8:0:1::/64")}), "another address scope"},
		{"scope of the gateway changed", good, func(e *inventory.Entry) { e.Router.Scope = "new" }, "another address scope"},
		{"gateway moved to a subnet that has it", good, func(e *inventory.Entry) { e.Router.Outside = []netip.Prefix{prefix("2001:db8:0:1::/64")} }, "a subnet of the external network"},
		{"upstream's own address, inside an internal subnet", "2001:db8::1",
			func(e *inventory.Entry) { outside(e); subnets(scope("2001:db8::/32"))(e) }, "a subnet of the external network"},
		{"another host's on the link, inside an internal subnet", "2001:db8::beef",
			func(e *inventory.Entry) { outside(e); subnets(scope("2001:db8::/32"))(e) }, "a subnet of the external network"},
		{"the gateway's own", "2001:db8::2", subnets(scope("2001:db8::/64")), "own gateway address"},
		{"the router's own, in its subnet", "2001:db8:0:1::1", nil, "the router's own address"},
		{"the router's own, in a subnet of a subnet", "2001:db8:0:1::1",
			subnets(scope("2001:db8::/48"), scope("2001:db8:0:1::/64", addr("2001:db8:0:1::1"))), "the router's own address"},
		{"subnet-router anycast", "2001:db8:0:1::", nil, "anycast"},
		{"everything is a subnet", "2001:4860:4860::8888", subnets(scope("::/0")), "too large"},
		{"half of everything", "2001:4860:4860::8888", subnets(scope("2000::/3")), "too large"},
		{"multicast", "ff02::1", subnets(scope("ff00::/16")), "not a global unicast"},
		{"link-local", "fe80::5", subnets(scope("fe80::/64")), "not a global unicast"},
		{"loopback", "::1", subnets(scope("::/64")), "not a global unicast"},
		{"unspecified", "::", subnets(scope("::/64")), "not a global unicast"},
		{"mapped IPv4", "::ffff:192.0.2.1", subnets(scope("::ffff:0:0/96")), "not an IPv6"},
		{"IPv4", "192.0.2.1", subnets(scope("::/96")), "not an IPv6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries := legacy(func(e *inventory.Entry) {
				proxied(c.address)(e)
				if c.change != nil {
					c.change(e)
				}
			})
			p := plan.Namespace(ns, entries, seen(device(nil), nil), plan.Options{})
			if got := published(p); len(got) > 0 {
				t.Fatalf("answers for %v", got)
			}
			for _, d := range p.State.Devices {
				if len(d.Published) > 0 {
					t.Errorf("lets in %v", d.Published)
				}
			}
			if c.why == "" {
				if len(p.Rejected) > 0 || len(p.State.Devices) > 0 {
					t.Errorf("planned %v, rejected %v", p.State, p.Rejected)
				}
				return
			}
			if len(p.Rejected) != 1 || !strings.Contains(p.Rejected[0].Reason, c.why) {
				t.Errorf("rejected %v, want %q", p.Rejected, c.why)
			}
		})
	}
	zoned := legacy(proxied(good))
	zoned[0].Proxies[0].Addr = addr(good).WithZone("eth0")
	if p := plan.Namespace(ns, zoned, seen(device(nil), nil), plan.Options{}); len(published(p)) > 0 || len(p.Rejected) != 1 {
		t.Errorf("with a zone: %v, rejected %v", published(p), p.Rejected)
	}
	// The cases differ from this one in one thing each.
	if p := plan.Namespace(ns, legacy(func(e *inventory.Entry) { proxied(good)(e); outside(e) }), seen(device(nil), nil), plan.Options{}); len(published(p)) != 1 {
		t.Errorf("with nothing in the way it answers for %v", published(p))
	}
	// A point-to-point subnet has no anycast address (RFC 6164), and a larger
	// subnet of another scope around a good one takes nothing from it.
	for a, l := range map[string]inventory.Subnet{"2001:db8:0:3::4": scope("2001:db8:0:3::4/127"), "2001:db8:0:3::7": scope("2001:db8:0:3::7/128")} {
		p := plan.Namespace(ns, legacy(func(e *inventory.Entry) {
			proxied(a)(e)
			e.Router.Subnets = []inventory.Subnet{{Prefix: prefix("2001:db8::/32"), Scope: "other"}, l}
		}), seen(device(nil), nil), plan.Options{})
		if len(published(p)) != 1 {
			t.Errorf("%s: %v", a, p.Rejected)
		}
	}
}

// An address that two proxies name goes with the last of them.
func TestSameAddressTwice(t *testing.T) {
	both := legacy(func(e *inventory.Entry) {
		e.Proxies = []inventory.Proxy{
			{ID: "p1", RouterID: "r1", PortID: "a", Addr: addr("2001:db8:0:1::5")},
			{ID: "p2", RouterID: "r1", PortID: "b", Addr: addr("2001:db8:0:1::5")},
		}
	})
	for _, keep := range [][]inventory.Proxy{both[0].Proxies, both[0].Proxies[:1], both[0].Proxies[1:], nil} {
		e := both[0]
		e.Proxies = keep
		want := min(len(keep), 1)
		if got := published(plan.Namespace(ns, []inventory.Entry{e}, seen(device(nil), nil), plan.Options{})); len(got) != want {
			t.Errorf("%d proxies: %v", len(keep), got)
		}
	}
}

func flood(id string, n int) []inventory.Proxy {
	var out []inventory.Proxy
	for i := range n {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: 1, 8: id[0], 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
		out = append(out, inventory.Proxy{ID: fmt.Sprint(id, i), RouterID: id, Addr: a})
	}
	return out
}

// Beyond its room a device publishes nothing new, takes nothing back, and lets
// no router push another one out.
func TestMost(t *testing.T) {
	const most = 100
	router := func(id string, proxies []inventory.Proxy) inventory.Entry {
		e := legacy(nil)[0]
		e.Router.ID, e.Router.Subnets = id, []inventory.Subnet{{Prefix: prefix("2001:db8:0:1::/64"), Scope: "scope"}}
		e.Proxies = proxies
		return e
	}
	count := func(p plan.Plan) (of map[byte]int) {
		of = map[byte]int{}
		for _, a := range p.State.Devices[0].Published {
			of[a.As16()[8]]++
		}
		return of
	}
	empty := seen(device(nil), nil)
	few := plan.Namespace(ns, []inventory.Entry{router("a", flood("a", most))}, empty, plan.Options{Most: most})
	if of := count(few); of['a'] != most || few.Excess != 0 {
		t.Errorf("%v, excess %d: there is room for just those", of, few.Excess)
	}
	shared := plan.Namespace(ns, []inventory.Entry{router("a", flood("a", 5000)), router("b", flood("b", 30)), router("c", flood("c", 5000))},
		empty, plan.Options{Most: most})
	if of := count(shared); of['a'] != 35 || of['b'] != 30 || of['c'] != 35 || shared.Excess != 10030-most {
		t.Errorf("shared by %v, excess %d", of, shared.Excess)
	}
	// What stands stays, also the last by address, and also when there is more of
	// it than there is room for.
	for _, standing := range []int{40, most + 20} {
		all := flood("a", 5000)
		have := seen(device(nil), nil)
		for _, p := range all[len(all)-standing:] {
			have.Proxies = append(have.Proxies, dataplane.Proxy{Device: qg, Addr: p.Addr, Ours: true})
		}
		p := plan.Namespace(ns, []inventory.Entry{router("a", all), router("b", flood("b", 200))}, have, plan.Options{Most: most})
		for _, s := range have.Proxies {
			if !slices.Contains(p.State.Devices[0].Published, s.Addr) {
				t.Fatalf("%s was withdrawn by a flood", s.Addr)
			}
		}
		if got, want := len(p.State.Devices[0].Published), max(most, standing); got != want {
			t.Errorf("%d published with %d standing, want %d", got, standing, want)
		}
		if of := count(p); standing < most && of['b'] < 30 {
			t.Errorf("the newcomer has %d of %d", of['b'], most)
		}
	}
	if p := plan.Namespace(ns, []inventory.Entry{router("a", flood("a", 5000))}, empty, plan.Options{}); p.Excess != 0 || count(p)['a'] != 5000 {
		t.Errorf("0 is no bound: excess %d", p.Excess)
	}
}
