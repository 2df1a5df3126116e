package sim_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// The distributed part of the list, on hosts with agent_mode dvr, and with the
// centre on one with dvr_snat.
func TestConformanceDistributed(t *testing.T) {
	t.Parallel()
	t.Run("C6_C7_dvr", func(t *testing.T) {
		t.Parallel()
		c6c7(t, newStage(t, sim.DVR, sim.ModeDVR, sim.ModeDVR))
	})
	t.Run("C8_dvr_snat", func(t *testing.T) {
		t.Parallel()
		c8(t, newStage(t, sim.DVR, sim.ModeDVRSNAT, sim.ModeDVRSNAT, sim.ModeDVRNoExternal))
	})
	t.Run("U1_the_way_before_the_answer", func(t *testing.T) {
		t.Parallel()
		wayBeforeAnswer(t, newStage(t, sim.DVR, sim.ModeDVR))
	})
	t.Run("U2_an_update_without_a_change_writes_nothing", func(t *testing.T) {
		t.Parallel()
		u2(t, newStage(t, sim.DVR, sim.ModeDVR))
	})
}

func c6c7(t *testing.T, s *stage) {
	far := s.AddInstance(s.in, s.hosts[1])
	s.Publish(s.r, far)
	s.works(t, s.ext, s.vm, far)
	d, fg := dump(t, s.h, s.ext.FIP()), s.r.FG(s.h)
	if got := d.Devices[fg].ProxyNDP; got != "1" {
		t.Errorf("C6: proxy_ndp of %s reads %q", fg, got)
	}
	if len(d.Proxies) != 1 || d.Proxies[0].Dst != s.vm.Addr.String() || d.Proxies[0].Dev != fg {
		t.Errorf("C7: entries %v, want one on %s for the port that is here", d.Proxies, fg)
	}
	next := dump(t, s.h, s.r.QRouter()).Devices[s.r.RFP()].LinkLocal()
	i := slices.IndexFunc(d.Routes, func(r sim.RouteDump) bool { return r.Dst == s.vm.Addr.String() })
	if i < 0 {
		t.Fatalf("C7: no route to %s in %v", s.vm.Addr, d.Routes)
	}
	// Upstream marks it static; ours has our protocol.
	if r := d.Routes[i]; r.Gateway != next.String() || r.Dev != s.r.FPR() || r.Table != "254" || r.Metric != 1024 || r.Protocol != sim.Protocol || r.Type != "1" {
		t.Errorf("C7: route %+v, want via %s dev %s", r, next, s.r.FPR())
	}
}

// c8 is C1 to C5 in the snat- namespace, for instances on a host whose L3 agent
// is reported as dvr_no_external.
func c8(t *testing.T, s *stage) {
	vm, hidden := s.edge(t)
	d, qg := dump(t, s.h, s.r.SNAT()), s.r.Gateway.QG()
	if got := d.Devices[qg].ProxyNDP; got != "1" {
		t.Errorf("C1: proxy_ndp reads %q", got)
	}
	for _, x := range []*sim.Instance{vm, hidden} {
		s.viaGateway(x)
	}
	s.ext.Upstream.Reaches(vm.Addr, 2*time.Second)
	s.ext.Upstream.Unreachable(hidden.Addr) // C2
	if got := d.Sets["guarded-"+qg]; !slices.Equal(got, []string{s.in.Prefix.String()}) {
		t.Errorf("C3: guarded %v", got)
	}
	if len(d.Proxies) != 1 || d.Proxies[0].Dst != vm.Addr.String() || !slices.Equal(d.Sets["published-"+qg], []string{vm.Addr.String()}) {
		t.Errorf("C4: entries %v, let in %v", d.Proxies, d.Sets["published-"+qg])
	}
	s.Update(s.r, func() { s.r.Enabled = false })
	s.works(t, s.ext)
	if d = dump(t, s.h, s.r.SNAT()); d.Present || len(d.Proxies) > 0 || d.Devices[qg].ProxyNDP != "0" {
		t.Errorf("C5: left %+v", d)
	}
	s.ext.Upstream.Run("ip", "-6", "route", "del", vm.Addr.String())
	unreachable(t, s.ext, vm)
}

// wayBeforeAnswer: the upstream holds back what it has for an address until
// somebody answers for it, and then sends it at once. None of it may be lost: by
// the first answer the way is there. A rain of solicitations sees to it that the
// first answer comes as early as it can.
func wayBeforeAnswer(t *testing.T, s *stage) {
	vm := s.AddInstance(s.in, s.h)
	s.works(t, s.ext, s.vm)
	stop := s.rain(t, vm)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	flow := make(chan nettest.Flow)
	go func() { flow <- s.ext.Upstream.UDPFlow(ctx, vm.UDP(), time.Millisecond) }()
	time.Sleep(50 * time.Millisecond)
	s.Publish(s.r, vm)
	f := <-flow
	stop()
	if f.Received == 0 || f.Received != f.Sent {
		t.Errorf("%+v", f)
	}
	s.works(t, s.ext, s.vm, vm)
}
