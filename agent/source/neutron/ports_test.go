package neutron_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

func bound(id, host string, revision int) rpc.BoundPort {
	return rpc.BoundPort{ID: id, Host: host, Revision: revision}
}

// dvr prepares a distributed router with one proxy, whose port is here.
func dvr(s setup) {
	s.routers[rid] = distributed(rid, here)
	s.ports["port"] = bound("port", here, 5)
}

// wantPlace checks where the router's port "port" is.
func (s setup) wantPlace(t *testing.T, what string, want inventory.Place) {
	t.Helper()
	s.wantPlaces(t, what, map[string]inventory.Place{"port": want})
}

func (s setup) wantPlaces(t *testing.T, what string, want map[string]inventory.Place) {
	t.Helper()
	e, _ := s.inv.Router(rid)
	if diff := cmp.Diff(want, e.Places); diff != "" {
		t.Errorf("%s: places (-want +got):\n%s", what, diff)
	}
}

// wantCalls checks the calls since the last time, in any order: those for ports
// are made beside the others.
func (s setup) wantCalls(t *testing.T, what string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(s.took()))); diff != "" {
		t.Errorf("%s: calls (-want +got):\n%s", what, diff)
	}
}

// push delivers a Port push and lets it have its effect.
func (s setup) push(kind rpc.ChangeKind, ports ...rpc.BoundPort) {
	s.events <- rpc.PortsPushed{Kind: kind, Ports: ports}
	synctest.Wait()
}

func TestCallsOfASyncAndAnAudit(t *testing.T) {
	many := func(s setup) {
		dvr(s)
		for n := range 40 {
			id := fmt.Sprintf("%08d-0000-0000-0000-000000000000", n)
			s.routers[id] = distributed(id, here)
			p := proxy(fmt.Sprint("x", n), id, n+10)
			p.PortID = fmt.Sprint("port-", n)
			s.proxies[p.ID], s.ports[p.PortID] = p, bound(p.PortID, fmt.Sprint("h", n%3), 1)
		}
	}
	for mode, agents := range map[string][]string{rpc.ModeDVR: nil, rpc.ModeDVRSNAT: {"agents(3)"}} {
		runningAs(t, mode, many, func(s setup) {
			want := append([]string{"ids(0)", "routers(41)", "proxies(41)", "ports(41)"}, agents...)
			s.wantCalls(t, mode+": first sync", want...)
			time.Sleep(time.Minute)
			synctest.Wait()
			want = append(append([]string{"proxies(41)", "probe(0)", "ports(41)"}, agents...), "routers(2)")
			s.wantCalls(t, mode+": audit", want...)
			s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
			synctest.Wait()
			s.wantCalls(t, mode+": router updated", "routers(1)", "proxies(1)", "ports(1)")
		})
	}
}

// Where no router is served by place, nobody asks for ports.
func TestNoPortsBesideAnAgentThatIsNotDistributed(t *testing.T) {
	for _, mode := range []string{"", rpc.ModeLegacy, rpc.ModeDVRNoExternal} {
		runningAs(t, mode, dvr, func(s setup) {
			s.push(rpc.Updated, bound("port", "h1", 6))
			s.push(rpc.Deleted, bound("port", "", 0))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			for _, c := range s.took() {
				switch c {
				case "ids(0)", "routers(1)", "proxies(1)":
				default:
					t.Errorf("%q: called %s", mode, c)
				}
			}
		})
	}
	// Nor for those of centralised routers beside one that is.
	runningAs(t, rpc.ModeDVRSNAT, func(s setup) {}, func(s setup) {
		s.wantCalls(t, "a legacy router", "ids(0)", "routers(1)", "proxies(1)")
	})
}

// A port moves away and back: known at once from what is pushed.
func TestAPortMoves(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.wantPlace(t, "at first", inventory.Here)
		s.took()
		for range 2 { // at two versions
			s.push(rpc.Updated, bound("port", "h1", 6))
			s.wantPlace(t, "moved away", inventory.Elsewhere)
		}
		s.push(rpc.Updated, bound("port", here, 8), bound("unknown", here, 1))
		s.wantPlace(t, "moved back", inventory.Here)
		s.push(rpc.Updated, bound("port", "", 9))
		s.wantPlace(t, "unbound", inventory.Elsewhere)
		s.wantCalls(t, "for all that")
		if n := s.logs.FilterMessage("port moved").Len(); n != 3 {
			t.Errorf("said %d times", n)
		}
	})
}

// Two servers may push in another order than they wrote.
func TestAnOldPortPushIsNotBelieved(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.push(rpc.Updated, bound("port", "h1", 7))
		s.push(rpc.Updated, bound("port", here, 6))
		s.wantPlace(t, "an older revision", inventory.Elsewhere)
		s.set(func() { s.ports["port"] = bound("port", "h1", 7) })
		s.took()
		s.events <- rpc.PortsPushed{Header: rpc.Header{Redelivered: true}, Kind: rpc.Updated, Ports: []rpc.BoundPort{bound("port", here, 8)}}
		synctest.Wait()
		s.wantCalls(t, "delivered before", "ports(1)")
		s.wantPlace(t, "delivered before", inventory.Elsewhere)
		// A database that was put back: after the break, what it says counts.
		s.set(func() { s.ports["port"] = bound("port", here, 2) })
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		s.wantPlace(t, "an earlier state", inventory.Here)
		s.push(rpc.Updated, bound("port", "h1", 3))
		s.wantPlace(t, "and on from there", inventory.Elsewhere)
	})
}

// On the node of the centralised gateway, the mode of the other host's agent
// decides; it is asked for once.
func TestAPortMovesToAHostWithoutExternalNetwork(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, dvr, func(s setup) {
		s.set(func() { s.modes["edge"], s.modes["dvr"] = rpc.ModeDVRNoExternal, rpc.ModeDVR })
		s.took()
		s.set(func() { s.ports["port"] = bound("port", "edge", 6) })
		s.set(func() { s.slow = func(string) { time.Sleep(time.Second) } })
		s.push(rpc.Updated, bound("port", "edge", 6))
		s.wantPlace(t, "before the mode is known, it is not here at any rate", inventory.Elsewhere)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.wantPlace(t, "to the edge", inventory.Edge)
		s.wantCalls(t, "to a host that nobody knows", "agents(1)")
		s.push(rpc.Updated, bound("port", here, 7))
		s.wantPlace(t, "here", inventory.Here)
		s.push(rpc.Updated, bound("port", "edge", 8))
		s.wantPlace(t, "to the edge again", inventory.Edge)
		s.wantCalls(t, "to a host that is known")
		// Its agent is told to meet the external network itself.
		s.set(func() { s.modes["edge"] = rpc.ModeDVR; s.ports["port"] = bound("port", "edge", 8) })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantPlace(t, "after an audit", inventory.Elsewhere)
		// A host without an L3 agent.
		s.set(func() { s.ports["port"] = bound("port", "none", 9) })
		s.took()
		s.push(rpc.Updated, bound("port", "none", 9))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		s.wantPlace(t, "to a host without agent", inventory.Elsewhere)
		s.wantCalls(t, "once", "agents(1)")
	})
}

// A proxy of a port that nobody has mentioned: one round trip.
func TestAProxyOfAnUnknownPort(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.took()
		s.set(func() { s.ports["port2"] = bound("port2", here, 1) })
		p := proxy("p2", rid, 2)
		p.PortID = "port2"
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.wantCalls(t, "asked", "ports(1)")
		s.wantPlaces(t, "told", map[string]inventory.Place{"port": inventory.Here, "port2": inventory.Here})
		// Another proxy of a port that is known.
		p.ID = "p3"
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		synctest.Wait()
		s.wantCalls(t, "not asked")
	})
}

// It is pushed while the first sync has not asked for its router yet.
func TestAProxyOfAnUnknownPortDuringASync(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.took()
		p := proxy("p2", rid, 2)
		p.PortID = "port2"
		s.set(func() {
			s.ports["port2"] = bound("port2", here, 1)
			s.slow = func(call string) {
				if call == "ports" {
					time.Sleep(time.Second)
				}
			}
		})
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{p}}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		s.wantPlaces(t, "at last", map[string]inventory.Place{"port": inventory.Here, "port2": inventory.Here})
		s.wantCalls(t, "the sync, then the port", "ids(0)", "routers(1)", "proxies(1)", "ports(1)", "ports(1)")
	})
}

// The port moves while the answer that tells where it was is on its way, also
// if it is the first that is heard of the port.
func TestAMoveDuringAPullWins(t *testing.T) {
	runningAs(t, rpc.ModeDVR, func(setup) {}, func(s setup) {
		s.set(func() {
			dvr(s)
			s.slow = func(call string) {
				if call == "ports" {
					time.Sleep(time.Second)
				}
			}
		})
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}} // it becomes distributed
		synctest.Wait()
		if !s.inv.WantsPort("port") {
			t.Fatal("the push would not be let through")
		}
		s.push(rpc.Updated, bound("port", "h1", 6))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.wantPlace(t, "after the answer", inventory.Elsewhere)
	})
}
