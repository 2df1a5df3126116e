package neutron_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// secondThought is how long the source waits before it asks again for what an
// answer lacks, with an audit each minute.
const secondThought = time.Second

// once takes something away from the cloud for the next answer to a call.
func (s setup) once(call string, away, back func()) {
	s.set(func() {
		away()
		s.idsToo = true
		s.slow = func(name string) {
			if name == call {
				s.set(func() {
					back()
					s.slow = nil
				})
			}
		}
	})
}

// One answer that lacks what was here takes nothing away.
func TestOneAnswerWithoutARouterIsNotBelieved(t *testing.T) {
	running(t, func(s setup) {
		for what, ask := range map[string]func(){
			"reconnected": func() { s.events <- rpc.Subscribed{} },
			"audited":     func() { time.Sleep(time.Minute) },
			"updated":     func() { s.events <- rpc.RoutersUpdated{IDs: []string{rid}} },
		} {
			s.once("routers", func() { delete(s.routers, rid) }, func() { s.routers[rid] = router(rid) })
			ask()
			for range 40 { // at no moment
				time.Sleep(secondThought / 10)
				synctest.Wait()
				s.want(t, what, "p1")
			}
		}
	})
}

func TestOneAnswerWithoutAProxyIsNotBelieved(t *testing.T) {
	running(t, func(s setup) {
		for what, ask := range map[string]func(){
			"reconnected": func() { s.events <- rpc.Subscribed{} },
			"audited":     func() { time.Sleep(time.Minute) },
		} {
			s.once("proxies", func() { delete(s.proxies, "p1") }, func() { s.proxies["p1"] = proxy("p1", rid, 1) })
			ask()
			for range 40 {
				time.Sleep(secondThought / 10)
				synctest.Wait()
				s.want(t, what, "p1")
			}
		}
	})
}

// The list of ids is empty also where the server does not know the L3 agent;
// the question about the routers themselves tells the difference.
func TestNoRouterIDsForAnUnknownL3Agent(t *testing.T) {
	running(t, func(s setup) {
		kept := s.routers[rid]
		s.set(func() {
			clear(s.routers)
			s.failRouters = errors.New("remote error AgentNotFoundByTypeHost")
		})
		s.events <- rpc.Subscribed{}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.want(t, "while it is unknown", "p1")
		s.set(func() { s.routers[rid], s.failRouters = kept, nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "known again", "p1")
	})
}

// What both answers lack has gone, and is said once. If the server was wrong
// twice, the next audit brings it back, and not only the next full sync.
func TestARouterThatWentWithoutAWordIsAskedForAgain(t *testing.T) {
	running(t, func(s setup) {
		kept := s.routers[rid]
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.Subscribed{}
		time.Sleep(secondThought)
		synctest.Wait()
		s.want(t, "gone twice")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := s.logs.FilterMessageSnippet("no message said so").Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
		s.set(func() { s.routers[rid] = kept })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "back", "p1")
	})
}

// A message says that it went: nobody is asked twice, and not again.
func TestARouterThatWentWithAWord(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.RouterRemoved{ID: rid}
		synctest.Wait()
		s.want(t, "at once")
		s.took()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if calls := s.took(); len(calls) > 0 {
			t.Errorf("asked %v", calls)
		}
	})
}

func TestOneAnswerWithoutAPortIsNotBelieved(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		for what, ask := range map[string]func(){
			"reconnected": func() { s.events <- rpc.Subscribed{} },
			"audited":     func() { time.Sleep(time.Minute) },
			"updated":     func() { s.events <- rpc.RoutersUpdated{IDs: []string{rid}} },
		} {
			kept := s.ports["port"]
			s.once("ports", func() { delete(s.ports, "port") }, func() { s.ports["port"] = kept })
			ask()
			for range 40 {
				time.Sleep(secondThought / 10)
				synctest.Wait()
				s.wantPlace(t, what, inventory.Here)
			}
		}
		s.set(func() { delete(s.ports, "port") })
		s.events <- rpc.Subscribed{}
		time.Sleep(secondThought)
		synctest.Wait()
		s.wantPlace(t, "gone twice", inventory.Elsewhere)
	})
}

func TestOneAnswerWithoutAnL3AgentIsNotBelieved(t *testing.T) {
	edge := func(s setup) {
		dvr(s)
		s.ports["port"], s.modes["edge"] = bound("port", "edge", 5), rpc.ModeDVRNoExternal
	}
	runningAs(t, rpc.ModeDVRSNAT, edge, func(s setup) {
		s.wantPlace(t, "at first", inventory.Edge)
		s.once("agents", func() { clear(s.modes) }, func() { s.modes["edge"] = rpc.ModeDVRNoExternal })
		time.Sleep(time.Minute)
		for range 40 {
			time.Sleep(secondThought / 10)
			synctest.Wait()
			s.wantPlace(t, "audited", inventory.Edge)
		}
		s.set(func() { clear(s.modes) })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantPlace(t, "gone twice", inventory.Elsewhere)
	})
}
