package inventory_test

import (
	"net/netip"
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// An address is found by its proxy, by the router's own addresses and by the subnet
// that it is in, and with no other proxy.
func TestFind(t *testing.T) {
	i := inventory.New(func([]string) {})
	subnet := netip.MustParsePrefix("2001:db8:1::/64")
	published, sibling := netip.MustParseAddr("2001:db8:1::5"), netip.MustParseAddr("2001:db8:1::6")
	outside := netip.MustParseAddr("2001:db8:2::5")
	gateway := netip.MustParseAddr("2001:db8::2")
	i.Replace(inventory.Snapshot{
		Routers: []inventory.Router{
			{ID: "b", External: []inventory.Attachment{{Namespace: "fip-1", Device: "fg-1", Serves: inventory.Here}}, Subnets: []inventory.Subnet{{Prefix: subnet}}},
			{ID: "a", External: []inventory.Attachment{{Namespace: "qrouter-a", Device: "qg-a", Addrs: []netip.Addr{gateway}}}},
			{ID: "c", External: []inventory.Attachment{{Namespace: "qrouter-c", Device: "qg-c"}}},
		},
		Proxies: []inventory.Proxy{
			{ID: "2", RouterID: "b", PortID: "p2", Addr: published}, {ID: "1", RouterID: "b", PortID: "p1", Addr: published},
			{ID: "3", RouterID: "b", PortID: "p3", Addr: sibling}, {ID: "4", RouterID: "c", PortID: "p4", Addr: outside},
		},
		Ports: []inventory.Port{{ID: "p1", Place: inventory.Here}, {ID: "p3", Place: inventory.Elsewhere}},
	})
	for addr, want := range map[netip.Addr]string{published: "b: 1 2", sibling: "b: 3", outside: "c: 4", gateway: "a:", subnet.Addr(): "b:", netip.MustParseAddr("2001:db8:9::1"): ""} {
		got := ""
		for _, e := range i.Find(addr) {
			got += e.Router.ID + ":"
			for _, p := range e.Proxies {
				got += " " + p.ID
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if e := i.Find(published)[0]; len(e.Places) != 1 || e.Places["p1"] != inventory.Here {
		t.Errorf("places %v", e.Places)
	}
	if e := i.Find(outside)[0]; e.Places != nil {
		t.Errorf("places of a router that serves all: %v", e.Places)
	}
}
