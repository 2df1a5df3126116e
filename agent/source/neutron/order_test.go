package neutron_test

import (
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// slowly makes the answers of one kind take a second after they were read.
func (s setup) slowly(kind string) {
	s.set(func() {
		s.slow = func(call string) {
			if call == kind {
				time.Sleep(time.Second)
			}
		}
	})
}

// settled lets everything that is under way end.
func settled() {
	time.Sleep(20 * time.Second)
	synctest.Wait()
}

// An answer that was read before a push comes after it: neither does it count,
// nor does it make way for pushes that are older still.
func TestAnOldAnswerHidesNoPush(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.slowly("ports")
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.set(func() { s.ports["port"] = bound("port", "h1", 7) })
		s.push(rpc.Updated, bound("port", "h1", 7))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.wantPlace(t, "after the old answer", inventory.Elsewhere)
		s.push(rpc.Updated, bound("port", here, 6))
		settled()
		s.wantPlace(t, "after a late push", inventory.Elsewhere)
	})
}

// The same with a host whose mode has to be asked for meanwhile.
func TestAnOldAnswerHidesNoPushToANewHost(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(s setup) {
		dvr(s)
		s.ports["port"] = bound("port", "h1", 5)
		s.modes["h1"], s.modes["edge"] = rpc.ModeDVR, rpc.ModeDVRNoExternal
	}, func(s setup) {
		s.slowly("ports")
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.set(func() { s.ports["port"] = bound("port", "edge", 6) })
		s.push(rpc.Updated, bound("port", "edge", 6))
		settled()
		s.wantPlace(t, "20 s after the push", inventory.Edge)
	})
}

// The push of the last change was lost; the answer knows it.
func TestAnOldPushHidesNoAnswer(t *testing.T) {
	for _, first := range []string{here, "h1"} {
		runningAs(t, rpc.ModeDVR, func(s setup) { dvr(s); s.ports["port"] = bound("port", first, 5) }, func(s setup) {
			s.push(rpc.Updated, bound("port", here, 6))
			s.set(func() { s.ports["port"] = bound("port", "h1", 7) })
			s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
			synctest.Wait()
			s.wantPlace(t, "first on "+first, inventory.Elsewhere)
		})
	}
}

// A full sync beside the push does not take the question for the mode along.
func TestAFullSyncDropsNoQuestion(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(s setup) {
		dvr(s)
		s.ports["port"] = bound("port", "h1", 5)
		s.modes["h1"], s.modes["edge"] = rpc.ModeDVR, rpc.ModeDVRNoExternal
	}, func(s setup) {
		s.slowly("routers")
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.set(func() { s.ports["port"] = bound("port", "edge", 6) })
		s.events <- rpc.AgentUpdated{AdminStateUp: true}
		s.push(rpc.Updated, bound("port", "edge", 6))
		settled()
		s.wantPlace(t, "20 s after", inventory.Edge)
	})
}

// A server that tells no revision tells when it says it.
func TestAPortPushWithoutARevision(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.push(rpc.Updated, bound("port", "h1", 0))
		s.wantPlace(t, "moved away", inventory.Elsewhere)
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}} // a node of the database that does not know yet
		synctest.Wait()
		s.wantPlace(t, "an answer a moment after", inventory.Elsewhere)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantPlace(t, "an answer long after", inventory.Here)
	})
}

// What was asked for before the stream broke says nothing after it, not even
// with a higher revision: the database may have been put back.
func TestAnAnswerFromBeforeABreak(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.set(func() { s.ports["port"] = bound("port", "h1", 9) })
		s.slowly("ports")
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait() // the answer is on its way
		s.set(func() { s.ports["port"] = bound("port", here, 2); s.slow = nil })
		s.events <- rpc.Subscribed{}
		settled()
		s.wantPlace(t, "the answer to what was asked after it", inventory.Here)
	})
}

// With each revision in any order, by pushes and answers: the highest wins.
func TestTheHighestRevisionWins(t *testing.T) {
	hosts := map[int]string{6: "h1", 7: here, 8: "h2", 9: here}
	for _, order := range [][]int{{6, 7, 8, 9}, {9, 8, 7, 6}, {8, 6, 9, 7}, {7, 9, 6, 8}} {
		runningAs(t, rpc.ModeDVR, func(s setup) { dvr(s); s.ports["port"] = bound("port", "h0", 5) }, func(s setup) {
			for n, revision := range order {
				if n%2 == 0 {
					s.push(rpc.Updated, bound("port", hosts[revision], revision))
					continue
				}
				s.set(func() { s.ports["port"] = bound("port", hosts[revision], revision) })
				s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
				synctest.Wait()
			}
			s.wantPlace(t, "in the end", inventory.Here)
		})
	}
}

// While no proxy names a port, nobody hears that it moves: what was known of it
// then is worth nothing.
func TestAPortThatNoProxyNamedForAWhile(t *testing.T) {
	runningAs(t, rpc.ModeDVR, func(s setup) { dvr(s); s.ports["port"] = bound("port", "h1", 5) }, func(s setup) {
		p := proxy("p1", rid, 1)
		s.events <- rpc.ProxiesPushed{Kind: rpc.Deleted, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.set(func() {
			s.ports["port"] = bound("port", here, 4)
		})
		p.ID = "p9"
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.wantPlace(t, "named again", inventory.Here)
	})
}
