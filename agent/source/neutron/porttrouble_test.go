package neutron_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// The proxies of a deleted port go with it, untold.
func TestAPortIsDeleted(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.took()
		s.set(func() { delete(s.ports, "port"); delete(s.proxies, "p1") })
		s.push(rpc.Deleted, bound("port", "", 0), bound("of another host", "", 0))
		s.want(t, "deleted")
		s.wantCalls(t, "asked", "proxies(1)")
	})
}

// The node of the database that answers still lists the port and its proxies, or
// another server's push comes late: it is nowhere all the same.
func TestADeletedPortIsNowhereAtOnce(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.push(rpc.Deleted, bound("port", "", 0))
		s.want(t, "still listed", "p1")
		s.wantPlace(t, "deleted", inventory.Elsewhere)
		s.push(rpc.Updated, bound("port", here, 6))
		s.wantPlace(t, "a late push", inventory.Elsewhere)
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		s.wantPlace(t, "an answer from before", inventory.Elsewhere)
	})
}

// A port that is gone although its proxy is still listed is nowhere.
func TestAPortThatDoesNotExist(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.set(func() { delete(s.ports, "port") })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantPlace(t, "after an audit", inventory.Elsewhere)
	})
}

// What cannot be read stays where it was, is said once, and is asked for again
// with the audits, not all the time.
func TestAPortThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"port", "#0"} {
		runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
			s.set(func() {
				s.badPort = []rpc.Malformed{{ID: name, Err: errors.New("binding: status is missing")}}
				delete(s.ports, "port")
				p := proxy("p2", rid, 2)
				p.PortID = "new"
				s.proxies["p2"] = p
			})
			if name == "port" {
				s.set(func() {
					s.badPort = append(s.badPort, rpc.Malformed{ID: "new", Err: errors.New("binding: status is missing")})
				})
			}
			s.took()
			s.events <- rpc.Subscribed{}
			time.Sleep(30 * time.Second)
			synctest.Wait()
			s.wantPlace(t, name+": unreadable", inventory.Here)
			if n := len(s.took()); n > 5 {
				t.Errorf("%s: %d calls", name, n)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			s.wantPlace(t, name+": after some audits", inventory.Here)
			if n := s.logs.FilterMessageSnippet("what is published stays").Len(); n > 2 {
				t.Errorf("%s: said %d times", name, n)
			}
			s.set(func() {
				s.badPort = nil
				s.ports["port"], s.ports["new"] = bound("port", "h1", 6), bound("new", here, 1)
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			s.wantPlaces(t, name+": well again", map[string]inventory.Place{"port": inventory.Elsewhere, "new": inventory.Here})
		})
	}
}

func TestAPushedPortThatCannotBeRead(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.took()
		s.set(func() { s.ports["port"] = bound("port", "h1", 6) })
		bad := func(id string) {
			s.events <- rpc.PortsPushed{Kind: rpc.Updated, Malformed: []rpc.Malformed{{ID: id, Err: errors.New("binding: status is missing")}}}
			synctest.Wait()
		}
		bad("#0")
		bad("of another host")
		s.wantCalls(t, "not known to be ours")
		s.wantPlace(t, "not known to be ours", inventory.Here)
		bad("port")
		s.wantCalls(t, "ours", "ports(1)")
		s.wantPlace(t, "ours", inventory.Elsewhere)
	})
}

// Nothing but the ports' own addresses waits for the ports and the modes of L3
// agents: the routers are known without, in sync, and no place is guessed.
func TestTheFirstSyncDoesNotWaitForPorts(t *testing.T) {
	const legacy = "782b66ef-8091-4c31-8feb-2776917b61cb"
	unread := []rpc.Malformed{{ID: "h1", Err: errors.New("configurations: not a JSON object")}}
	for what, c := range map[string]struct {
		trouble func(s setup)
		want    map[string]inventory.Place // meanwhile
	}{
		"ports":                {func(s setup) { s.failPorts = errors.New("OperationalError") }, map[string]inventory.Place{}},
		"agents":               {func(s setup) { s.failAgents = errors.New("OperationalError") }, map[string]inventory.Place{"port": inventory.Here}},
		"a malformed agent":    {func(s setup) { s.badAgent = unread }, map[string]inventory.Place{"port": inventory.Here}},
		"some malformed agent": {func(s setup) { s.badAgent = unread; s.badAgent[0].ID = "#0" }, map[string]inventory.Place{"port": inventory.Here}},
		"a malformed port": {func(s setup) {
			s.badPort = []rpc.Malformed{{ID: "edge", Err: errors.New("binding: status is missing")}}
		},
			map[string]inventory.Place{"port": inventory.Here}},
	} {
		prepare := func(s setup) {
			dvr(s)
			p := proxy("p2", rid, 2)
			p.PortID = "edge"
			s.proxies["p2"], s.ports["edge"], s.modes["h1"] = p, bound("edge", "h1", 1), rpc.ModeDVRNoExternal
			s.routers[legacy] = router(legacy)
			c.trouble(s)
		}
		runningAs(t, rpc.ModeDVRSNAT, prepare, func(s setup) {
			for range 2 {
				if _, known := s.inv.Router(legacy); !known || !s.inv.Synced() {
					t.Errorf("%s: the centralised router is known: %v, in sync: %v", what, known, s.inv.Synced())
				}
				s.wantPlaces(t, what, c.want)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
			}
			s.set(func() { s.failPorts, s.failAgents, s.badPort, s.badAgent = nil, nil, nil, nil })
			time.Sleep(time.Minute)
			synctest.Wait()
			s.wantPlaces(t, what, map[string]inventory.Place{"port": inventory.Here, "edge": inventory.Edge})
		})
	}
}

// A mode that was known counts while it cannot be read; a port that moves to a
// host of which none is known is held where it was, if that was at the edge.
func TestAnL3AgentThatCannotBeRead(t *testing.T) {
	runningAs(t, rpc.ModeDVRSNAT, func(s setup) {
		dvr(s)
		s.ports["port"] = bound("port", "h1", 5)
		s.modes["h1"] = rpc.ModeDVRNoExternal
	}, func(s setup) {
		s.wantPlace(t, "at first", inventory.Edge)
		s.set(func() {
			s.badAgent = []rpc.Malformed{{ID: "h1", Err: errors.New("configurations: not a JSON object")},
				{ID: "h2", Err: errors.New("configurations: not a JSON object")}}
		})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		s.wantPlace(t, "unreadable", inventory.Edge)
		s.set(func() { s.ports["port"] = bound("port", "h2", 6) })
		s.push(rpc.Updated, bound("port", "h2", 6))
		s.wantPlaces(t, "to a host of which nothing is known", map[string]inventory.Place{})
		s.set(func() { s.badAgent = nil; s.modes["h2"] = rpc.ModeDVR })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantPlace(t, "well again", inventory.Elsewhere)
	})
}

// Later, they keep their places, and everything else goes on.
func TestPortsThatCannotBeHadHoldUpNothing(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.set(func() {
			s.failPorts = errors.New("OperationalError")
			s.ports["port"] = bound("port", "h1", 6)
			p := proxy("p2", rid, 2)
			s.proxies["p2"] = p
		})
		s.took()
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		s.want(t, "after the sync", "p1", "p2")
		s.wantPlace(t, "after the sync", inventory.Here)
		s.set(func() { delete(s.proxies, "p1") })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		s.want(t, "after audits", "p2")
		s.wantPlace(t, "after audits", inventory.Here)
		if n := len(s.took()); n > 100 {
			t.Errorf("%d calls in ten minutes", n)
		}
		// It still hears of them.
		s.push(rpc.Updated, bound("port", "h2", 7))
		s.wantPlace(t, "pushed", inventory.Elsewhere)
		s.set(func() { s.failPorts = nil; s.ports["port"] = bound("port", here, 8) })
		time.Sleep(31 * time.Second)
		synctest.Wait()
		s.wantPlace(t, "well again", inventory.Here)
		if n := s.logs.FilterMessageSnippet("well again").Len(); n == 0 {
			t.Error("nobody was told")
		}
	})
}

// An exchange that cannot be asked for is said once; the audit goes on.
func TestAProbeThatFails(t *testing.T) {
	runningAs(t, rpc.ModeDVR, dvr, func(s setup) {
		s.set(func() { s.failProbe = errors.New("access refused"); s.ports["port"] = bound("port", "h1", 6) })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		s.wantPlace(t, "after audits", inventory.Elsewhere)
		if n := s.logs.FilterMessageSnippet("what is published stays").Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
		s.set(func() { s.failProbe = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.logs.FilterMessageSnippet("well again").Len(); n != 1 {
			t.Errorf("said %d times that it is well", n)
		}
	})
}

// A router that cannot be read may be on any external network.
func TestWhatIsHeldOfADistributedRouter(t *testing.T) {
	const sick = "782b66ef-8091-4c31-8feb-2776917b61cb"
	for mode, fip := range map[string]bool{rpc.ModeLegacy: false, rpc.ModeDVR: true, rpc.ModeDVRSNAT: true, rpc.ModeDVRNoExternal: false} {
		prepare := func(s setup) {
			dvr(s)
			s.bad = []rpc.Malformed{{ID: sick, Err: errors.New("gw_port is missing")}}
		}
		runningAs(t, mode, prepare, func(s setup) {
			for ns, want := range map[string]bool{"qrouter-" + sick: true, "snat-" + sick: true, "fip-of-any-network": fip, "qrouter-other": false} {
				if _, held := s.inv.Namespace(ns); held != want {
					t.Errorf("%s: %s held: %v", mode, ns, held)
				}
			}
			s.set(func() { s.bad = nil; s.routers[sick] = distributed(sick, here) })
			time.Sleep(time.Minute)
			synctest.Wait()
			if _, held := s.inv.Namespace("fip-of-any-network"); held {
				t.Errorf("%s: held although it can be read", mode)
			}
		})
	}
}

// What the server lists of a router is read by an audit, with its ports, before
// anything of it counts.
func TestARouterThatCanBeReadAgainComesWithItsPorts(t *testing.T) {
	const sick = "782b66ef-8091-4c31-8feb-2776917b61cb"
	prepare := func(s setup) {
		dvr(s)
		s.bad = []rpc.Malformed{{ID: sick, Err: errors.New("gw_port is missing")}}
	}
	runningAs(t, rpc.ModeDVR, prepare, func(s setup) {
		s.set(func() {
			s.bad = nil
			s.routers[sick] = distributed(sick, here)
			p := proxy("p2", sick, 2)
			p.PortID = "port2"
			s.proxies["p2"], s.ports["port2"] = p, bound("port2", here, 1)
		})
		s.took()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantCalls(t, "one audit", "proxies(1)", "probe(0)", "ports(1)", "routers(2)", "proxies(1)", "ports(1)")
		if e, _ := s.inv.Router(sick); e.Places["port2"] != inventory.Here {
			t.Errorf("%+v", e)
		}
	})
}
