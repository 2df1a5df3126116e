package neutron_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// A proxy of a port that nobody has mentioned is placed although an audit is
// asking for all others.
func TestANewProxyDoesNotWaitForAnAudit(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		slow := make(chan bool, 1)
		slow <- true
		s.set(func() {
			s.ports["port2"] = bound("port2", here, 1)
			s.slow = func(call string) {
				if call != "ports" {
					return
				}
				select {
				case <-slow: // the audit's
					time.Sleep(40 * time.Second)
				default:
				}
			}
		})
		time.Sleep(55 * time.Second)
		p := proxy("p2", rid, 2)
		p.PortID = "port2"
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.wantPlaces(t, "during the audit", map[string]inventory.Place{"port": inventory.Here, "port2": inventory.Here})
		if len(slow) > 0 {
			t.Error("there was no audit")
		}
	})
}

// A message about a router waits for one call of an audit, not for all.
func TestAMessageGoesBetweenTheCallsOfAnAudit(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() { s.slow = func(string) { time.Sleep(10 * time.Second) } })
		time.Sleep(56 * time.Second) // the audit's proxies are being read
		s.took()
		s.set(func() {
			r := s.routers[rid]
			r.EnableNDPProxy = false
			s.routers[rid] = r
			s.routers["other"] = router("other")
		})
		s.events <- rpc.RouterAdded{IDs: []string{"other"}}
		time.Sleep(29 * time.Second) // the rest of it, the router, its proxies
		synctest.Wait()
		if _, known := s.inv.Router("other"); !known {
			t.Errorf("still not known, calls %v", s.took())
		}
		if e, _ := s.inv.Router(rid); !e.Router.Enabled {
			t.Error("the audit's routers came first")
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if e, _ := s.inv.Router(rid); e.Router.Enabled {
			t.Error("the audit did not go on")
		}
		s.set(func() { s.slow = nil })
	})
}

// Many ports are asked for in chunks, and each answer counts at once. A chunk
// that always fails keeps no other from its turn.
func TestPortsInChunks(t *testing.T) {
	const chunks = 4
	prepare := func(s setup) {
		dvr(s)
		for n := range chunks * 256 {
			p := proxy(fmt.Sprint("x", n), rid, n+10)
			p.PortID = fmt.Sprintf("port-%04d", n)
			s.proxies[p.ID], s.ports[p.PortID] = p, bound(p.PortID, here, 1)
		}
	}
	placed := func(s setup) int { e, _ := s.inv.Router(rid); return len(e.Places) }
	runningAs(t, rpc.ModeDVR, func(s setup) { prepare(s); s.slow = func(string) { time.Sleep(time.Second) } }, func(s setup) {
		time.Sleep(2500 * time.Millisecond) // routers, proxies
		for want := 0; want <= chunks; want++ {
			synctest.Wait()
			if got := placed(s); got != want*256 {
				t.Errorf("%d places after %d answers", got, want)
			}
			time.Sleep(time.Second)
		}
		s.set(func() { s.slow = nil })
	})
	runningAs(t, rpc.ModeDVR, func(s setup) { prepare(s); s.sickPorts = []string{"port-0001", "port-0300"} }, func(s setup) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := placed(s), chunks*256+1-2*256; got < want {
			t.Errorf("%d places beside two chunks that fail, want %d or more", got, want)
		}
		if n := len(s.took()); n > 40 {
			t.Errorf("%d calls", n)
		}
		s.set(func() { s.sickPorts = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := placed(s), chunks*256+1; got != want {
			t.Errorf("%d places when all is well, want %d", got, want)
		}
	})
}

var errSick = errors.New("no answer in time")

// sick reports whether one of the ports makes the server fail.
func (c *cloud) sick(ids []string) bool {
	return slices.ContainsFunc(c.sickPorts, func(id string) bool { return slices.Contains(ids, id) })
}
