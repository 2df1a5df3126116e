package sim_test

import (
	"testing"

	"neutron-ndp-proxy-agent/test/sim"
)

// rebuilds are the changes that an operator or Neutron makes to a router. Each
// starts from a working state, ends in the right one, shown by packets, and
// leaves nothing of ours anywhere once proxying is switched off.
func TestRebuild(t *testing.T) {
	t.Parallel()
	legacy := []string{sim.ModeLegacy}
	two := []string{sim.ModeLegacy, sim.ModeLegacy}
	dvr := []string{sim.ModeDVRSNAT, sim.ModeDVR}
	for _, c := range []struct {
		name  string
		kind  sim.Kind
		modes []string
		run   func(t *testing.T, s *stage)
	}{
		{"gateway changed to another network", sim.Legacy, legacy, gatewayChanged},
		{"gateway changed to another address scope", sim.Legacy, legacy, gatewayToAnotherScope},
		{"gateway removed", sim.Legacy, legacy, gatewayRemoved},
		{"internal subnet added and removed", sim.Legacy, legacy, subnetAddedAndRemoved},
		{"subnet of another address scope", sim.Legacy, legacy, subnetOfAnotherScope},
		{"router rescheduled and back", sim.Legacy, two, rescheduled},
		{"highly available router rescheduled and back", sim.HA, two, rescheduled},
		{"router deleted", sim.Legacy, legacy, deleted},
		{"router disabled and enabled", sim.Legacy, legacy, disabledAndEnabled},
		{"legacy router turned into a highly available one", sim.Legacy, two, turnedHA},
		{"namespace deleted and made again", sim.Legacy, legacy, namespaceAgain},
		{"device deleted and made again", sim.Legacy, legacy, deviceAgain},
		{"device renamed", sim.Legacy, legacy, renamed},
		{"link-layer address changed", sim.Legacy, legacy, macChanged},
		{"link down and up", sim.Legacy, legacy, linkDownAndUp},
		{"IPv6 disabled and enabled", sim.Legacy, legacy, ipv6Toggled},
		{"IPv6 disabled and enabled on a backup", sim.HA, two, ipv6ToggledOnBackup},
		{"external network without an IPv6 subnet", sim.Legacy, legacy, withoutIPv6Subnet},
		{"failover and back", sim.HA, two, failover},
		{"distributed: gateway changed to another network", sim.DVR, dvr, gatewayChanged},
		{"distributed: gateway changed to another address scope", sim.DVR, dvr, gatewayToAnotherScope},
		{"distributed: gateway removed", sim.DVR, dvr, gatewayRemoved},
		{"distributed: internal subnet added and removed", sim.DVR, dvr, subnetAddedAndRemoved},
		{"distributed: subnet of another address scope", sim.DVR, dvr, subnetOfAnotherScope},
		{"distributed: router deleted", sim.DVR, dvr, deleted},
		{"distributed: router disabled and enabled", sim.DVR, dvr, disabledAndEnabled},
		{"distributed: namespace deleted and made again", sim.DVR, dvr, namespaceAgain},
		{"distributed: the router's namespace deleted and made again", sim.DVR, dvr, innerNamespaceAgain},
		{"distributed: device deleted and made again", sim.DVR, dvr, deviceAgain},
		{"distributed: pair of devices deleted and made again", sim.DVR, dvr, pairAgain},
		{"distributed: device renamed", sim.DVR, dvr, renamed},
		{"distributed: link-layer address changed", sim.DVR, dvr, macChanged},
		{"distributed: link down and up", sim.DVR, dvr, linkDownAndUp},
		{"distributed: IPv6 disabled and enabled", sim.DVR, dvr, ipv6Toggled},
		{"distributed: the last port leaves and comes back", sim.DVR, []string{sim.ModeDVR, sim.ModeDVR}, lastPortLeaves},
		{"distributed: two routers in one namespace", sim.DVR, dvr, sharedNamespace},
		{"distributed: agent mode changed", sim.DVR, dvr, modeChanged},
		{"distributed: centre rescheduled and back", sim.DVR, []string{sim.ModeDVRSNAT, sim.ModeDVRSNAT, sim.ModeDVRNoExternal}, centreRescheduled},
		{"distributed: centre fails over and back", sim.DVRHA, []string{sim.ModeDVRSNAT, sim.ModeDVRSNAT, sim.ModeDVRNoExternal}, centreFailsOver},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.kind, c.modes...)
			c.run(t, s)
			s.nothingLeft(t)
		})
	}
}

// nothingLeft switches proxying off everywhere, whereupon the oracle wants
// nothing of ours in any namespace: no entry with our protocol, no table, no
// route, no rule, proxy_ndp 0, proxy_delay as it was.
func (s *stage) nothingLeft(t *testing.T) {
	t.Helper()
	for _, r := range s.Routers {
		s.Update(r, func() { r.Enabled = false })
	}
	s.SettleWithin(t, sim.Within)
	for _, h := range s.hosts {
		for _, d := range s.Dumps(h) {
			if d.Present || len(d.OurRoutes())+len(d.OurRules()) > 0 {
				t.Errorf("%s: something of ours is left: %+v", h.Name, d)
			}
		}
	}
}

func gatewayChanged(t *testing.T, s *stage) {
	other := s.AddExternal(sim.ExternalOptions{Scope: scope})
	_, before := s.outside()
	s.SetGateway(s.r, other)
	if _, now := s.outside(); now == before {
		t.Fatal("the device is the same")
	}
	s.works(t, other, s.vm)
	unreachable(t, other, s.hidden)
	unreachable(t, s.ext, s.vm)
	s.SetGateway(s.r, s.ext)
	s.works(t, s.ext, s.vm)
	unreachable(t, other, s.vm)
}

func gatewayToAnotherScope(t *testing.T, s *stage) {
	other := s.AddExternal(sim.ExternalOptions{Scope: "another"})
	s.SetGateway(s.r, other)
	s.works(t, other)
	unreachable(t, other, s.vm)
	unreachable(t, s.ext, s.vm)
	in := s.AddInternal(sim.InternalOptions{Scope: "another", Distributed: s.r.Kind.Distributed()})
	s.Attach(s.r, in)
	vm := s.AddInstance(in, s.h)
	s.Publish(s.r, vm)
	s.works(t, other, vm)
	s.SetGateway(s.r, s.ext)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, vm)
}

func gatewayRemoved(t *testing.T, s *stage) {
	s.SetGateway(s.r, nil)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
	s.SetGateway(s.r, s.ext)
	s.works(t, s.ext, s.vm)
	s.Unpublish(s.proxy) // what the API wants first
	s.SetGateway(s.r, nil)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
}

func subnetAddedAndRemoved(t *testing.T, s *stage) {
	in := s.AddInternal(sim.InternalOptions{Scope: scope, Distributed: s.r.Kind.Distributed()})
	s.Attach(s.r, in)
	vm, hidden := s.AddInstance(in, s.h), s.AddInstance(in, s.h)
	s.works(t, s.ext, s.vm)
	s.Publish(s.r, vm)
	s.works(t, s.ext, s.vm, vm)
	unreachable(t, s.ext, hidden)
	s.Detach(s.r, in)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, vm)
}

func subnetOfAnotherScope(t *testing.T, s *stage) {
	in := s.AddInternal(sim.InternalOptions{Scope: "another", Distributed: s.r.Kind.Distributed()})
	s.Attach(s.r, in)
	vm := s.AddInstance(in, s.h)
	s.Publish(s.r, vm)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, vm)
}

func rescheduled(t *testing.T, s *stage) {
	for _, h := range []*sim.Host{s.hosts[1], s.hosts[0]} {
		s.Reschedule(s.r, h)
		s.works(t, s.ext, s.vm)
		unreachable(t, s.ext, s.hidden)
		for _, o := range s.hosts {
			if o != h && o.Has(s.r.QRouter()) {
				t.Errorf("%s still has the namespace", o.Name)
			}
		}
	}
}

func deleted(t *testing.T, s *stage) {
	s.Forget(s.proxy) // its port was deleted, and nobody told
	s.DeleteRouter(s.r)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
	s.r = s.AddRouter(s.r.Kind, s.h)
	s.SetGateway(s.r, s.ext)
	s.Attach(s.r, s.in)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
	s.Publish(s.r, s.vm)
	s.vm.FlushNeighbours("eth0") // its default router is another one under the same address
	s.works(t, s.ext, s.vm)
}

func disabledAndEnabled(t *testing.T, s *stage) {
	for range 2 {
		s.Update(s.r, func() { s.r.Enabled = false })
		s.works(t, s.ext)
		unreachable(t, s.ext, s.vm)
		s.Update(s.r, func() { s.r.Enabled = true })
		s.works(t, s.ext, s.vm)
		s.Update(s.r, func() { s.r.Up = false }) // the L3 agent deletes the namespace
		s.works(t, s.ext)
		unreachable(t, s.ext, s.vm)
		s.Update(s.r, func() { s.r.Up = true })
		s.works(t, s.ext, s.vm)
	}
}

func turnedHA(t *testing.T, s *stage) {
	s.Update(s.r, func() { s.r.Up = false })
	s.Update(s.r, func() { s.r.Kind, s.r.Hosts, s.r.Primary, s.r.Up = sim.HA, s.hosts, s.hosts[1], true })
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
	if d := dump(t, s.h, s.r.QRouter()).Devices[s.r.Gateway.QG()]; d.ProxyNDP != "0" {
		t.Error("the backup answers")
	}
	s.Failover(s.r, s.h)
	s.works(t, s.ext, s.vm)
	s.Update(s.r, func() { s.r.Up = false })
	s.Update(s.r, func() { s.r.Kind, s.r.Hosts, s.r.Primary, s.r.Up = sim.Legacy, s.hosts[:1], nil, true })
	s.works(t, s.ext, s.vm)
}
