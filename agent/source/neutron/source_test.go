package neutron_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

const rid = "1596edf1-d27f-4b01-a7ae-9f10b3ab9c16"

// cloud is a server in memory.
type cloud struct {
	events chan rpc.Event

	mu       sync.Mutex
	routers  map[string]rpc.Router
	proxies  map[string]rpc.NDPProxy
	bad      []rpc.Malformed // of the next Routers
	badProxy []rpc.Malformed // of the next NDPProxies
	fail     error
	// failRouters is the error of Routers alone.
	failRouters error
	calls       []string
	slow        func(call string) // runs after the data was read, before the answer
}

func newCloud() *cloud {
	return &cloud{events: make(chan rpc.Event), routers: map[string]rpc.Router{}, proxies: map[string]rpc.NDPProxy{}}
}

func (c *cloud) Events() <-chan rpc.Event { return c.events }

func (c *cloud) call(name string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf("%s(%d)", name, n))
	return c.fail
}

func (c *cloud) answer(name string) {
	c.mu.Lock()
	slow := c.slow
	c.mu.Unlock()
	if slow != nil {
		slow(name)
	}
}

func (c *cloud) RouterIDs(context.Context) ([]string, error) {
	if err := c.call("ids", 0); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id := range c.routers {
		ids = append(ids, id)
	}
	for _, m := range c.bad {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

func (c *cloud) Routers(_ context.Context, ids []string) (out []rpc.Router, bad []rpc.Malformed, err error) {
	if err := c.call("routers", len(ids)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	if err := c.failRouters; err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	for _, id := range ids {
		if r, ok := c.routers[id]; ok {
			out = append(out, r)
		}
	}
	bad = c.bad
	c.mu.Unlock()
	c.answer("routers")
	return out, bad, nil
}

func (c *cloud) NDPProxies(_ context.Context, ids []string) (out []rpc.NDPProxy, bad []rpc.Malformed, err error) {
	if err := c.call("proxies", len(ids)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	for _, p := range c.proxies {
		if slices.Contains(ids, p.RouterID) {
			out = append(out, p)
		}
	}
	bad = c.badProxy
	c.mu.Unlock()
	c.answer("proxies")
	return out, bad, nil
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cloud) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func router(id string) rpc.Router {
	return rpc.Router{
		ID: id, AdminStateUp: true, EnableNDPProxy: true,
		Gateway: &rpc.Port{ID: "1b796465-2eaf-4049-960c-6a9b4c1d7be9", ScopeV6: "scope",
			FixedIPs: []rpc.FixedIP{{Addr: netip.MustParseAddr("192.0.2.2")}, {Addr: netip.MustParseAddr("2001:db8::2")}}},
		Interfaces: []rpc.Port{{
			ScopeV6:  "scope",
			FixedIPs: []rpc.FixedIP{{Addr: netip.MustParseAddr("2001:db8:0:1::1")}},
			Subnets:  []rpc.Subnet{{CIDR: netip.MustParsePrefix("2001:db8:0:1::/64")}, {CIDR: netip.MustParsePrefix("192.0.2.0/24")}},
		}},
	}
}

func proxy(id, routerID string, n int) rpc.NDPProxy {
	return rpc.NDPProxy{ID: id, RouterID: routerID, PortID: "port", Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", n))}
}

type setup struct {
	*cloud
	inv  *inventory.Inventory
	logs *observer.ObservedLogs
}

// running runs a source in a synctest bubble, subscribed and in sync.
func running(t *testing.T, fn func(s setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		s := setup{cloud: newCloud(), inv: inventory.New(func([]string) {}), logs: logs}
		s.routers[rid] = router(rid)
		s.proxies["p1"] = proxy("p1", rid, 1)
		src := neutron.New(neutron.Options{
			Server: s.cloud, Inventory: s.inv, Log: zap.New(core),
			Audit: time.Minute, AuditRouters: 2, FullSync: time.Hour,
			RetryMin: time.Second, RetryMax: 30 * time.Second, Jitter: func() float64 { return 0.99 },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx) }()
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		fn(s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (s setup) published(t *testing.T) []string {
	t.Helper()
	e, ok := s.inv.Router(rid)
	if !ok {
		return nil
	}
	var out []string
	for _, p := range e.Proxies {
		out = append(out, p.ID)
	}
	return out
}

func (s setup) want(t *testing.T, what string, ids ...string) {
	t.Helper()
	if diff := cmp.Diff(ids, s.published(t)); diff != "" {
		t.Errorf("%s: proxies (-want +got):\n%s", what, diff)
	}
}

func TestFirstSyncIsThreeCalls(t *testing.T) {
	running(t, func(s setup) {
		s.want(t, "after the first sync", "p1")
		if diff := cmp.Diff([]string{"ids(0)", "routers(1)", "proxies(1)"}, s.took()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		e, _ := s.inv.Router(rid)
		want := inventory.Router{
			ID: rid, Enabled: true, Scope: "scope",
			External: []inventory.Attachment{{Namespace: "qrouter-" + rid, Device: "qg-1b796465-2e", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}},
			Subnets: []inventory.Subnet{{Prefix: netip.MustParsePrefix("2001:db8:0:1::/64"), Scope: "scope",
				RouterAddrs: []netip.Addr{netip.MustParseAddr("2001:db8:0:1::1")}}},
		}
		if diff := cmp.Diff(want, e.Router, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("router (-want +got):\n%s", diff)
		}
	})
}

func TestAPushIsAppliedWithoutACall(t *testing.T) {
	running(t, func(s setup) {
		s.took()
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p2", rid, 2), proxy("px", "elsewhere", 3)}}
		synctest.Wait()
		s.want(t, "created", "p1", "p2")
		s.events <- rpc.ProxiesPushed{Kind: rpc.Deleted, Proxies: []rpc.NDPProxy{proxy("p1", rid, 1)}}
		synctest.Wait()
		s.want(t, "deleted", "p2")
		if calls := s.took(); len(calls) != 0 {
			t.Errorf("asked the server: %v", calls)
		}
	})
}

// The answer may have been read from the database before the push and come
// after it.
func TestAnOldAnswerDoesNotUndoAPush(t *testing.T) {
	running(t, func(s setup) {
		release := make(chan bool)
		s.set(func() { s.slow = func(call string) { <-release } })
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait() // the call for the router hangs
		release <- true
		synctest.Wait() // the proxies are read, the answer hangs
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p2", rid, 2)}}
		s.events <- rpc.ProxiesPushed{Kind: rpc.Deleted, Proxies: []rpc.NDPProxy{proxy("p1", rid, 1)}}
		synctest.Wait()
		s.want(t, "at once, though a call hangs", "p2")
		release <- true
		s.set(func() { s.slow = nil })
		synctest.Wait()
		s.want(t, "after the old answer", "p2")
	})
}

func TestMessagesAboutRoutersAreReasonsToAsk(t *testing.T) {
	const other = "782b66ef-8091-4c31-8feb-2776917b61cb"
	running(t, func(s setup) {
		s.set(func() { r := s.routers[rid]; r.EnableNDPProxy = false; s.routers[rid] = r })
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		if e, _ := s.inv.Router(rid); e.Router.Enabled {
			t.Error("still enabled after the update")
		}
		s.set(func() { s.routers[other] = router(other); s.proxies["p2"] = proxy("p2", other, 2) })
		s.events <- rpc.RouterAdded{IDs: []string{other}}
		synctest.Wait()
		if e, ok := s.inv.Router(other); !ok || len(e.Proxies) != 1 {
			t.Errorf("added router: %+v, %v", e, ok)
		}
		s.set(func() { delete(s.routers, other) })
		s.events <- rpc.RouterRemoved{ID: other}
		synctest.Wait()
		if _, ok := s.inv.Router(other); ok {
			t.Error("still there after it was removed from the agent")
		}
		s.took()
		s.events <- rpc.RouterDeleted{ID: "ffffffff-0000-0000-0000-000000000000"}
		synctest.Wait()
		if calls := s.took(); len(calls) != 0 {
			t.Errorf("asked about a router of another host: %v", calls)
		}
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.RouterDeleted{ID: rid}
		synctest.Wait()
		if ids := s.inv.RouterIDs(); len(ids) != 0 {
			t.Errorf("left after deletion: %v", ids)
		}
	})
}

// A deleted port takes its proxies along and nobody is told.
func TestTheAuditFindsWhatNobodyTold(t *testing.T) {
	running(t, func(s setup) {
		s.took()
		s.set(func() { delete(s.proxies, "p1") })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "after one minute")
		if diff := cmp.Diff([]string{"proxies(1)", "routers(1)"}, s.took()); diff != "" {
			t.Errorf("calls of one audit (-want +got):\n%s", diff)
		}
		s.set(func() { r := s.routers[rid]; r.EnableNDPProxy = false; s.routers[rid] = r })
		time.Sleep(time.Minute)
		synctest.Wait()
		if e, _ := s.inv.Router(rid); e.Router.Enabled {
			t.Error("a lost routers_updated is not repaired by the audit")
		}
	})
}

// Each enabled router has its turn, and an audit costs the server the same
// however many there are.
func TestTheAuditTakesTurns(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() {
			for n := range 4 {
				id := fmt.Sprintf("%08d-0000-0000-0000-000000000000", n)
				s.routers[id] = router(id)
			}
		})
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		s.took()
		s.set(func() { clear(s.routers) })
		for _, want := range []int{3, 1, 0} {
			time.Sleep(54 * time.Second)
			synctest.Wait()
			if got := len(s.inv.RouterIDs()); got != want {
				t.Errorf("%d routers left, want %d", got, want)
			}
		}
		for _, call := range s.took() {
			if call != "routers(2)" && call != "routers(1)" && !strings.HasPrefix(call, "proxies") {
				t.Errorf("an audit asked %s", call)
			}
		}
	})
}

// While the L3 agent is disabled the server says that it has no routers.
func TestTheL3AgentIsDisabledAndEnabled(t *testing.T) {
	running(t, func(s setup) {
		kept := s.routers[rid]
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.AgentUpdated{AdminStateUp: false}
		synctest.Wait()
		s.want(t, "disabled")
		s.set(func() { s.routers[rid] = kept })
		s.events <- rpc.AgentUpdated{AdminStateUp: true}
		synctest.Wait()
		s.want(t, "enabled again", "p1")
	})
}

// A push that was delivered before may be older than what is known.
func TestARedeliveredPushIsNotBelieved(t *testing.T) {
	running(t, func(s setup) {
		s.events <- rpc.ProxiesPushed{Header: rpc.Header{Redelivered: true}, Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("old", rid, 9)}}
		synctest.Wait()
		s.want(t, "an old push", "p1")
		s.set(func() { s.proxies["p2"] = proxy("p2", rid, 2) })
		s.events <- rpc.ProxiesPushed{Header: rpc.Header{Redelivered: true}, Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p2", rid, 2)}}
		synctest.Wait()
		s.want(t, "one that the server confirms", "p1", "p2")
	})
}

// Nobody knows what a garbled message would have told.
func TestAfterAGarbledMessageEverythingIsAskedFor(t *testing.T) {
	const other = "782b66ef-8091-4c31-8feb-2776917b61cb"
	running(t, func(s setup) {
		s.set(func() { s.routers[other] = router(other) })
		s.took()
		for range 100 {
			s.events <- rpc.Garbled{Queue: "q", Err: errors.New("not JSON")}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, ok := s.inv.Router(other); !ok {
			t.Error("what it told was lost")
		}
		if n := len(s.took()); n > 6 {
			t.Errorf("%d calls for a flood of garbled messages", n)
		}
	})
}

// A router that the server fails on holds up nothing else.
func TestOneRouterThatFailsHoldsUpNothing(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() {
			s.failRouters = errors.New("KeyError: subnets")
			delete(s.proxies, "p1")
		})
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.want(t, "before the audit", "p1")
		time.Sleep(time.Minute)
		synctest.Wait()
		// The audit's own router call fails too; what it says of proxies must count.
		s.want(t, "after the audit")
	})
}

// Messages without end do not keep the audit from its turn.
func TestABusyCloudDoesNotStarveTheAudit(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() {
			delete(s.proxies, "p1")
			s.slow = func(string) { time.Sleep(4 * time.Second) }
		})
		for range 25 {
			s.events <- rpc.RoutersUpdated{IDs: []string{"elsewhere"}}
			time.Sleep(3 * time.Second)
		}
		synctest.Wait()
		s.want(t, "after 75 seconds")
		s.set(func() { s.slow = nil })
	})
}

func TestAServerInTroubleChangesNothingAndIsAskedAgain(t *testing.T) {
	running(t, func(s setup) {
		s.took()
		s.set(func() {
			s.fail = errors.New("OperationalError: database is gone")
			delete(s.proxies, "p1")
		})
		s.events <- rpc.Subscribed{}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		s.want(t, "while the server is in trouble", "p1")
		n := len(s.took())
		if n < 20 || n > 80 {
			t.Errorf("%d calls in 10 minutes", n)
		}
		if said := s.logs.FilterMessageSnippet("what is published stays").Len(); said != 2 {
			t.Errorf("said %d times, want once for the full sync and once for the audit", said)
		}
		s.set(func() { s.fail = nil })
		time.Sleep(31 * time.Second)
		synctest.Wait()
		s.want(t, "once it is well")
		if said := s.logs.FilterMessageSnippet("well again").Len(); said == 0 {
			t.Error("nobody was told that it is well again")
		}
	})
}

func TestAMalformedRouterKeepsWhatItHad(t *testing.T) {
	for _, name := range []string{rid, "#0"} {
		running(t, func(s setup) {
			s.set(func() {
				delete(s.routers, rid)
				s.routers["other"] = router("other")
				s.bad = []rpc.Malformed{{ID: name, Err: errors.New("gw_port: not an object")}}
			})
			if name == "#0" {
				// The ids still name it; only the description can't be read.
				s.events <- rpc.RoutersUpdated{IDs: []string{rid, "other"}}
			} else {
				s.events <- rpc.Subscribed{}
			}
			synctest.Wait()
			s.want(t, "malformed as "+name, "p1")
			if _, held := s.inv.Namespace("qrouter-" + rid); !held {
				t.Errorf("%s: its namespace may be swept", name)
			}
			if _, ok := s.inv.Router("other"); !ok {
				t.Errorf("%s: the other router was lost too", name)
			}
		})
	}
}

func TestAMalformedRouterThatIsWellAgainIsNotHeld(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() { s.bad = []rpc.Malformed{{ID: rid, Err: errors.New("gw_port: not an object")}} })
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		if _, held := s.inv.Namespace("qrouter-" + rid); !held {
			t.Fatal("not held while it can't be read")
		}
		s.set(func() { s.bad = nil; delete(s.routers, rid) })
		s.events <- rpc.RouterRemoved{ID: rid}
		synctest.Wait()
		if _, held := s.inv.Namespace("qrouter-" + rid); held {
			t.Error("held after it is known to be gone")
		}
	})
}

func TestAMalformedProxyKeepsTheOthers(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() {
			s.proxies["p2"] = proxy("p2", rid, 2)
			delete(s.proxies, "p1")
			s.badProxy = []rpc.Malformed{{ID: "p1", Err: errors.New("ip_address: not an address")}}
		})
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.want(t, "p1 unreadable", "p1", "p2")
		if s.logs.FilterMessageSnippet("what is published stays").Len() != 1 {
			t.Error("nobody was told")
		}
	})
}

func TestDistributedRoutersAreLeftAloneAndSaySo(t *testing.T) {
	r := router(rid)
	r.Distributed = true
	got := neutron.Router(r)
	if got.Unsupported == "" || len(got.External) != 0 {
		t.Errorf("got %+v", got)
	}
}
