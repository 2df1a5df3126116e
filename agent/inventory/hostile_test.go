package inventory_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
)

func flooding(router string, n int) inventory.Proxy {
	return inventory.Proxy{
		ID: fmt.Sprintf("%036d", n), RouterID: router, PortID: fmt.Sprintf("%036d", n),
		Addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}),
	}
}

// A flood of proxies of one router is not kept, and keep nobody else's out; what
// was known before stays, can be changed and can go.
func TestFlood(t *testing.T) {
	const flood, most = 100_000, 64 << 20
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "x"), router("b", "x")},
		Proxies: []inventory.Proxy{proxy("old", "a", 1)}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	inv.BeginPull() // a pull that the whole flood falls into
	for n := range flood {
		inv.SetProxy(flooding("a", n))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > most {
		t.Errorf("%d MiB are used, want at most %d", used>>20, most>>20)
	} else {
		t.Logf("%d MiB", used>>20)
	}
	if n := inv.Counts().Proxies; n != inventory.MaxProxies || !inv.Full("a") {
		t.Errorf("%d proxies, full %v; want %d", n, inv.Full("a"), inventory.MaxProxies)
	}
	if !inv.EndPull() {
		t.Error("the pull was overtaken by more pushes than are remembered, and did not say so")
	}
	if inv.SetProxy(proxy("new", "b", 2)); len(proxies(t, inv, "b")) != 1 || inv.Full("b") {
		t.Errorf("the other router has %v", proxies(t, inv, "b"))
	}
	e, _ := inv.Router("a")
	if inv.SetProxy(proxy("old", "a", 3)); len(e.Proxies) != inventory.MaxProxies || e.Proxies[0].Addr.Compare(netip.MustParseAddr("2001:db8::")) < 0 {
		t.Error("an old proxy cannot be changed")
	}
	inv.RemoveProxy(proxy("old", "a", 3))
	if inv.Full("a") || inv.Counts().Proxies != inventory.MaxProxies {
		t.Errorf("%d proxies after one was deleted", inv.Counts().Proxies)
	}
	// The next answer counts, and ends it.
	inv.ForgetPushes()
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "x")}, Proxies: []inventory.Proxy{proxy("old", "a", 1)}})
	if n := inv.Counts().Proxies; n != 1 || inv.Full("a") {
		t.Errorf("%d proxies after the answer", n)
	}
}

// An id is a router's own: the same one with another address replaces the
// address, and the same one at another router is another proxy.
func TestDuplicateIDs(t *testing.T) {
	inv := inventory.New(func([]string) {})
	inv.Replace(inventory.Snapshot{Routers: []inventory.Router{router("a", "x"), router("b", "x")}})
	inv.SetProxy(proxy("p", "a", 1))
	inv.SetProxy(proxy("p", "a", 2))
	inv.SetProxy(proxy("p", "b", 1))
	inv.SetProxy(proxy("q", "a", 2)) // the same address under two ids
	for id, want := range map[string][]string{"a": {"p", "q"}, "b": {"p"}} {
		if got := proxies(t, inv, id); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("router %s has %v", id, got)
		}
	}
	inv.RemoveProxy(proxy("p", "a", 2))
	if e, _ := inv.Router("a"); len(e.Proxies) != 1 || e.Proxies[0].Addr != proxy("", "", 2).Addr {
		t.Errorf("router a has %v", e.Proxies)
	}
	if got := proxies(t, inv, "b"); len(got) != 1 {
		t.Errorf("router b has %v: the deletion of another one's took it", got)
	}
}

// The largest answers that the server can give (131,072 proxies each) are taken,
// cost memory in proportion, and leave no room for what is pushed.
func TestLargestAnswers(t *testing.T) {
	const n, most = 1 << 17, 192 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	inv := inventory.New(func([]string) {})
	func() {
		s := inventory.Snapshot{Routers: []inventory.Router{router("a", "x"), router("b", "x"), router("c", "x")}}
		for i := range n {
			s.Proxies = append(s.Proxies, flooding("a", i), flooding("b", i))
		}
		inv.Replace(s)
	}()
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if inv.Counts().Proxies != 2*n || used > most {
		t.Errorf("%d proxies, %d MiB are used, want at most %d", inv.Counts().Proxies, used>>20, most>>20)
	}
	t.Logf("%d MiB", used>>20)
	if inv.SetProxy(proxy("one more", "c", 1)); inv.Counts().Proxies != 2*n || !inv.Full("c") {
		t.Error("a push was taken on top")
	}
}
