package neutron_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// A deleted port takes its proxies along and nobody is told.
func TestTheAuditFindsWhatNobodyTold(t *testing.T) {
	running(t, func(s setup) {
		s.took()
		s.set(func() { delete(s.proxies, "p1") })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "after one minute")
		if diff := cmp.Diff([]string{"proxies(1)", "proxies(1)", "routers(1)"}, s.took()); diff != "" {
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
			time.Sleep(54*time.Second + secondThought)
			synctest.Wait()
			if got := len(s.inv.RouterIDs()); got != want {
				t.Errorf("%d routers left, want %d", got, want)
			}
		}
		for _, call := range s.took() {
			// Those of its turn, again those that are missing, and as many of those
			// that went without a word.
			var n int
			if _, err := fmt.Sscanf(call, "routers(%d)", &n); (err != nil || n > 4) && !strings.HasPrefix(call, "proxies") {
				t.Errorf("an audit asked %s", call)
			}
		}
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

// A router that could not be read once is asked for again, and soon.
func TestARouterThatCouldNotBeReadIsAskedForAgain(t *testing.T) {
	const sick = "782b66ef-8091-4c31-8feb-2776917b61cb"
	running(t, func(s setup) {
		s.set(func() { s.bad = []rpc.Malformed{{ID: sick, Err: errors.New("gw_port is missing")}} })
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		if _, ok := s.inv.Router(sick); ok {
			t.Fatal("known although it can't be read")
		}
		s.set(func() {
			s.bad = nil
			s.routers[sick] = router(sick)
			s.proxies["p2"] = proxy("p2", sick, 2)
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if e, ok := s.inv.Router(sick); !ok || len(e.Proxies) != 1 {
			t.Errorf("after one audit: %+v, %v", e, ok)
		}
	})
}

// However many cannot be read, each is asked for again in its turn.
func TestUnreadableRoutersTakeTurns(t *testing.T) {
	var sick []string
	prepare := func(s setup) {
		for n := range 6 {
			id := fmt.Sprintf("%08d-0000-0000-0000-000000000000", n)
			sick = append(sick, id)
			s.bad = append(s.bad, rpc.Malformed{ID: id, Err: errors.New("gw_port is missing")})
		}
	}
	runningAs(t, "", prepare, func(s setup) {
		s.set(func() { // the last is well
			s.bad = s.bad[:5]
			s.routers[sick[5]] = router(sick[5])
		})
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if _, known := s.inv.Router(sick[5]); !known {
			t.Error("three audits of two routers each have not come to the last of six")
		}
	})
}

// What was noted beside a full sync that fails is asked for all the same.
func TestAFailingFullSyncTakesNothingAlong(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() {
			r := s.routers[rid]
			r.EnableNDPProxy = false
			s.routers[rid] = r
			s.failIDs = errors.New("get_router_ids: OperationalError")
			s.slow = func(string) { time.Sleep(time.Second) }
		})
		s.events <- rpc.RoutersUpdated{IDs: []string{"elsewhere"}} // a call is under way
		synctest.Wait()
		s.events <- rpc.Subscribed{}
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if e, _ := s.inv.Router(rid); e.Router.Enabled {
			t.Error("the update was lost with the full sync")
		}
	})
}

// Each audit sees to the bindings of our queue; that it can't holds up nothing.
func TestTheAuditRenewsTheBindings(t *testing.T) {
	running(t, func(s setup) {
		for n := 1; n <= 3; n++ {
			s.set(func() {
				s.failRenew = nil
				if n == 2 {
					s.failRenew = errors.New("ACCESS_REFUSED")
					delete(s.proxies, "p1")
				}
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			if s.renewed != n {
				t.Errorf("audit %d: renewed %d times", n, s.renewed)
			}
		}
		s.want(t, "after the audits")
		for _, said := range []string{"what is published stays", "well again"} {
			if n := s.logs.FilterMessageSnippet(said).Len(); n != 1 {
				t.Errorf("%q is said %d times", said, n)
			}
		}
	})
}
