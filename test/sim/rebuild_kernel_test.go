package sim_test

import (
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

func namespaceAgain(t *testing.T, s *stage) {
	ns, _ := s.outside()
	s.again(t, func() { s.h.DeleteNamespace(ns) })
}

// again deletes something and lets the L3 agent make it again, with and without
// a while in between.
func (s *stage) again(t *testing.T, remove func()) {
	t.Helper()
	for range 3 {
		remove()
		s.SettleWithin(t, sim.Within)
		nettest.Eventually(t, sim.Within, "the loss is noticed", func() bool { return s.h.Daemon().Totals().Pending == 1 })
		unreachable(t, s.ext, s.vm)
		s.h.Rebuild()
		s.works(t, s.ext, s.vm)
		// And at once, so that nobody sees that it was away.
		remove()
		s.h.Rebuild()
		s.works(t, s.ext, s.vm)
	}
	unreachable(t, s.ext, s.hidden)
}

func deviceAgain(t *testing.T, s *stage) {
	s.again(t, func() { s.h.DeleteDevice(s.outside()) })
}

func renamed(t *testing.T, s *stage) {
	name, dev := s.outside()
	ns := s.h.Namespace(name)
	ns.Batch("link set "+dev+" down", "link set "+dev+" name away0", "link set away0 up")
	s.SettleWithin(t, sim.Within) // nothing of ours on away0
	unreachable(t, s.ext, s.vm)
	ns.Batch("link set away0 down", "link set away0 name "+dev, "link set "+dev+" up")
	s.h.Refresh(name)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
}

func macChanged(t *testing.T, s *stage) {
	name, dev := s.outside()
	ns := s.h.Namespace(name)
	for _, mac := range []string{"fa:16:3e:ff:00:01", "fa:16:3e:ff:00:02"} {
		s.ext.Upstream.Reaches(s.vm.Addr, time.Second) // it has an entry to be changed
		ns.Batch("link set " + dev + " address " + mac)
		nettest.Eventually(t, 2*time.Second, "the upstream's neighbour cache follows", func() bool {
			return s.ext.Upstream.Neighbour("eth0", s.vm.Addr).MAC.String() == mac
		})
		s.works(t, s.ext, s.vm)
	}
	unreachable(t, s.ext, s.hidden)
}

func linkDownAndUp(t *testing.T, s *stage) {
	name, dev := s.outside()
	ns := s.h.Namespace(name)
	ns.Batch("link set " + dev + " down")
	s.SettleWithin(t, sim.Within)
	unreachable(t, s.ext, s.vm)
	ns.Batch("link set " + dev + " up")
	s.h.Refresh(name)
	s.works(t, s.ext, s.vm)
	// At once, and only the carrier.
	ns.Batch("link set "+dev+" down", "link set "+dev+" up")
	s.h.Refresh(name)
	s.works(t, s.ext, s.vm)
	port := s.h.Port(name, dev)
	s.Fabric().Batch("link set " + port + " down")
	time.Sleep(300 * time.Millisecond)
	s.Fabric().Batch("link set " + port + " up")
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
}

func ipv6Toggled(t *testing.T, s *stage) {
	name, dev := s.outside()
	ns, key := s.h.Namespace(name), "net/ipv6/conf/"+dev+"/disable_ipv6"
	ns.Sysctl(key, "1")
	s.SettleWithin(t, sim.Within)
	unreachable(t, s.ext, s.vm)
	ns.Sysctl(key, "0")
	s.h.Refresh(name)
	s.works(t, s.ext, s.vm)
	ns.Sysctl(key, "1")
	ns.Sysctl(key, "0")
	s.h.Refresh(name)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
}

// A backup has no address whose loss would tell.
func ipv6ToggledOnBackup(t *testing.T, s *stage) {
	ns, key := s.hosts[1].Namespace(s.r.QRouter()), "net/ipv6/conf/"+s.r.Gateway.QG()+"/disable_ipv6"
	ns.Sysctl(key, "1")
	ns.Sysctl(key, "0")
	s.works(t, s.ext, s.vm)
	s.Failover(s.r, s.hosts[1])
	s.works(t, s.ext, s.vm)
}

func withoutIPv6Subnet(t *testing.T, s *stage) {
	bare := s.AddExternal(sim.ExternalOptions{Scope: scope, V4Only: true})
	s.SetGateway(s.r, bare)
	s.works(t, bare, s.vm)
	unreachable(t, bare, s.hidden)
	unreachable(t, s.ext, s.vm)
	s.SetGateway(s.r, s.ext)
	s.works(t, s.ext, s.vm)
}

func failover(t *testing.T, s *stage) {
	for _, h := range []*sim.Host{s.hosts[1], s.hosts[0], s.hosts[1]} {
		s.Failover(s.r, h)
		s.works(t, s.ext, s.vm)
		unreachable(t, s.ext, s.hidden)
	}
	s.Failover(s.r, nil) // nobody is primary
	s.works(t, s.ext)
	unreachable(t, s.ext, s.vm)
	s.Failover(s.r, s.h)
	s.works(t, s.ext, s.vm)
}
