package agent_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// What a look would do is told, for each thing that somebody changed, and a comparison
// writes nothing.
func TestCompare(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	d.stop() // nobody repairs
	compare := func(name string, want ...string) {
		t.Helper()
		for range 2 {
			got, err := d.Compare(t.Context(), "router")
			if err != nil || len(got.Notes) > 0 || got.Absent || got.Nobodys || cmp.Diff([]string{"r1"}, got.Routers) != "" {
				t.Errorf("%s: %+v %v", name, got, err)
			}
			if diff := cmp.Diff(want, got.Lines); diff != "" {
				t.Errorf("%s: -want +got\n%s", name, diff)
			}
		}
	}
	ll := p.Router.LinkLocal(nettest.External).String()
	line := func(sign, answer, linkLocal, delay string) string {
		return sign + "device qg-1 answer " + answer + " link-local " + linkLocal + " proxy-delay " + delay
	}
	compare("converged")
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	compare("an entry is deleted", line(" ", "on", ll, "0s"), "+  publish 2001:db8:0:2::10")
	p.Router.IP("-6", "neigh", "add", "proxy", p.InstanceAddr.String(), "dev", nettest.External, "proto", "110")
	compare("and made again")
	p.Router.IP("-6", "neigh", "add", "proxy", "2001:db8:0:2::77", "dev", nettest.External, "proto", "110")
	compare("one too many", line(" ", "on", ll, "0s"), "-  publish 2001:db8:0:2::77")
	p.Router.IP("-6", "neigh", "del", "proxy", "2001:db8:0:2::77", "dev", nettest.External)
	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "0")
	compare("a sysctl", line("-", "off", ll, "0s"), line("+", "on", ll, "0s"))
	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "1")
	p.Router.Sysctl("net/ipv6/neigh/"+nettest.External+"/proxy_delay", "50")
	compare("another", line("-", "on", ll, "500ms"), line("+", "on", ll, "0s"))
	p.Router.Sysctl("net/ipv6/neigh/"+nettest.External+"/proxy_delay", "0")
	p.Router.Run("nft", "add", "element", "ip6", dataplane.DefaultTable, "published-qg-1", "{ 2001:db8:0:2::99 }")
	compare("a hole in the filter", "!filter remake: set published-qg-1 has 2 elements, wrote 1", line(" ", "on", ll, "0s"), "-  publish 2001:db8:0:2::99")
	p.Router.Run("nft", "delete", "table", "ip6", dataplane.DefaultTable)
	compare("no table", line("-", "on", "none", "0s"), line("+", "on", ll, "0s"), "+  guard 2001:db8:0:2::/64", "+  publish 2001:db8:0:2::10")
}

// Whose a namespace is, and whether it is there.
func TestCompareOthers(t *testing.T) {
	p := nettest.NewTopology(t)
	first := world(p, p.InstanceAddr)
	first.Routers = append(first.Routers, inventory.Router{ID: "r2", External: []inventory.Attachment{
		{Namespace: "absent", Device: "qg-2", Addrs: []netip.Addr{p.GatewayAddr}}, {Namespace: "also-absent", Device: "qg-2"},
	}})
	when := make(chan struct{})
	d := start(t, p.Dir, first, settings{when: when, twice: true})
	before, err := d.Compare(t.Context(), "router")
	if err != nil || !before.Nobodys {
		t.Errorf("before the first sync: %+v %v", before, err)
	}
	if _, err := d.Select(t.Context(), agent.Selection{Router: "r1"}); !errors.Is(err, agent.ErrNotHere) {
		t.Errorf("before the first sync: %v", err)
	}
	close(when)
	d.awaitReady(t)
	for ns, want := range map[string]agent.Difference{
		"router": {Namespace: "router", Routers: []string{"r1"}}, "absent": {Namespace: "absent", Routers: []string{"r2"}, Absent: true},
		"upstream": {Namespace: "upstream", Nobodys: true}, "nowhere": {Namespace: "nowhere", Nobodys: true},
	} {
		got, err := d.Compare(t.Context(), ns)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v -want +got\n%s", ns, err, diff)
		}
	}
	for _, c := range []struct {
		s    agent.Selection
		want string
	}{
		{agent.Selection{}, "absent also-absent instance router upstream"}, {agent.Selection{Router: "r2"}, "absent also-absent"},
		{agent.Selection{Namespaces: []string{"x", "a", "x"}}, "a x"},
	} {
		if got, err := d.Select(t.Context(), c.s); err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v %v", c.s, got, err)
		}
	}
	// What is left of a router that went is told as what would go.
	d.stop()
	d.Inventory().Replace(inventory.Snapshot{})
	got, err := d.Compare(t.Context(), "router")
	if err != nil || len(got.Lines) != 3+1 || !strings.HasPrefix(got.Lines[0], "-device qg-1 answer on") || len(got.Routers) > 0 {
		t.Errorf("left over: %+v %v", got, err)
	}
}
