package neutron_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

var errBroken = errors.New("broken")

func broken(kind string, n int) []rpc.Malformed {
	out := make([]rpc.Malformed, n)
	for i := range out {
		out[i] = rpc.Malformed{ID: fmt.Sprint(kind, i), Err: errBroken}
	}
	return out
}

// said counts the lines since the last call, but for those of debug level.
func (s setup) said() int {
	n := 0
	for _, e := range s.logs.TakeAll() {
		if e.Level.String() != "debug" {
			n++
		}
	}
	return n
}

// An answer in which a hundred thousand objects are broken takes some lines, and
// the next audit, in which they still are, none. One of them has the id of a good
// one (p1).
func TestManyBrokenObjectsAreSaidOnce(t *testing.T) {
	running(t, func(s setup) {
		s.said()
		s.set(func() { s.badProxy = broken("p", 100_000) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.said(); n < 2 || n > 40 {
			t.Errorf("the first audit said %d lines", n)
		}
		s.want(t, "with it", "p1")
		for range 5 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := s.said(); n != 0 {
				t.Errorf("an audit in which nothing changed said %d lines", n)
			}
		}
		s.set(func() { s.badProxy = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.said(); n < 1 || n > 40 {
			t.Errorf("the end said %d lines", n)
		}
	})
}

// The same for routers that have no name either: whatever else the answer does
// not name is left alone, and that takes no longer for many than for one.
func TestManyNamelessRouters(t *testing.T) {
	running(t, func(s setup) {
		s.said()
		start := time.Now()
		s.set(func() {
			for i := range 100_000 {
				s.bad = append(s.bad, rpc.Malformed{ID: fmt.Sprintf("#%d", i), Err: errBroken})
			}
			s.routers["other"] = router("other")
		})
		s.events <- rpc.RoutersUpdated{IDs: []string{rid, "other", "gone"}}
		synctest.Wait()
		if n := s.said(); n > 40 {
			t.Errorf("%d lines", n)
		}
		if !s.inv.Concerns("gone") {
			t.Error("a router that may be one of the nameless was taken for gone")
		}
		if took := time.Since(start); took > time.Second { // of the bubble's time: nothing was waited for
			t.Errorf("took %v", took)
		}
	})
}

// A flood of pushes for one router: some are taken, the rest is said once; the
// other router's comes through, and the next answer puts all right.
func TestAFloodOfPushes(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() { s.routers["other"] = router("other") })
		s.events <- rpc.RoutersUpdated{IDs: []string{"other"}}
		synctest.Wait()
		s.said()
		for n := range 40 {
			e := rpc.ProxiesPushed{Kind: rpc.Created}
			for i := range 1000 {
				e.Proxies = append(e.Proxies, proxy(fmt.Sprintf("f%d", 1000*n+i), rid, 16+i))
			}
			s.events <- e
		}
		s.events <- rpc.ProxiesPushed{Kind: rpc.Created, Proxies: []rpc.NDPProxy{proxy("o1", "other", 1)}}
		synctest.Wait()
		if n := len(s.published(t)); n != inventory.MaxProxies {
			t.Errorf("%d proxies of a flood of 40,000", n)
		}
		if e, _ := s.inv.Router("other"); len(e.Proxies) != 1 {
			t.Errorf("the other router has %v", e.Proxies)
		}
		if n := s.logs.FilterMessageSnippet("stays as it is").Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
		time.Sleep(3 * time.Second) // until the pushes are no evidence any more
		s.set(func() { s.proxies["o1"] = proxy("o1", "other", 1) })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.want(t, "after the audit", "p1")
	})
}

// A stream of router ids while the server does not answer is noted as
// "everything", which is what is asked for when it does.
func TestManyRoutersAreEverything(t *testing.T) {
	running(t, func(s setup) {
		s.set(func() { s.fail = errBroken })
		for n := range 200 {
			e := rpc.RoutersUpdated{}
			for i := range 1000 {
				e.IDs = append(e.IDs, fmt.Sprint(n, "-", i))
			}
			s.events <- e
		}
		synctest.Wait()
		s.took()
		s.set(func() { s.fail = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		full := false
		for _, call := range s.took() {
			var n int
			if _, err := fmt.Sscanf(call, "ids(%d)", &n); err == nil {
				full = true
			}
			if _, err := fmt.Sscanf(call, "routers(%d)", &n); err == nil && n > 8192 {
				t.Errorf("asked for %d routers", n)
			}
		}
		if !full {
			t.Error("never asked for everything")
		}
		s.want(t, "afterwards", "p1")
	})
}

// What the gateway port says of its network decides what is outside.
func TestOutside(t *testing.T) {
	running(t, func(s setup) {
		r := router(rid)
		r.Gateway.Subnets = []rpc.Subnet{{CIDR: netip.MustParsePrefix("2001:db8:e::/64")}, {CIDR: netip.MustParsePrefix("203.0.113.0/24")}}
		r.Gateway.ExtraSubnets = []rpc.Subnet{{CIDR: netip.MustParsePrefix("2001:db8:d::/64")}, {CIDR: netip.MustParsePrefix("2001:db8:e::/64")}}
		s.set(func() { s.routers[rid] = r })
		s.events <- rpc.RoutersUpdated{IDs: []string{rid}}
		synctest.Wait()
		if e, _ := s.inv.Router(rid); fmt.Sprint(e.Router.Outside) != "[2001:db8:d::/64 2001:db8:e::/64]" {
			t.Errorf("outside %v", e.Router.Outside)
		}
	})
}
