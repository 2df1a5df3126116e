package explain_test

import (
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/test/nettest"
)

// outsideBreakages are what only a probe from outside shows.
func outsideBreakages() []breakage {
	return []breakage{
		{"another host answers for the address as well (with --probe)", explain.LinkUpstream, "besides this device (02:00:00:00:00:02) also 02:00:00:00:00:09", "bridge fdb show br brq-1", func(s *stage) func() {
			other := s.Namespace("other")
			forwards(other)
			s.Veth(s.host, "tap9", other, qg)
			other.IP("link", "set", qg, "down")
			other.IP("link", "set", qg, "address", "02:00:00:00:00:09")
			other.IP("link", "set", qg, "up")
			other.LinkLocal(qg)
			other.Sysctl("net/ipv6/conf/"+qg+"/proxy_ndp", "1")
			other.Sysctl("net/ipv6/neigh/"+qg+"/proxy_delay", "0")
			other.IP("-6", "neigh", "add", "proxy", published.String(), "dev", qg)
			s.host.IP("link", "set", "tap9", "master", bridge)
			return func() { s.host.IP("link", "del", "tap9") }
		}},
		{"the upstream knows a wrong link-layer address (with --probe, while it sends)", explain.LinkUpstream, "packets for it are sent to 02:00:00:00:00:77", "announce 2001:db8:0:1::5", func(s *stage) func() {
			s.outside.IP("-6", "neigh", "replace", published.String(), "lladdr", "02:00:00:00:00:77", "dev", "eth0", "nud", "permanent")
			ping := s.outside.StartTo(nil, "ping", "-6", "-n", "-q", "-i", "0.05", published.String())
			return func() {
				_ = ping.Process.Kill()
				s.outside.IP("-6", "neigh", "del", published.String(), "dev", "eth0")
			}
		}},
		{"a filter on the host's bridge drops solicitations (with --probe)", explain.LinkUpstream, "asked from bridge brq-1: nobody answers", "tcpdump -eni brq-1", func(s *stage) func() {
			s.host.Run("nft", "add table bridge mine; add chain bridge mine forward { type filter hook forward priority 0; policy accept; }")
			s.host.Run("nft", "add rule bridge mine forward icmpv6 type nd-neighbor-solicit drop")
			return func() { s.host.Run("nft", "delete table bridge mine") }
		}},
	}
}

// What a probe makes is gone after it.
func TestAProbeLeavesNothing(t *testing.T) {
	s := bridged(t)
	s.probes = true
	x := s.play()
	s.well(x, "at first")
	before := s.host.IP("-o", "link")
	a := s.about(x)
	if l := a.Links[len(a.Links)-1]; l.Status != explain.OK || !strings.Contains(l.Facts, "answered with 02:00:00:00:00:02 after") {
		t.Errorf("%+v", l)
	}
	nettest.Eventually(t, 5*time.Second, "the throw-away device to go", func() bool { return s.host.IP("-o", "link") == before })
}
