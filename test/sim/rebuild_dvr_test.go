package sim_test

import (
	"testing"

	"neutron-ndp-proxy-agent/test/sim"
)

// outside is where the first host answers for its own instances.
func (s *stage) outside() (ns, device string) {
	if s.r.Kind.Distributed() {
		return s.r.Gateway.Net.FIP(), s.r.FG(s.h)
	}
	return s.r.QRouter(), s.r.Gateway.QG()
}

// The next hop is another one then: the pair is made again with it.
func innerNamespaceAgain(t *testing.T, s *stage) {
	s.again(t, func() { s.h.DeleteNamespace(s.r.QRouter()) })
}

func pairAgain(t *testing.T, s *stage) {
	s.again(t, func() { s.h.DeleteDevice(s.r.QRouter(), s.r.RFP()) })
	s.again(t, func() { s.h.DeleteDevice(s.ext.FIP(), s.r.FPR()) })
}

// The fip- namespace stays, with nothing of ours in it.
func lastPortLeaves(t *testing.T, s *stage) {
	s.Reschedule(s.r) // no centre
	s.works(t, s.ext, s.vm)
	for _, to := range []*sim.Host{s.hosts[1], s.hosts[0]} {
		from := s.vm.Host
		s.Move(s.hidden, to)
		s.Move(s.vm, to)
		s.works(t, s.ext, s.vm)
		unreachable(t, s.ext, s.hidden)
		if from.Has(s.r.QRouter()) || !from.Has(s.ext.FIP()) {
			t.Errorf("%s: the imitation is not as it should be", from)
		}
	}
	s.DeletePort(s.vm)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
}

func sharedNamespace(t *testing.T, s *stage) {
	in := s.AddInternal(sim.InternalOptions{Scope: scope, Distributed: true})
	r := s.AddRouter(sim.DVR, s.h)
	s.SetGateway(r, s.ext)
	s.Attach(r, in)
	vm, hidden := s.AddInstance(in, s.h), s.AddInstance(in, s.h)
	s.Publish(r, vm)
	s.works(t, s.ext, s.vm, vm)
	unreachable(t, s.ext, hidden)
	s.Update(r, func() { r.Enabled = false })
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, vm)
	s.Update(r, func() { r.Enabled = true })
	s.works(t, s.ext, s.vm, vm)
	s.Forget(s.Proxies(r)[0])
	s.DeleteRouter(r)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, vm)
}

// What the mode before had made is removed, or taken over.
func modeChanged(t *testing.T, s *stage) {
	far := s.AddInstance(s.in, s.hosts[1])
	s.Publish(s.r, far)
	s.works(t, s.ext, s.vm, far)
	s.SetMode(s.hosts[1], sim.ModeDVRNoExternal)
	for _, h := range s.hosts {
		h.Kill() // its peers learn of the mode with an audit, or at a start
		h.StartDaemon()
	}
	s.works(t, s.ext, s.vm, far)
	if got := s.answers(far); len(got) != 1 || got[0] != s.h.Name+"/"+s.r.SNAT() {
		t.Errorf("%s is answered for by %v", far.Addr, got)
	}
	s.SetMode(s.hosts[1], sim.ModeDVR)
	s.h.Daemon().Audit()
	s.works(t, s.ext, s.vm, far)
	if got := s.answers(far); len(got) != 1 || got[0] != s.hosts[1].Name+"/"+s.ext.FIP() {
		t.Errorf("%s is answered for by %v", far.Addr, got)
	}
}

// edge adds a published instance on a host that does not meet the external
// network, and one that is not published.
func (s *stage) edge(t *testing.T) (vm, hidden *sim.Instance) {
	t.Helper()
	vm, hidden = s.AddInstance(s.in, s.hosts[2]), s.AddInstance(s.in, s.hosts[2])
	s.Publish(s.r, vm)
	s.works(t, s.ext, s.vm, vm)
	unreachable(t, s.ext, hidden)
	return vm, hidden
}

func centreRescheduled(t *testing.T, s *stage) {
	vm, hidden := s.edge(t)
	for _, h := range []*sim.Host{s.hosts[1], s.hosts[0]} {
		s.Reschedule(s.r, h)
		vm.FlushNeighbours("eth0")
		s.works(t, s.ext, s.vm, vm)
		unreachable(t, s.ext, hidden)
		if got := s.answers(vm); len(got) != 1 || got[0] != h.Name+"/"+s.r.SNAT() {
			t.Errorf("%s is answered for by %v", vm.Addr, got)
		}
	}
}

func centreFailsOver(t *testing.T, s *stage) {
	vm, hidden := s.edge(t)
	for _, h := range []*sim.Host{s.hosts[1], s.hosts[0]} {
		s.Failover(s.r, h)
		s.works(t, s.ext, s.vm, vm)
		unreachable(t, s.ext, hidden)
		if got := s.answers(vm); len(got) != 1 || got[0] != h.Name+"/"+s.r.SNAT() {
			t.Errorf("%s is answered for by %v", vm.Addr, got)
		}
	}
}
