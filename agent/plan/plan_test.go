package plan_test

import (
	"flag"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

const (
	ns = "qrouter-1"
	qg = "qg-1"
)

// legacy is one router with a gateway, a subnet in the gateway's scope and one
// in another, and two proxies.
func legacy(change func(*inventory.Entry)) []inventory.Entry {
	e := inventory.Entry{
		Router: inventory.Router{
			ID: "r1", Enabled: true, Scope: "scope",
			External: []inventory.Attachment{{Namespace: ns, Device: qg, Addrs: []netip.Addr{addr("2001:db8::2")}}},
			Subnets: []inventory.Subnet{
				{Prefix: prefix("2001:db8:0:1::/64"), Scope: "scope", RouterAddrs: []netip.Addr{addr("2001:db8:0:1::1")}},
				{Prefix: prefix("2001:db8:0:2::/64"), Scope: "other"},
			},
		},
		Proxies: []inventory.Proxy{
			{ID: "p1", RouterID: "r1", Addr: addr("2001:db8:0:1::5")},
			{ID: "p2", RouterID: "r1", Addr: addr("2001:db8:0:1::6")},
		},
	}
	if change != nil {
		change(&e)
	}
	return []inventory.Entry{e}
}

// device is qg as it should be, holding its addresses.
func device(change func(*dataplane.Interface)) []dataplane.Interface {
	i := dataplane.Interface{
		Name: qg, Up: true, IPv6: true, Forwarding: true,
		Addrs: []dataplane.InterfaceAddr{
			{Prefix: prefix("2001:db8::2/64")},
			{Prefix: prefix("fe80::2/64")},
		},
	}
	if change != nil {
		change(&i)
	}
	return []dataplane.Interface{i}
}

func proxied(texts ...string) func(*inventory.Entry) {
	return func(e *inventory.Entry) {
		e.Proxies = nil
		for _, s := range texts {
			e.Proxies = append(e.Proxies, inventory.Proxy{ID: "p-" + s, RouterID: "r1", Addr: addr(s)})
		}
	}
}

func TestGoldens(t *testing.T) {
	for name, c := range map[string]struct {
		entries    []inventory.Entry
		interfaces []dataplane.Interface
	}{
		"legacy": {legacy(nil), device(nil)},
		"open":   {legacy(func(e *inventory.Entry) { e.Router.Open = true }), device(nil)},
		"open-beside-one-that-is-not": {
			append(legacy(func(e *inventory.Entry) { e.Router.ID, e.Router.Open, e.Proxies = "r0", true, nil }), legacy(nil)...), device(nil),
		},
		"nothing-published": {legacy(proxied()), device(nil)},
		"disabled":          {legacy(func(e *inventory.Entry) { e.Router.Enabled = false }), device(nil)},
		"no-gateway":        {legacy(func(e *inventory.Entry) { e.Router.External = nil }), device(nil)},
		"no-device-yet":     {legacy(nil), nil},
		"device-down":       {legacy(nil), device(func(i *dataplane.Interface) { i.Up = false })},
		"no-ipv6":           {legacy(nil), device(func(i *dataplane.Interface) { i.IPv6 = false })},
		"forwarding-off":    {legacy(nil), device(func(i *dataplane.Interface) { i.Forwarding = false })},
		"standby":           {legacy(nil), device(func(i *dataplane.Interface) { i.Addrs = nil })},
		"no-link-local":     {legacy(nil), device(func(i *dataplane.Interface) { i.Addrs = i.Addrs[:1] })},
		"standby-expects-its-link-local": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs, i.MAC = nil, net.HardwareAddr{0xfa, 0x16, 0x3e, 0x01, 0x02, 0x03}
		})},
		"link-local-not-of-the-mac": {legacy(nil), device(func(i *dataplane.Interface) {
			i.MAC = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x01, 0x02, 0x03}
		})},
		"link-local-tentative": {legacy(nil), device(func(i *dataplane.Interface) { i.Addrs[1].Tentative = true })},
		"gateway-tentative":    {legacy(nil), device(func(i *dataplane.Interface) { i.Addrs[0].Tentative = true })},
		"gateway-tentative-again": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Tentative, i.ProxyNDP = true, true
		})},
		"gateway-duplicate": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Tentative, i.Addrs[0].DADFailed, i.ProxyNDP = true, true, true
		})},
		"gateway-moved": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Prefix, i.ProxyNDP = prefix("2001:db8::3/64"), true
		})},
		"gateway-moved-and-old-one-tentative": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Prefix, i.Addrs[0].Tentative, i.ProxyNDP = prefix("2001:db8::3/64"), true, true
		})},
		"gateway-moved-to-another-subnet": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Prefix, i.ProxyNDP = prefix("2001:db8:0:9::3/64"), true
		})},
		"gateway-moved-before-the-word": {legacy(nil), device(func(i *dataplane.Interface) {
			i.Addrs[0].Prefix = prefix("2001:db8::3/64")
		})},
		"gateway-link-local-only": {legacy(func(e *inventory.Entry) { e.Router.External[0].Addrs = nil }),
			device(func(i *dataplane.Interface) { i.Addrs = i.Addrs[1:] })},
		"gateway-ipv4-only": {legacy(func(e *inventory.Entry) { e.Router.External[0].Addrs = []netip.Addr{addr("192.0.2.2")} }),
			device(func(i *dataplane.Interface) {
				i.Addrs[0] = dataplane.InterfaceAddr{Prefix: prefix("192.0.2.2/24")}
			})},
		"both-without-scope": {legacy(func(e *inventory.Entry) {
			e.Router.Scope, e.Router.Subnets[0].Scope = "", ""
		}), device(nil)},
		"addresses-nobody-may-publish": {legacy(proxied("2001:db8:0:2::5", "2001:db8:9::5", "2001:db8:0:1::1", "2001:db8::2",
			"ff02::1", "fe80::5", "::", "::1", "::ffff:192.0.2.1", "192.0.2.1", "2001:db8:0:1::7")), device(nil)},
		"one-address-twice": {legacy(func(e *inventory.Entry) {
			e.Proxies = append(e.Proxies, inventory.Proxy{ID: "p3", RouterID: "r1", Addr: addr("2001:db8:0:1::5")})
		}), device(nil)},
		"two-routers-on-one-device": {append(legacy(nil), inventory.Entry{
			Router: inventory.Router{ID: "r2", Enabled: true, Scope: "scope",
				External: []inventory.Attachment{{Namespace: ns, Device: qg, Addrs: []netip.Addr{addr("2001:db8::2")}}},
				Subnets:  []inventory.Subnet{{Prefix: prefix("2001:db8:0:3::/64"), Scope: "scope"}}},
			Proxies: []inventory.Proxy{{ID: "p9", RouterID: "r2", Addr: addr("2001:db8:0:3::5")}},
		}), device(nil)},
		"attached-elsewhere-too": {legacy(func(e *inventory.Entry) {
			e.Router.External = append(e.Router.External, inventory.Attachment{Namespace: "other", Device: "fg-1"})
		}), device(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Namespace(ns, c.entries, seen(c.interfaces, nil), plan.Options{ProxyDelay: 0})
			golden(t, name, text(p))
		})
	}
}

// seen is a namespace in which nothing is ours.
func seen(interfaces []dataplane.Interface, peers plan.Peers) plan.Seen {
	return plan.Seen{Observation: dataplane.Observation{Interfaces: interfaces}, Peers: peers}
}

func text(p plan.Plan) string {
	var b strings.Builder
	b.WriteString(p.State.String())
	for _, d := range p.State.Devices {
		if why := p.Standby[d.Name]; why != "" {
			b.WriteString("standby " + why + "\n")
		}
	}
	for _, r := range p.Rejected {
		b.WriteString("rejected " + r.Proxy.Addr.String() + ": " + r.Reason + "\n")
	}
	for _, r := range p.Waiting {
		b.WriteString("waiting " + r.Proxy.Addr.String() + ": " + r.Reason + "\n")
	}
	if p.Unplaced > 0 {
		fmt.Fprintf(&b, "unplaced %d, standing %d\n", p.Unplaced, p.Standing)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("plan:\n%s\nwant:\n%s", got, want)
	}
}

// Law 8, for any input: what is published lies in an internal subnet of the
// gateway's scope, and every internal subnet is guarded.
func TestNothingIsPublishedByAccident(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.SampledFrom([]string{"", "a", "b"})
		subnet := rapid.Custom(func(t *rapid.T) inventory.Subnet {
			base := rapid.SampledFrom([]string{"2001:db8::", "2001:db8:0:1::", "2001:db8:0:1:8000::", "fd00::"}).Draw(t, "base")
			return inventory.Subnet{Prefix: netip.PrefixFrom(addr(base), rapid.IntRange(48, 112).Draw(t, "bits")), Scope: scope.Draw(t, "scope")}
		})
		e := inventory.Entry{Router: inventory.Router{
			ID: "r", Enabled: rapid.Bool().Draw(t, "enabled"), Scope: scope.Draw(t, "gateway scope"),
			External: []inventory.Attachment{{Namespace: ns, Device: qg}},
			Subnets:  rapid.SliceOfN(subnet, 0, 4).Draw(t, "subnets"),
		}}
		for _, s := range rapid.SliceOfN(subnet, 0, 1).Draw(t, "outside") {
			e.Router.Outside = append(e.Router.Outside, s.Prefix.Masked())
		}
		for _, raw := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 16, 16), 0, 8).Draw(t, "addresses") {
			a, _ := netip.AddrFromSlice(raw)
			if rapid.Bool().Draw(t, "near") && len(e.Router.Subnets) > 0 {
				a = e.Router.Subnets[0].Prefix.Addr().Next()
			}
			e.Proxies = append(e.Proxies, inventory.Proxy{ID: a.String(), RouterID: "r", Addr: a})
		}
		p := plan.Namespace(ns, []inventory.Entry{e}, seen(device(nil), nil), plan.Options{ProxyDelay: time.Second})
		if !e.Router.Enabled && len(p.State.Devices) > 0 {
			t.Fatalf("a router that is off has %v", p.State)
		}
		for _, d := range p.State.Devices {
			for _, a := range d.Published {
				ok := false
				for _, s := range e.Router.Subnets {
					ok = ok || s.Scope == e.Router.Scope && s.Prefix.Contains(a)
				}
				if !ok {
					t.Fatalf("%s is published on\n%v", a, p.State)
				}
				for _, o := range e.Router.Outside {
					if o.Contains(a) {
						t.Fatalf("%s, which is outside, is published on\n%v", a, p.State)
					}
				}
			}
			want := map[netip.Prefix]bool{}
			for _, s := range e.Router.Subnets {
				want[s.Prefix.Masked()] = true
			}
			got := map[netip.Prefix]bool{}
			for _, g := range d.Guarded {
				got[g] = true
			}
			if !maps.Equal(got, want) {
				t.Fatalf("guarded %v, want %v", got, want)
			}
		}
	})
}
