//go:build rabbitmq

package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/sim"
)

// churnFaults are namespaces and devices that come, go and change while we write,
// as with an L3 agent that is restarted while it builds.
func churnFaults() []fault {
	victim := []string{"victim"}
	rebuild := func(s *stage, _ *testing.T) { s.host.Rebuild() }
	return []fault{
		{name: "namespace deleted and built again", hits: victim, opens: true, hold: time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) { s.host.DeleteNamespace(s.victim.namespace) }, undo: rebuild},
		{name: "L3 agent stops half way", hits: victim, opens: true, hold: audit + time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) {
				s.host.DeleteNamespace(s.victim.namespace)
				s.host.BuildHalf()
			}, undo: rebuild},
		{name: "gateway device deleted and made again", hits: victim, hold: time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) { s.host.DeleteDevice(s.victim.namespace, s.victim.device) }, undo: rebuild},
		{name: "gateway device deleted and half made", hits: victim, hold: audit + time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) {
				s.host.DeleteDevice(s.victim.namespace, s.victim.device)
				s.host.BuildHalf()
			}, undo: rebuild},
		{name: "pair of a distributed router deleted and made again", hits: []string{"dvr"}, hold: time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) { s.host.DeleteDevice(s.dvr.r.QRouter(), s.dvr.r.RFP()) }, undo: rebuild},
		{name: "gateway device flapped", hits: victim, within: repaired,
			do: func(s *stage, _ *testing.T) {
				var lines []string
				for range 150 {
					lines = append(lines, "link set "+s.victim.device+" down", "link set "+s.victim.device+" up")
				}
				s.host.Namespace(s.victim.namespace).Batch(lines...)
				s.host.Refresh(s.victim.namespace)
			}},
		{name: "gateway device renamed and renamed back", hits: victim, hold: time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) { s.rename(s.victim, s.victim.device, "renamed") },
			undo: func(s *stage, _ *testing.T) {
				s.rename(s.victim, "renamed", s.victim.device)
				s.host.Refresh(s.victim.namespace)
			}},
		{name: "gateway device moved away and back", hits: victim, hold: time.Second, within: repaired,
			do: func(s *stage, _ *testing.T) {
				s.host.Namespace(s.victim.namespace).IP("link", "set", s.victim.device, "netns", s.root.Path)
			},
			undo: func(s *stage, _ *testing.T) {
				s.root.IP("link", "set", s.victim.device, "netns", s.host.Namespace(s.victim.namespace).Path)
				s.host.Namespace(s.victim.namespace).IP("link", "set", s.victim.device, "up")
				s.host.Refresh(s.victim.namespace)
			}},
		{name: "gateway device made again at a high rate", hits: victim, within: repaired,
			do: func(s *stage, _ *testing.T) {
				for range 15 {
					s.host.DeleteDevice(s.victim.namespace, s.victim.device)
					s.host.Rebuild()
				}
			}},
		{name: "namespace made again at a high rate", hits: victim, opens: true, within: repaired,
			do: func(s *stage, _ *testing.T) {
				for range 8 {
					s.host.DeleteNamespace(s.victim.namespace)
					s.host.Rebuild()
				}
			}},
		{name: "namespaces of others come and go", within: repaired,
			do: func(s *stage, _ *testing.T) {
				for i := range 60 {
					n := s.host.Lab.Namespace(fmt.Sprintf("qrouter-00000000-5c1a-4000-8000-%012x", i%7))
					n.Device("qg-00000000-00")
					s.host.Lab.Delete(n)
				}
			}},
		{name: "kill -9 while devices come and go", hits: victim, opens: true, within: reconnected, renews: true,
			do: func(s *stage, _ *testing.T) {
				for i := range 5 {
					d := s.daemon
					// Somewhere within the building, of another length each time.
					timer := time.AfterFunc(time.Duration(20+37*i*i)*time.Millisecond, d.kill)
					for n := 0; !d.ended() && n < 50; n++ {
						if n%2 == 0 {
							s.host.DeleteDevice(s.victim.namespace, s.victim.device)
						} else {
							s.host.DeleteNamespace(s.victim.namespace)
						}
						s.host.Rebuild()
					}
					<-d.exited
					timer.Stop()
					s.daemon = launch(s.t, s.root, s.dir, s.config())
				}
			}},
		networkAdded(),
	}
}

// rename needs a device that is down, so that its addresses go, too.
func (s *stage) rename(p *part, from, to string) {
	s.host.Namespace(p.namespace).Batch("link set "+from+" down", "link set "+from+" name "+to, "link set "+to+" up")
}

// networkAdded adds an interface to a router that publishes, and takes it away
// again: nothing may get in before we are told of the network, nor while the
// device outlives it. The upstream knows where to send without asking.
func networkAdded() fault {
	var in *sim.Internal
	var vm *sim.Instance
	var leak *flow
	return fault{
		name: "network added to a router and taken away", hold: 2 * time.Second, within: repaired,
		do: func(s *stage, t *testing.T) {
			if in == nil || in != s.Internals[len(s.Internals)-1] {
				in = s.AddInternal(sim.InternalOptions{Scope: scope})
				vm = s.AddInstance(in, s.host)
				s.AwaitLinks()
			}
			mac := strings.TrimSpace(s.host.Namespace(s.victim.namespace).MAC(s.victim.device).String())
			s.ext.Upstream.Run("ip", "-6", "neigh", "replace", vm.Addr.String(), "lladdr", mac, "dev", "eth0", "nud", "permanent")
			leak = startFlow(t, s.ext.Upstream, vm.UDP(), time.Millisecond)
			time.Sleep(50 * time.Millisecond)
			s.Attach(s.victim.r, in)
			s.host.Namespace(s.victim.namespace).Reaches(vm.Addr, 5*time.Second) // from inside, so it is there
		},
		undo: func(s *stage, t *testing.T) {
			s.Detach(s.victim.r, in)
			time.Sleep(200 * time.Millisecond)
			if got := leak.answered(0, leak.mark()); got > 0 {
				t.Errorf("%d of %d datagrams got into a network that was just added", got, leak.mark())
			}
			t.Logf("%d datagrams sent to the new network, none got in", leak.mark())
		},
	}
}
