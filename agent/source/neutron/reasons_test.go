package neutron_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// What a message changes has it as its reason, whether its payload is applied or the
// server is asked; what an audit finds has none.
func TestChangesHaveTheirReasons(t *testing.T) {
	running(t, func(s setup) {
		const ns = "qrouter-" + rid
		head := func(request string) rpc.Header { return rpc.Header{RequestID: request, Received: time.Now()} }
		because := func(what string, requests ...string) {
			t.Helper()
			synctest.Wait()
			v := s.inv.View(ns)
			if diff := cmp.Diff(requests, v.Because.Requests()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			if len(requests) > 0 && time.Since(v.Because.Received()) > time.Second {
				t.Errorf("%s: received %v", what, v.Because.Received())
			}
			s.inv.Answered(ns, v)
		}
		because("the first sync")
		s.set(func() { s.proxies["p2"] = proxy("p2", rid, 2) })
		s.events <- rpc.ProxiesPushed{Header: head("req-push"), Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p2", rid, 2)}}
		because("a pushed proxy", "req-push")
		s.events <- rpc.ProxiesPushed{Header: head("req-else"), Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("p9", "elsewhere", 9)}}
		because("one of another host")
		s.events <- rpc.RoutersUpdated{Header: head("req-nothing"), IDs: []string{rid}}
		because("an update that changes nothing")
		s.set(func() { r := s.routers[rid]; r.EnableNDPProxy = false; s.routers[rid] = r })
		s.events <- rpc.RoutersUpdated{Header: head("req-update"), IDs: []string{rid}}
		because("an update", "req-update")
		s.set(func() { r := s.routers[rid]; r.EnableNDPProxy = true; s.routers[rid] = r })
		time.Sleep(5 * time.Minute)
		because("what audits found")
		s.set(func() { delete(s.routers, rid) })
		s.events <- rpc.RouterRemoved{Header: head("req-remove"), ID: rid}
		time.Sleep(secondThought)
		synctest.Wait()
		if got := s.inv.View(ns).Because.Requests(); len(got) != 1 || got[0] != "req-remove" {
			t.Errorf("a router that went: %v", got)
		}
	})
}
