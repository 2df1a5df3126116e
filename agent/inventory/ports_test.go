package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// distributed is a router that serves what is here from a shared namespace.
func distributed(id, fip string) inventory.Router {
	return inventory.Router{ID: id, Enabled: true, External: []inventory.Attachment{{
		Namespace: fip, Device: "fg-x", Serves: inventory.Here,
		Inner: &inventory.Inner{Device: "fpr-" + id, PeerNamespace: "qrouter-" + id, PeerDevice: "rfp-" + id},
	}}}
}

func proxyOf(id, routerID, port string) inventory.Proxy {
	p := proxy(id, routerID, 1)
	p.PortID = port
	return p
}

func places(t *testing.T, inv *inventory.Inventory, router string) map[string]inventory.Place {
	t.Helper()
	e, ok := inv.Router(router)
	if !ok {
		t.Fatalf("router %s is not known", router)
	}
	return e.Places
}

func TestPlacesOfPorts(t *testing.T) {
	n := &notes{}
	inv := inventory.New(n.notify)
	inv.Replace(inventory.Snapshot{
		Routers: []inventory.Router{distributed("a", "fip"), distributed("b", "fip-b"), router("legacy", "qrouter-legacy")},
		Proxies: []inventory.Proxy{proxyOf("p", "a", "here"), proxyOf("q", "a", "new"), proxyOf("r", "b", "here"), proxyOf("s", "legacy", "old")},
		Ports:   []inventory.Port{{ID: "here", Place: inventory.Here}, {ID: "nobody's", Place: inventory.Here}, {ID: "old", Place: inventory.Here}},
	})
	n.take()
	if diff := cmp.Diff([]string{"here", "new"}, inv.PortIDs()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"new"}, inv.UnknownPorts()); diff != "" {
		t.Errorf("unknown ports (-want +got):\n%s", diff)
	}
	if !inv.UnknownPort("new") || inv.UnknownPort("here") || inv.UnknownPort("old") {
		t.Error("UnknownPort does not agree with that")
	}
	if diff := cmp.Diff([]string{"here", "new"}, inv.PortsOf([]string{"a", "legacy", "nobody"})); diff != "" {
		t.Errorf("ports of some routers (-want +got):\n%s", diff)
	}
	for id, want := range map[string]bool{"here": true, "new": true, "nobody's": false, "old": false} {
		if got := inv.WantsPort(id); got != want {
			t.Errorf("WantsPort(%s) = %v", id, got)
		}
	}
	if diff := cmp.Diff(map[string]inventory.Place{"here": inventory.Here}, places(t, inv, "a")); diff != "" {
		t.Errorf("places of a (-want +got):\n%s", diff)
	}
	if got := places(t, inv, "legacy"); got != nil {
		t.Errorf("places of a router that serves them all: %v", got)
	}
	if diff := cmp.Diff([]string{"a", "b"}, inv.PortRouters("here")); diff != "" {
		t.Errorf("routers of the port (-want +got):\n%s", diff)
	}

	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"the port moves away", func() { inv.SetPort(inventory.Port{ID: "here", Place: inventory.Elsewhere}) }, []string{"fip", "fip-b"}},
		{"told again", func() { inv.SetPort(inventory.Port{ID: "here", Place: inventory.Elsewhere}) }, nil},
		{"nobody's port", func() { inv.SetPort(inventory.Port{ID: "old", Place: inventory.Elsewhere}) }, nil},
		{"several are told", func() {
			inv.SetPorts([]inventory.Port{{ID: "here", Place: inventory.Elsewhere}, {ID: "new", Place: inventory.Elsewhere}, {ID: "old", Place: inventory.Here}})
		}, []string{"fip"}},
		{"nobody knows any more", func() { inv.SetPort(inventory.Port{ID: "new"}) }, []string{"fip"}},
		{"it comes here", func() { inv.SetPorts([]inventory.Port{{ID: "new", Place: inventory.Here}}) }, []string{"fip"}},
		{"its proxy goes", func() { inv.RemoveProxy(proxyOf("q", "a", "new")) }, []string{"fip"}},
	}
	for _, s := range steps {
		s.do()
		if diff := cmp.Diff(s.want, n.take()); diff != "" {
			t.Errorf("%s: namespaces to look at (-want +got):\n%s", s.name, diff)
		}
	}
	if inv.WantsPort("new") || len(inv.UnknownPorts()) != 0 {
		t.Errorf("left of the port without a proxy: %v %v", inv.WantsPort("new"), inv.UnknownPorts())
	}
}

// A router that is told anew, or differently, has its ports where they were.
func TestAPlaceSurvivesItsRoutersUpdate(t *testing.T) {
	inv := inventory.New(func([]string) {})
	all := inventory.Snapshot{Routers: []inventory.Router{distributed("a", "fip")}, Proxies: []inventory.Proxy{proxyOf("p", "a", "x")}}
	inv.Replace(all)
	inv.SetPort(inventory.Port{ID: "x", Place: inventory.Here})
	want := map[string]inventory.Place{"x": inventory.Here}
	changed := all
	changed.Routers = []inventory.Router{distributed("a", "fip-other")}
	changed.Routers[0].Name = "renamed"
	waiting := all
	waiting.Routers = []inventory.Router{{ID: "a", Enabled: true, Awaits: "the agent gateway port"}}
	swapped := all
	swapped.Proxies = []inventory.Proxy{proxyOf("other", "a", "x")}
	for name, do := range map[string]func(){
		"the same":            func() { inv.Replace(all) },
		"changed":             func() { inv.ReplaceRouters([]string{"a"}, changed) },
		"waiting":             func() { inv.ReplaceRouters([]string{"a"}, waiting) },
		"the proxy is pushed": func() { p := proxyOf("p", "a", "x"); p.Addr = p.Addr.Next(); inv.SetProxy(p) },
	} {
		do()
		if diff := cmp.Diff(want, places(t, inv, "a")); diff != "" {
			t.Errorf("%s: places (-want +got):\n%s", name, diff)
		}
	}
	inv.ReplaceProxies([]string{"a"}, swapped)
	if diff := cmp.Diff(want, places(t, inv, "a")); diff != "" {
		t.Errorf("another proxy of the port: places (-want +got):\n%s", diff)
	}
	inv.Replace(inventory.Snapshot{})
	if got := inv.PortIDs(); len(got) != 0 {
		t.Errorf("ports left: %v", got)
	}
}

// What waits for an attachment is worth a question only if something of it
// would be published there.
func TestAwaits(t *testing.T) {
	inv := inventory.New(func([]string) {})
	waiting := inventory.Router{ID: "w", Enabled: true, Awaits: "the agent gateway port"}
	off := inventory.Router{ID: "off", Awaits: "the agent gateway port"}
	inv.Replace(inventory.Snapshot{
		Routers: []inventory.Router{distributed("a", "fip"), waiting, off},
		Proxies: []inventory.Proxy{proxyOf("1", "a", "x"), proxyOf("2", "w", "x"), proxyOf("3", "w", "y"), proxyOf("4", "off", "x")},
		Ports:   []inventory.Port{{ID: "x", Place: inventory.Here}},
	})
	check := func(id string, awaits, here bool) {
		t.Helper()
		if a, h := inv.Awaits(id); a != awaits || h != here {
			t.Errorf("%s: awaits %v, here %v", id, a, h)
		}
	}
	check("a", false, false)
	check("nobody", false, false)
	check("w", true, true)
	check("off", true, false)
	inv.SetPort(inventory.Port{ID: "x", Place: inventory.Elsewhere})
	check("w", true, false)
}

func TestDependents(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{distributed("a", "fip"), distributed("b", "fip"), router("a-too", "qrouter-a")}})
	if diff := cmp.Diff([]string{"fip"}, inv.Dependents("qrouter-a")); diff != "" {
		t.Errorf("dependents (-want +got):\n%s", diff)
	}
	inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Routers: []inventory.Router{distributed("a", "fip-2")}})
	if diff := cmp.Diff([]string{"fip-2"}, inv.Dependents("qrouter-a")); diff != "" {
		t.Errorf("dependents after a change of network (-want +got):\n%s", diff)
	}
	inv.Replace(inventory.Snapshot{})
	if got := inv.Dependents("qrouter-a"); len(got) != 0 {
		t.Errorf("dependents of nobody: %v", got)
	}
}

func TestCountsByPlace(t *testing.T) {
	inv := inventory.New(func([]string) {})
	waiting := inventory.Router{ID: "w", Enabled: true, Awaits: "its device"}
	off := distributed("off", "fip")
	off.Enabled = false
	inv.Replace(inventory.Snapshot{
		Routers: []inventory.Router{distributed("a", "fip"), waiting, off, router("gone"), {ID: "remote", Enabled: true, Remote: true}},
		Proxies: []inventory.Proxy{
			proxyOf("1", "a", "here"), proxyOf("2", "a", "edge"), proxyOf("3", "a", "else"), proxyOf("4", "a", "unknown"),
			proxyOf("5", "w", "here"), proxyOf("6", "w", "else"), proxyOf("7", "off", "here"), proxyOf("8", "gone", "x"),
			proxyOf("9", "remote", "y"),
		},
		Ports: []inventory.Port{{ID: "here", Place: inventory.Here}, {ID: "edge", Place: inventory.Edge}, {ID: "else", Place: inventory.Elsewhere}},
	})
	want := inventory.Counts{Routers: 5, Enabled: 4, Proxies: 9, Disabled: 1, Elsewhere: 4, Unserved: 3}
	if diff := cmp.Diff(want, inv.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// The ports that matter are those of the proxies of routers that serve by
// place, whatever happened before, and a known place is lost with them only.
func TestPortsFollowProxies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv := inventory.New(func([]string) {})
		told := map[string]inventory.Place{}
		ids, ports := []string{"a", "b"}, []string{"x", "y", "z"}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := rapid.SampledFrom(ids).Draw(t, "router")
			p := proxyOf(rapid.SampledFrom([]string{"p", "q"}).Draw(t, "proxy"), id, rapid.SampledFrom(ports).Draw(t, "port"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				inv.SetProxy(p)
			case 1:
				inv.RemoveProxy(p)
			case 2:
				inv.ReplaceRouters([]string{id}, inventory.Snapshot{Routers: []inventory.Router{distributed(id, "fip-"+p.PortID)}, Proxies: []inventory.Proxy{p}})
			case 3:
				inv.ReplaceRouters([]string{id}, inventory.Snapshot{Routers: []inventory.Router{router(id, "ns")}, Proxies: []inventory.Proxy{p}})
			case 4:
				inv.ReplaceRouters([]string{id}, inventory.Snapshot{})
			case 5:
				place := rapid.SampledFrom([]inventory.Place{inventory.Here, inventory.Elsewhere}).Draw(t, "place")
				if inv.SetPort(inventory.Port{ID: p.PortID, Place: place}) {
					told[p.PortID] = place
				}
			}
			want := map[string]bool{}
			for _, id := range inv.RouterIDs() {
				e, _ := inv.Router(id)
				for _, p := range e.Proxies {
					if e.Router.ByPlace() {
						want[p.PortID] = true
					}
				}
			}
			for _, id := range ports {
				if inv.WantsPort(id) != want[id] {
					t.Fatalf("WantsPort(%s) = %v", id, !want[id])
				}
				if !want[id] {
					delete(told, id)
				}
				_, known := told[id]
				if unknown := slices.Contains(inv.UnknownPorts(), id); unknown != (want[id] && !known) {
					t.Fatalf("port %s: unknown %v, wanted %v, told %v", id, unknown, want[id], known)
				}
			}
			if got, want := fmt.Sprint(len(inv.PortIDs())), fmt.Sprint(len(want)); got != want {
				t.Fatalf("%s ports, want %s", got, want)
			}
		}
	})
}
