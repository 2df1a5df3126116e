package sim_test

import (
	"context"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// The nodes of a highly available router share the gateway's link-layer
// address: whatever the backup sends moves the switches' forwarding entries away
// from the primary. Publishing an address must send nothing from there, neither
// an advertisement nor a report of a multicast listener.
func TestABackupSendsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.HA, sim.ModeLegacy, sim.ModeLegacy)
	time.Sleep(2 * time.Second) // what the kernel sends of a new device is over
	s.LearnFromMLD()
	backup := s.Fabric().Capture(s.hosts[1].Port(s.r.QRouter(), s.r.Gateway.QG()))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var p *sim.Proxy
	go func() {
		time.Sleep(200 * time.Millisecond)
		p = s.Publish(s.r, s.hidden)
		time.Sleep(time.Second)
		s.Unpublish(p)
	}()
	f := s.ext.Upstream.UDPFlow(ctx, s.vm.UDP(), 5*time.Millisecond)
	for _, f := range backup.Frames(func(f nettest.Frame) bool { return !f.Outgoing }) {
		t.Errorf("the backup sent ICMPv6 type %d from %s to %s", f.Type, f.Source, f.Dst)
	}
	if f.Sent != f.Received {
		t.Errorf("traffic to another address while one was published and withdrawn: %+v", f)
	}
}
