package inventory_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/agent/inventory"
)

type notes struct{ got [][]string }

func (n *notes) notify(ns []string) { n.got = append(n.got, ns) }

func (n *notes) take() []string {
	var all []string
	for _, g := range n.got {
		all = append(all, g...)
	}
	n.got = nil
	slices.Sort(all)
	return slices.Compact(all)
}

func router(id string, spaces ...string) inventory.Router {
	r := inventory.Router{ID: id, Enabled: true}
	for _, ns := range spaces {
		r.External = append(r.External, inventory.Attachment{Namespace: ns, Device: "qg-" + id})
	}
	return r
}

func proxy(id, routerID string, host int) inventory.Proxy {
	return inventory.Proxy{ID: id, RouterID: routerID, Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", host))}
}

func proxies(t *testing.T, inv *inventory.Inventory, id string) []string {
	t.Helper()
	e, ok := inv.Router(id)
	if !ok {
		t.Fatalf("router %s is not known", id)
	}
	var out []string
	for _, p := range e.Proxies {
		out = append(out, p.ID)
	}
	return out
}

func TestReplaceTellsWhatChanged(t *testing.T) {
	n := &notes{}
	inv := inventory.New(n.notify)
	if inv.Synced() {
		t.Fatal("in sync before the source said anything")
	}
	both := inventory.Snapshot{
		Routers: []inventory.Router{router("a", "ns-a"), router("b", "ns-b")},
		Proxies: []inventory.Proxy{proxy("p", "a", 1), proxy("foreign", "elsewhere", 9)},
	}
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"first", func() { inv.Replace(both) }, []string{"ns-a", "ns-b"}},
		{"the same again", func() { inv.Replace(both) }, nil},
		{"a moves to another namespace", func() {
			s := both
			s.Routers = []inventory.Router{router("a", "ns-c"), router("b", "ns-b")}
			inv.Replace(s)
		}, []string{"ns-a", "ns-c"}},
		{"b goes", func() {
			s := both
			s.Routers = []inventory.Router{router("a", "ns-c")}
			inv.Replace(s)
		}, []string{"ns-b"}},
		{"a proxy comes by push", func() { inv.SetProxy(proxy("q", "a", 2)) }, []string{"ns-c"}},
		{"and again", func() { inv.SetProxy(proxy("q", "a", 2)) }, nil},
		{"one of a router elsewhere", func() { inv.SetProxy(proxy("r", "elsewhere", 3)) }, nil},
		{"one goes by push", func() { inv.RemoveProxy(proxy("p", "a", 1)) }, []string{"ns-c"}},
		{"the audit misses q", func() { inv.ReplaceProxies([]string{"a"}, inventory.Snapshot{}) }, []string{"ns-c"}},
		{"only a is asked for, and gone", func() { inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{}) }, []string{"ns-c"}},
	}
	for _, s := range steps {
		s.do()
		if diff := cmp.Diff(s.want, n.take()); diff != "" {
			t.Errorf("%s: namespaces to look at (-want +got):\n%s", s.name, diff)
		}
	}
	if got := inv.Namespaces(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
}

func TestAnEmptyFirstSyncIsStillASync(t *testing.T) {
	n := &notes{}
	inv := inventory.New(n.notify)
	inv.Replace(inventory.Snapshot{})
	if !inv.Synced() || len(n.got) == 0 {
		t.Fatalf("synced %v, notified %v: nobody learns that there is nothing", inv.Synced(), n.got)
	}
}

// A pull may have read the database before a push and answer after it.
func TestAPushDuringAPullWins(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "ns")}, Proxies: []inventory.Proxy{proxy("old", "a", 1)}})
	inv.BeginPull()
	inv.SetProxy(proxy("new", "a", 2))
	inv.RemoveProxy(proxy("old", "a", 1))
	inv.ReplaceProxies([]string{"a"}, inventory.Snapshot{Proxies: []inventory.Proxy{proxy("old", "a", 1)}})
	if overtaken := inv.EndPull(); overtaken {
		t.Error("overtaken by two pushes")
	}
	if diff := cmp.Diff([]string{"new"}, proxies(t, inv, "a")); diff != "" {
		t.Errorf("proxies (-want +got):\n%s", diff)
	}
}

// A router may be asked for while the first push of a proxy of it passes.
func TestAPushForARouterThatIsBeingLearned(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{})
	inv.BeginPull()
	if inv.SetProxy(proxy("p", "a", 1)) {
		t.Error("taken for local before the router is known")
	}
	inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Routers: []inventory.Router{router("a", "ns")}})
	inv.EndPull()
	if diff := cmp.Diff([]string{"p"}, proxies(t, inv, "a")); diff != "" {
		t.Errorf("proxies (-want +got):\n%s", diff)
	}
}

func TestWhatCouldNotBeReadStays(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{
		Routers: []inventory.Router{router("a", "ns-a"), router("b", "ns-b")},
		Proxies: []inventory.Proxy{proxy("p", "a", 1), proxy("q", "a", 2), proxy("r", "b", 3)},
	})
	inv.Replace(inventory.Snapshot{
		Routers:     []inventory.Router{router("a", "ns-a")},
		Held:        map[string][]string{"b": {"ns-b"}, "unknown": {"ns-unknown"}},
		KeepProxies: []string{"p"},
	})
	if diff := cmp.Diff([]string{"p"}, proxies(t, inv, "a")); diff != "" {
		t.Errorf("proxies of a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"r"}, proxies(t, inv, "b")); diff != "" {
		t.Errorf("proxies of b (-want +got):\n%s", diff)
	}
	if inv.Unread("ns-b") || !inv.Unread("ns-unknown") {
		t.Error("a router that was known counts with what was known of it; one that was not is unread")
	}
	if _, held := inv.Namespace("ns-unknown"); !held {
		t.Error("the namespace of a router that could not be read may be swept")
	}
	inv.Replace(inventory.Snapshot{
		Routers: []inventory.Router{router("a", "ns-a"), router("b", "ns-b")},
		Held:    map[string][]string{"unknown": {"ns-unknown", "fip-"}}, KeepAllProxies: true,
	})
	if _, held := inv.Namespace("fip-1"); !held {
		t.Error("a shared namespace that may be of a router that could not be read may be swept")
	}
	if _, held := inv.Namespace("ns-unknown-too"); held {
		t.Error("a name is taken for a prefix")
	}
	inv.ReplaceProxies([]string{"b"}, inventory.Snapshot{KeepProxiesOf: []string{"b"}})
	if diff := cmp.Diff([]string{"r"}, proxies(t, inv, "b")); diff != "" {
		t.Errorf("proxies of b after an answer with a nameless object of it (-want +got):\n%s", diff)
	}
	inv.ReplaceProxies([]string{"a"}, inventory.Snapshot{KeepAllProxies: true, Proxies: []inventory.Proxy{proxy("new", "a", 7)}})
	if diff := cmp.Diff([]string{"p", "new"}, proxies(t, inv, "a")); diff != "" {
		t.Errorf("proxies of a after an answer with a nameless object (-want +got):\n%s", diff)
	}
}

// Once a router can be read, or is known to be gone, nothing of it is held.
func TestHoldingEnds(t *testing.T) {
	held := inventory.Snapshot{
		Routers: []inventory.Router{router("b", "ns-y1"), router("c", "ns-z")},
		Held:    map[string][]string{"a": {"ns-a", "ns-x", "ns-"}},
	}
	for name, end := range map[string]func(*inventory.Inventory){
		"well again": func(inv *inventory.Inventory) {
			inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Routers: []inventory.Router{router("a", "ns-a")}})
		},
		"gone":            func(inv *inventory.Inventory) { inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{}) },
		"not in the list": func(inv *inventory.Inventory) { inv.Replace(inventory.Snapshot{Routers: held.Routers}) },
	} {
		n := &notes{}
		inv := inventory.New(n.notify)
		inv.Replace(held)
		for _, ns := range []string{"ns-a", "ns-y1", "ns-of-nobody"} {
			if !inv.Unread(ns) {
				t.Fatalf("%s: %s not held to begin with", name, ns)
			}
		}
		n.take()
		end(inv)
		if inv.Unread("ns-a") || inv.Unread("ns-y1") {
			t.Errorf("%s: still held", name)
		}
		got := n.take()
		for _, ns := range []string{"ns-a", "ns-x", "ns-y1"} { // the last one is named by the prefix only
			if !slices.Contains(got, ns) {
				t.Errorf("%s: nobody looks at %s, which was held: %v", name, ns, got)
			}
		}
	}
}

// A router that was read before counts with what it was: it holds nothing, neither its own namespaces nor those of a prefix.
func TestAKnownRouterHoldsNothing(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "ns-a")}})
	inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Held: map[string][]string{"a": {"ns-a", "ns-other", "fip-"}}})
	if diff := cmp.Diff([]string{"a"}, inv.HeldIDs()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	for _, ns := range []string{"ns-a", "ns-other", "fip-net"} {
		if entries, held := inv.Namespace(ns); held || inv.Unread(ns) || len(entries) > 0 != (ns == "ns-a") {
			t.Errorf("%s: held %v, %d routers", ns, held, len(entries))
		}
	}
}

// Before the first sync a namespace that routers share may have others in it
// than those that are known; a router's own has not.
func TestASharedNamespaceBeforeTheSync(t *testing.T) {
	inv := inventory.New(func([]string) {})
	some := inventory.Snapshot{Routers: []inventory.Router{distributed("a", "fip"), router("b", "qrouter-b")}}
	inv.ReplaceRouters([]string{"a", "b"}, some)
	if v := inv.View("fip"); !v.Unread || v.Synced || len(v.Entries) != 1 {
		t.Errorf("shared, before the sync: %+v", v)
	}
	if v := inv.View("qrouter-b"); v.Unread || len(v.Entries) != 1 {
		t.Errorf("a router's own, before the sync: %+v", v)
	}
	inv.Replace(some)
	if v := inv.View("fip"); v.Unread || !v.Synced {
		t.Errorf("shared, after the sync: %+v", v)
	}
}

func TestAwaited(t *testing.T) {
	told := 0
	inv := inventory.New(func([]string) { told++ })
	off := inventory.Router{ID: "off", Awaits: "a device"}
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{off, router("a", "ns")}})
	told = 0
	inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Routers: []inventory.Router{{ID: "a", Enabled: true, Awaits: "its device"}}})
	inv.ReplaceRouters([]string{"b"}, inventory.Snapshot{Routers: []inventory.Router{{ID: "b", Enabled: true, Awaits: "its device"}}})
	if told != 2 {
		t.Errorf("told of %d changes, want 2", told)
	}
	if diff := cmp.Diff(map[string]string{"a": "its device", "b": "its device"}, inv.Awaited()); diff != "" {
		t.Errorf("awaited (-want +got):\n%s", diff)
	}
}

// A node of the database may answer with what was true a moment before the push.
func TestAPushJustBeforeAPullWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := inventory.New(func([]string) {})
		inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "ns")}})
		pull := func() {
			inv.BeginPull()
			inv.ReplaceProxies([]string{"a"}, inventory.Snapshot{})
			inv.EndPull()
		}
		inv.SetProxy(proxy("p", "a", 1))
		time.Sleep(time.Second)
		pull()
		if diff := cmp.Diff([]string{"p"}, proxies(t, inv, "a")); diff != "" {
			t.Errorf("a second after the push (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Second)
		pull()
		if got := proxies(t, inv, "a"); got != nil {
			t.Errorf("three seconds after the push the answer must stand: %v", got)
		}
	})
}

// Two servers push in another order than they wrote: what was deleted does not
// come back, since no id is used twice.
func TestADeletionWinsOverALateCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := inventory.New(func([]string) {})
		inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "ns")}})
		want := func(what string, ids ...string) {
			t.Helper()
			if diff := cmp.Diff(ids, proxies(t, inv, "a")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		inv.RemoveProxy(proxy("p", "a", 1))
		time.Sleep(time.Second)
		inv.SetProxy(proxy("p", "a", 1))
		want("created a second after it was deleted")
		inv.SetProxy(proxy("q", "a", 1))
		want("another", "q")
		inv.BeginPull()
		inv.RemoveProxy(proxy("q", "a", 1))
		time.Sleep(time.Minute)
		inv.SetProxy(proxy("q", "a", 1))
		inv.ReplaceProxies([]string{"a"}, inventory.Snapshot{Proxies: []inventory.Proxy{proxy("q", "a", 1)}})
		inv.EndPull()
		want("deleted during a pull")
		inv.SetProxy(proxy("p", "a", 1))
		want("long after", "p")
		inv.RemoveProxy(proxy("p", "a", 1))
		inv.ForgetPushes()
		inv.SetProxy(proxy("p", "a", 1))
		want("on a new subscription", "p")
	})
}

// However the same facts arrive, the inventory ends the same, and every
// namespace whose content changed was named.
func TestAnyOrderEndsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dirty := map[string]bool{}
		inv := inventory.New(func(ns []string) {
			for _, n := range ns {
				dirty[n] = true
			}
		})
		ids := []string{"a", "b", "c"}
		seen := map[string]string{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := rapid.SampledFrom(ids).Draw(t, "router")
			p := proxy(rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "proxy"), id, rapid.IntRange(1, 3).Draw(t, "address"))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				inv.SetProxy(p)
			case 1:
				inv.RemoveProxy(p)
			case 2:
				inv.ReplaceRouters([]string{id}, inventory.Snapshot{Routers: []inventory.Router{router(id, "ns-"+rapid.SampledFrom(ids).Draw(t, "ns"))}, Proxies: []inventory.Proxy{p}})
			case 3:
				inv.ReplaceRouters([]string{id}, inventory.Snapshot{})
			case 4:
				inv.ReplaceProxies([]string{id}, inventory.Snapshot{Proxies: []inventory.Proxy{p}})
			}
			for _, ns := range []string{"ns-a", "ns-b", "ns-c"} {
				entries, _ := inv.Namespace(ns)
				now := fmt.Sprint(entries)
				if now != seen[ns] && !dirty[ns] && !(seen[ns] == "" && len(entries) == 0) {
					t.Fatalf("%s changed from %s to %s unsaid", ns, seen[ns], now)
				}
				seen[ns] = now
			}
			clear(dirty)
		}
		final := inventory.Snapshot{Routers: []inventory.Router{router("a", "ns-a")}, Proxies: []inventory.Proxy{proxy("p", "a", 1)}}
		inv.Replace(final)
		if got := fmt.Sprint(inv.Namespaces(), inv.RouterIDs(), inv.Counts()); got != "[ns-a] [a] {1 1 1 0 0 0}" {
			t.Fatalf("ended as %s", got)
		}
	})
}

func TestNames(t *testing.T) {
	if got := inventory.DeviceName("qg-", "1b796465-2eaf-4049-960c-6a9b4c1d7be9"); got != "qg-1b796465-2e" {
		t.Errorf("device name %q", got)
	}
	for name, want := range map[string]bool{
		"qrouter-1596edf1-d27f-4b01-a7ae-9f10b3ab9c16": true,
		"snat-1596edf1-d27f-4b01-a7ae-9f10b3ab9c16":    true,
		"fip-1596edf1-d27f-4b01-a7ae-9f10b3ab9c16":     true,
		"qdhcp-1596edf1-d27f-4b01-a7ae-9f10b3ab9c16":   false,
		"qrouter-demo": false,
		"x-qrouter-1596edf1-d27f-4b01-a7ae-9f10b3ab9c16": false,
	} {
		if got := inventory.NeutronNamespace(name); got != want {
			t.Errorf("NeutronNamespace(%q) = %v", name, got)
		}
	}
}

// The time of the last full answer is of that, and not of what is asked in between.
func TestSyncedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := inventory.New(func([]string) {})
		inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{Routers: []inventory.Router{router("a", "x")}})
		if at := inv.SyncedAt(); !at.IsZero() {
			t.Errorf("%v before it was in sync", at)
		}
		for range 2 {
			time.Sleep(time.Hour)
			inv.Replace(inventory.Snapshot{})
			first := time.Now()
			time.Sleep(time.Minute)
			inv.ReplaceRouters([]string{"a"}, inventory.Snapshot{})
			if at := inv.SyncedAt(); !at.Equal(first) {
				t.Errorf("%v, want %v", at, first)
			}
		}
	})
}
