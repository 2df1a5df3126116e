package neutron_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

const rid = "1596edf1-d27f-4b01-a7ae-9f10b3ab9c16"

func TestFirstSyncIsThreeCalls(t *testing.T) {
	running(t, func(s setup) {
		s.want(t, "after the first sync", "p1")
		if diff := cmp.Diff([]string{"ids(0)", "routers(1)", "proxies(1)"}, s.took()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		e, _ := s.inv.Router(rid)
		want := inventory.Router{
			ID: rid, Kind: inventory.Legacy, Enabled: true, Scope: "scope",
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

// While the L3 agent is disabled the server says that it has no routers.
func TestTheL3AgentIsDisabledAndEnabled(t *testing.T) {
	running(t, func(s setup) {
		kept := s.routers[rid]
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.AgentUpdated{AdminStateUp: false}
		time.Sleep(secondThought)
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
			if !slices.Contains(s.inv.HeldIDs(), rid) {
				t.Errorf("%s: taken for read", name)
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
		if !slices.Contains(s.inv.HeldIDs(), rid) {
			t.Fatal("not held while it can't be read")
		}
		s.set(func() { s.bad = nil; delete(s.routers, rid) })
		s.events <- rpc.RouterRemoved{ID: rid}
		synctest.Wait()
		if len(s.inv.HeldIDs()) > 0 {
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

// Two servers: the word that a proxy was made comes after the word that it was
// deleted.
func TestALateCreationDoesNotUndoADeletion(t *testing.T) {
	running(t, func(s setup) {
		p := proxy("p2", rid, 2)
		s.events <- rpc.ProxiesPushed{Kind: rpc.Deleted, Proxies: []rpc.NDPProxy{p}}
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.want(t, "at once", "p1")
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "after an audit", "p1")
	})
}

// What was pushed before the stream broke is no evidence against the answer
// that follows.
func TestAnOldPushDoesNotUndoTheFirstAnswer(t *testing.T) {
	running(t, func(s setup) {
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p2", rid, 2)}}
		synctest.Wait()
		s.want(t, "pushed", "p1", "p2")
		s.events <- rpc.Disconnected{Err: errors.New("connection lost")}
		s.events <- rpc.Subscribed{} // p2 was deleted meanwhile
		time.Sleep(secondThought)
		synctest.Wait()
		s.want(t, "after the full sync", "p1")
	})
}

// A push that can't be read is a reason to ask, unless it is about a router of
// another host.
func TestAPushThatCannotBeRead(t *testing.T) {
	running(t, func(s setup) {
		s.took()
		bad := rpc.Malformed{ID: "#0", RouterID: "elsewhere", Err: errors.New("ip_address: not an address")}
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Malformed: []rpc.Malformed{bad}}
		synctest.Wait()
		if calls, said := s.took(), s.logs.FilterMessageSnippet("not understood").Len(); len(calls) != 0 || said != 0 {
			t.Errorf("about another host's router: calls %v, said %d times", calls, said)
		}
		s.set(func() { s.proxies["p2"] = proxy("p2", rid, 2) })
		bad.RouterID = rid
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Malformed: []rpc.Malformed{bad}}
		synctest.Wait()
		s.want(t, "about ours", "p1", "p2")
	})
}

// Only a full pull that began after a moment has all that stood then.
func TestPulledSince(t *testing.T) {
	running(t, func(s setup) {
		before := time.Now()
		if s.source.PulledSince(before) {
			t.Error("the first pull began before")
		}
		release := make(chan bool)
		s.set(func() { s.slow = func(string) { <-release } })
		time.Sleep(time.Millisecond)
		s.source.Resync()
		synctest.Wait() // one is under way
		during := time.Now()
		time.Sleep(time.Millisecond)
		s.source.Resync()
		s.set(func() { s.slow = nil; s.failIDs = errors.New("no answer") })
		close(release)
		synctest.Wait()
		if !s.source.PulledSince(before) || s.source.PulledSince(during) {
			t.Errorf("after one that began before: %v %v", s.source.PulledSince(before), s.source.PulledSince(during))
		}
		s.set(func() { s.failIDs = nil })
		time.Sleep(time.Minute) // it is tried again
		if !s.source.PulledSince(during) {
			t.Error("nothing was pulled since")
		}
	})
}
