package announcer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// kernel is an announcer on real namespaces.
func kernel(t *testing.T, change func(*Options), namespaces ...*nstest.Namespace) *Announcer {
	t.Helper()
	options := Options{Count: 1, Enter: func(name string, fn func() error) error {
		for _, n := range namespaces {
			if n.Name == name {
				return n.Enter(fn)
			}
		}
		return fmt.Errorf("namespace %s: %w", name, os.ErrNotExist)
	}}
	if change != nil {
		change(&options)
	}
	a := New(t.Context(), options)
	t.Cleanup(a.Close)
	return a
}

// target is the gateway device of the tests in a namespace.
func target(n *nstest.Namespace) Target { return Target{Namespace: n.Name, Device: "qg-1"} }

// awaitTrouble waits until an attempt for the target failed for the reason.
func awaitTrouble(t *testing.T, a *Announcer, target Target, reason ndsend.Reason) {
	t.Helper()
	nstest.Await(t, "trouble: "+string(reason), func() bool {
		for _, p := range a.Stats().Pending {
			if p.Target == target && ndsend.ReasonOf(p.Err) == reason {
				return true
			}
		}
		return false
	})
}

// Duplicate address detection delays the announcement and does not lose it.
func TestTentativeDelays(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.LinkDown(t, ours, "qg-1", upstream, "up0")
	upstream.IP("link", "set", "up0", "up")
	ours.IP("link", "set", "qg-1", "up")
	nstest.Await(t, "a tentative link-local address", func() bool {
		all := ours.LinkLocals("qg-1")
		return len(all) == 1 && all[0].Tentative
	})
	capture := upstream.Capture("up0")
	a := kernel(t, nil, ours)
	a.Owe(target(ours), addr(1))
	awaitTrouble(t, a, target(ours), ndsend.ReasonNotReady)
	frame := capture.Want(addr(1))
	if got := ours.LinkLocals("qg-1")[0]; got.Tentative || frame.From() != got.Local {
		t.Errorf("from %s while the address is %+v", frame.From(), got)
	}
	capture.WantNone(100 * time.Millisecond)
}

// Whatever is missing when an announcement becomes owed, it leaves once a kick
// says that it came.
func TestLeavesWhenTheDeviceIsReady(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken func(ours, upstream *nstest.Namespace)
		reason ndsend.Reason
		mended func(ours, upstream *nstest.Namespace)
	}{
		{
			"down",
			func(ours, _ *nstest.Namespace) { ours.IP("link", "set", "qg-1", "down") },
			ndsend.ReasonNotReady,
			func(ours, _ *nstest.Namespace) { ours.IP("link", "set", "qg-1", "up") },
		},
		{
			"no carrier",
			func(_, upstream *nstest.Namespace) { upstream.IP("link", "set", "up0", "down") },
			ndsend.ReasonNotReady,
			func(_, upstream *nstest.Namespace) { upstream.IP("link", "set", "up0", "up") },
		},
		{
			"device by another name",
			func(ours, _ *nstest.Namespace) {
				ours.IP("link", "set", "qg-1", "down")
				ours.IP("link", "set", "qg-1", "name", "qg-0")
			},
			ndsend.ReasonNoInterface,
			func(ours, _ *nstest.Namespace) {
				ours.IP("link", "set", "qg-0", "name", "qg-1")
				ours.IP("link", "set", "qg-1", "up")
			},
		},
		{
			"filtered",
			func(ours, _ *nstest.Namespace) {
				ours.Exec("nft", "add table ip6 t; add chain ip6 t o { type filter hook output priority 0; policy drop; }")
			},
			ndsend.ReasonFiltered,
			func(ours, _ *nstest.Namespace) { ours.Exec("nft", "delete table ip6 t") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, upstream := nstest.New(t), nstest.New(t)
			nstest.Link(t, ours, "qg-1", upstream, "up0")
			c.broken(ours, upstream)
			a := kernel(t, nil, ours)
			a.Owe(target(ours), addr(1))
			awaitTrouble(t, a, target(ours), c.reason)
			capture := upstream.Capture("up0")
			c.mended(ours, upstream)
			ours.AwaitLinkLocal("qg-1")
			a.Kick(target(ours))
			capture.Want(addr(1))
			nstest.Await(t, "nothing owed", func() bool { return a.Stats().Owed == 0 })
		})
	}
}

// A namespace that is replaced under its name, with another device of the same
// name: the burst goes to the new one, and nothing of ours holds the old.
func TestNamespaceReplaced(t *testing.T) {
	upstream, old, replacement := nstest.New(t), nstest.New(t), nstest.New(t)
	nstest.Link(t, old, "qg-1", upstream, "up0")
	nstest.Link(t, replacement, "qg-1", upstream, "up1")
	var mu sync.Mutex
	current := old
	a := New(t.Context(), Options{Count: 1, Enter: func(_ string, fn func() error) error {
		mu.Lock()
		defer mu.Unlock()
		return current.Enter(fn)
	}})
	defer a.Close()
	captureOld, captureNew := upstream.Capture("up0"), upstream.Capture("up1")
	gateway := Target{Namespace: "qrouter", Device: "qg-1"}
	a.Owe(gateway, addr(1))
	captureOld.Want(addr(1))

	old.Delete()
	// The kernel takes the pair down with its namespace: nobody holds it.
	nstest.Await(t, "the old namespace's devices to go", func() bool { return !upstream.HasDevice("up0") })
	mu.Lock()
	current = replacement
	mu.Unlock()
	a.Owe(gateway, addr(1))
	captureNew.Want(addr(1))
}

// A namespace deleted while something is owed there: dropped after a while, no
// goroutine (goleak) and no descriptor stays.
func TestNamespaceDeletedWhileOwed(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	before := descriptors(t)
	a := kernel(t, func(o *Options) {
		o.GoneAfter, o.MaxBackoff = 300*time.Millisecond, 100*time.Millisecond
	}, ours)
	ours.IP("link", "set", "qg-1", "down")
	a.Owe(target(ours), addr(1), addr(2))
	awaitTrouble(t, a, target(ours), ndsend.ReasonNotReady)
	ours.Delete()
	awaitTrouble(t, a, target(ours), ndsend.ReasonNamespace)
	nstest.Await(t, "what is owed to be given up", func() bool { return a.Stats().GivenUp == 2 })
	nstest.Await(t, "the worker to leave", func() bool { return workers(a) == 0 })
	nstest.Await(t, "the old namespace's devices to go", func() bool { return !upstream.HasDevice("up0") })
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// After a change of the link-layer address the same announcement, owed again,
// carries the new one, and the neighbour follows.
func TestMACChange(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	upstream.IP("neigh", "replace", addr(1).String(), "lladdr", "02:00:00:00:00:aa", "dev", "up0", "nud", "reachable")
	a := kernel(t, nil, ours)
	for _, mac := range []string{"fa:16:3e:00:00:01", "fa:16:3e:00:00:02"} {
		ours.IP("link", "set", "qg-1", "address", mac)
		a.Owe(target(ours), addr(1))
		capture.Want(addr(1))
		if got := upstream.Neighbour("up0", addr(1)); got.MAC != mac {
			t.Errorf("neighbour is %q, want %s", got.Raw, mac)
		}
	}
}

// Owe, Forget and Kick from everywhere at once, on two devices of one name in
// two namespaces, while their links flap: in the end each address that is owed
// arrives in its own namespace, and one that was never owed there does not.
func TestEverythingAtOnce(t *testing.T) {
	const devices, addrs, callers = 2, 40, 4
	var ours, upstream [devices]*nstest.Namespace
	var captures [devices]*nstest.Capture
	for i := range ours {
		ours[i], upstream[i] = nstest.New(t), nstest.New(t)
		nstest.Link(t, ours[i], "qg-1", upstream[i], "up0")
		captures[i] = upstream[i].Capture("up0")
	}
	a := kernel(t, func(o *Options) { o.MaxBackoff = 100 * time.Millisecond }, ours[:]...)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range 300 {
				i := random.IntN(devices)
				which := addr(i<<8 + random.IntN(addrs))
				switch random.IntN(4) {
				case 0:
					a.Forget(target(ours[i]), which)
				case 1:
					a.Kick(target(ours[i]))
				default:
					a.Owe(target(ours[i]), which)
				}
				time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
			}
		})
	}
	for range 5 {
		for i := range ours {
			upstream[i].IP("link", "set", "up0", "down")
			time.Sleep(10 * time.Millisecond)
			upstream[i].IP("link", "set", "up0", "up")
		}
	}
	all.Wait()
	for i := range ours {
		for captures[i].Next(0) != nil { // what the walk sent is no matter
		}
		for n := range addrs {
			a.Owe(target(ours[i]), addr(i<<8+n))
		}
	}
	for i := range ours {
		arrived := make(map[netip.Addr]bool)
		for len(arrived) < addrs {
			frame := captures[i].Next(5 * time.Second)
			if frame == nil {
				t.Fatalf("namespace %d: %d of %d arrived", i, len(arrived), addrs)
			}
			if n := frame.Target().As16()[14]; int(n) != i {
				t.Fatalf("namespace %d: %s arrived, which is another's", i, frame.Target())
			}
			arrived[frame.Target()] = true
		}
	}
	nstest.Await(t, "nothing owed", func() bool { return a.Stats().Owed == 0 })
}
