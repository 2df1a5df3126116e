package neutron_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// fresh prepares a router of which the L3 agent has no port on the external
// network yet.
func fresh(s setup) {
	dvr(s)
	r := s.routers[rid]
	r.FloatingIPAgentInterfaces = nil
	s.routers[rid] = r
}

// asked are the seconds after now at which a router was asked for.
func (s setup) asked(t *testing.T, limit time.Duration) (seconds []int) {
	t.Helper()
	s.took()
	begin := time.Now()
	for time.Since(begin) < limit {
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range s.took() {
			if c == "routers(1)" {
				seconds = append(seconds, int(time.Since(begin)/time.Second))
			}
		}
	}
	return seconds
}

// The L3 agent has its port made a moment after the router was told: the router
// is asked for again, less and less often, until the port is there.
func TestTheAgentsPortIsAwaited(t *testing.T) {
	runningAs(t, rpc.ModeDVR, fresh, func(s setup) {
		e, _ := s.inv.Router(rid)
		if e.Router.Awaits == "" || len(e.Router.External) != 0 {
			t.Fatalf("%+v", e.Router)
		}
		s.wantPlace(t, "it is known where the port is", inventory.Here)
		// The audit asks for the router, too, after 54 seconds.
		if diff := cmp.Diff([]int{1, 3, 7, 15, 31, 54}, s.asked(t, time.Minute)); diff != "" {
			t.Errorf("asked for the router after seconds (-want +got):\n%s", diff)
		}
		s.asked(t, 10*time.Minute)
		if n := len(s.asked(t, 10*time.Minute)); n < 18 || n > 23 {
			t.Errorf("%d times in ten minutes, want with each audit and as often beside", n)
		}
		s.set(func() { s.routers[rid] = distributed(rid, here) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if e, _ := s.inv.Router(rid); e.Router.Awaits != "" || len(e.Router.External) != 1 {
			t.Errorf("still not there: %+v", e.Router)
		}
		if got := len(s.asked(t, 10*time.Minute)); got > 12 {
			t.Errorf("asked %d times although it is there", got)
		}
	})
}

// Nothing is asked for what nobody needs.
func TestNobodyWaitsForARouterThatPublishesNothingHere(t *testing.T) {
	for name, change := range map[string]func(s setup){
		"disabled":      func(s setup) { r := s.routers[rid]; r.EnableNDPProxy = false; s.routers[rid] = r },
		"no proxies":    func(s setup) { clear(s.proxies) },
		"none is here":  func(s setup) { s.ports["port"] = bound("port", "h1", 5) },
		"port is there": func(s setup) { s.routers[rid] = distributed(rid, here) },
		"router gone":   func(s setup) { clear(s.routers) },
	} {
		runningAs(t, rpc.ModeDVR, func(s setup) { fresh(s); change(s) }, func(s setup) {
			if got := s.asked(t, 50*time.Second); len(got) != 0 {
				t.Errorf("%s: asked after %v", name, got)
			}
		})
	}
}

// The first port that comes here, or the first proxy of one, is the reason.
func TestWaitingBeginsWithThePort(t *testing.T) {
	runningAs(t, rpc.ModeDVR, func(s setup) { fresh(s); s.ports["port"] = bound("port", "h1", 5) }, func(s setup) {
		s.set(func() { s.ports["port"] = bound("port", here, 6) })
		s.push(rpc.Updated, bound("port", here, 6))
		if diff := cmp.Diff([]int{1, 3, 7, 15}, s.asked(t, 20*time.Second)); diff != "" {
			t.Errorf("a port moves here (-want +got):\n%s", diff)
		}
		s.push(rpc.Updated, bound("port", "h1", 7))
		if got := s.asked(t, 20*time.Second); len(got) != 0 {
			t.Errorf("it moved away again, asked after %v", got)
		}
		p := proxy("p2", rid, 2)
		p.PortID = "port2"
		s.set(func() {
			s.ports["port2"], s.proxies["p2"], s.ports["port"] = bound("port2", here, 1), p, bound("port", "h1", 7)
		})
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		if got := s.asked(t, 5*time.Second); len(got) != 2 {
			t.Errorf("the first proxy here, asked after %v", got)
		}
	})
}
