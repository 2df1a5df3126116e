package neutron_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// movedAway makes the centralised router one of another host's, with an instance
// in its networks on this one: sync_routers describes it all the same, and would
// bind its ports to this host.
func (s setup) movedAway() {
	s.set(func() {
		s.unlisted = map[string]bool{rid: true}
		s.questions = nil
	})
}

func (s setup) neverAsked(t *testing.T, what string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.questions, rid) {
		t.Errorf("%s: sync_routers was asked for a router of another host", what)
	}
}

func TestACentralisedRouterThatIsNotListedIsNotAskedFor(t *testing.T) {
	for _, mode := range []string{rpc.ModeDVR, rpc.ModeDVRSNAT, rpc.ModeDVRNoExternal} {
		runningAs(t, mode, func(setup) {}, func(s setup) {
			s.want(t, "at first", "p1")
			s.movedAway()
			s.events <- rpc.Subscribed{}
			time.Sleep(secondThought)
			synctest.Wait()
			s.want(t, mode+": not listed twice")
			time.Sleep(2 * time.Hour)
			s.neverAsked(t, mode)
			if n := s.logs.FilterMessageSnippet("no message said so").Len(); n != 1 {
				t.Errorf("said %d times", n)
			}
		})
	}
}

// Two lists may both be wrong. The following full syncs come soon, and ever later.
func TestACentralisedRouterThatWasNotListedComesBack(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 10 * time.Minute} {
		runningAs(t, rpc.ModeDVRSNAT, func(setup) {}, func(s setup) {
			s.movedAway()
			s.events <- rpc.Subscribed{}
			time.Sleep(secondThought)
			synctest.Wait()
			s.want(t, "not listed twice")
			time.Sleep(after)
			s.set(func() { s.unlisted, s.calls = nil, nil })
			time.Sleep(after + 2*time.Minute) // doubling: at most as long again
			synctest.Wait()
			s.want(t, "listed again", "p1")
			time.Sleep(50 * time.Minute)
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			lists := slices.DeleteFunc(slices.Clone(s.calls), func(call string) bool { return call != "ids(0)" })
			if n := len(lists); n > 7 { // six, and the hourly one
				t.Errorf("%d lists within an hour", n)
			}
		})
	}
}

func TestAMessageThatACentralisedRouterWentIsBelieved(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(setup) {}, func(s setup) {
		s.movedAway()
		for range 2 { // also if it is not known any more
			s.events <- rpc.RouterRemoved{ID: rid}
			synctest.Wait()
			s.want(t, "removed")
		}
		time.Sleep(2 * time.Hour)
		s.neverAsked(t, "removed")
		// It came, and went before.
		s.set(func() { s.unlisted = nil })
		s.events <- rpc.RouterAdded{IDs: []string{rid}}
		s.events <- rpc.RouterRemoved{ID: rid}
		synctest.Wait()
		s.want(t, "added again", "p1")
	})
}

// A failed question does not come back after a message that the router went.
func TestWhatWentMeanwhileIsNotAskedForAgain(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(setup) {}, func(s setup) {
		s.set(func() { s.failRouters = errSick })
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.events <- rpc.RouterRemoved{ID: rid}
		s.set(func() { s.failRouters = nil })
		s.movedAway()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "removed")
	})
}

func TestOneListWithoutARouterIsNotBelieved(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(setup) {}, func(s setup) {
		s.once("ids", func() { s.unlisted = map[string]bool{rid: true} }, func() { s.unlisted = nil })
		s.events <- rpc.Subscribed{}
		for range 40 {
			time.Sleep(secondThought / 10)
			synctest.Wait()
			s.want(t, "reconnected", "p1")
		}
	})
}

// After a restart only the kernel knows what is published: one answer takes
// nothing away then, either.
func TestTheFirstAnswersAreConfirmedWhereSomethingStands(t *testing.T) {
	for _, mode := range []string{"", rpc.ModeDVRSNAT} {
		for _, call := range []string{"ids", "routers", "proxies"} {
			kept := map[string]rpc.Router{}
			prepare := func(s setup) {
				s.stands = true
				away := map[string]func(){
					"ids":     func() { s.unlisted = map[string]bool{rid: true} },
					"routers": func() { kept[rid] = s.routers[rid]; delete(s.routers, rid); s.listed = []string{rid} },
					"proxies": func() { delete(s.proxies, "p1") },
				}[call]
				s.once(call, away, func() {
					s.unlisted, s.listed = nil, nil
					s.routers[rid], s.proxies["p1"] = router(rid), proxy("p1", rid, 1)
				})
			}
			runningAs(t, mode, prepare, func(s setup) {
				for range 50 {
					if s.inv.Synced() {
						s.want(t, "in sync, without "+call+" at first", "p1")
					}
					time.Sleep(secondThought / 10)
					synctest.Wait()
				}
				s.want(t, "without "+call+" at first", "p1")
				if n := s.logs.FilterMessageSnippet("no message said so").Len(); n > 0 {
					t.Errorf("said %d times", n)
				}
			})
		}
	}
}

func TestTheFirstAnswerAboutL3AgentsIsConfirmedWhereSomethingStands(t *testing.T) {
	edge := func(s setup) {
		dvr(s)
		s.stands, s.ports["port"] = true, bound("port", "edge", 5)
		s.once("agents", func() {}, func() { s.modes["edge"] = rpc.ModeDVRNoExternal })
	}
	runningAs(t, rpc.ModeDVRSNAT, edge, func(s setup) {
		for range 50 {
			if e, _ := s.inv.Router(rid); e.Places["port"] == inventory.Elsewhere {
				t.Fatal("placed by one answer")
			}
			time.Sleep(secondThought / 10)
			synctest.Wait()
		}
		s.wantPlace(t, "confirmed", inventory.Edge)
	})
}
