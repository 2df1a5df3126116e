package sim_test

import (
	"testing"

	"neutron-ndp-proxy-agent/test/sim"
)

// Instances on hosts of each mode are served by the right one, and only by it.
func TestDistributed(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.DVR, sim.ModeDVRSNAT, sim.ModeDVR, sim.ModeDVRNoExternal)
	edge, far := s.AddInstance(s.in, s.hosts[2]), s.AddInstance(s.in, s.hosts[1])
	hiddenEdge, hiddenFar := s.AddInstance(s.in, s.hosts[2]), s.AddInstance(s.in, s.hosts[1])
	pe, pf := s.Publish(s.r, edge), s.Publish(s.r, far)
	s.works(t, s.ext, s.vm, edge, far)
	for _, vm := range []*sim.Instance{s.hidden, hiddenEdge, hiddenFar} {
		unreachable(t, s.ext, vm)
	}
	for vm, h := range map[*sim.Instance]*sim.Host{s.vm: s.hosts[0], far: s.hosts[1]} {
		if got := s.answers(vm); len(got) != 1 || got[0] != h.Name+"/"+s.ext.FIP() {
			t.Errorf("%s is answered for by %v", vm.Addr, got)
		}
	}
	if got := s.answers(edge); len(got) != 1 || got[0] != s.h.Name+"/"+s.r.SNAT() {
		t.Errorf("%s is answered for by %v", edge.Addr, got)
	}
	s.Unpublish(pe)
	s.Unpublish(pf)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, edge)
	unreachable(t, s.ext, far)
	s.nothingLeft(t)
}

// answers are the namespaces that answer for an instance, as host/namespace.
func (s *stage) answers(vm *sim.Instance) (out []string) {
	for where, d := range s.Last {
		for _, p := range d.Proxies {
			if p.Dst == vm.Addr.String() && d.Devices[p.Dev].ProxyNDP == "1" {
				out = append(out, where)
			}
		}
	}
	return out
}
