package sim_test

import (
	"testing"

	"neutron-ndp-proxy-agent/test/sim"
)

func TestLegacyStage(t *testing.T) {
	s := newStage(t, sim.Legacy, sim.ModeLegacy)
	s.Unpublish(s.proxy)
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
}

func TestHAStage(t *testing.T) {
	s := newStage(t, sim.HA, sim.ModeLegacy, sim.ModeLegacy)
	s.Failover(s.r, s.hosts[1])
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
}
