package sim_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// TestConformance is the list of what upstream's own tests of its in-agent
// extension assert in memory (test_ndp_proxy_extension.py and test_ndp_proxy.py,
// functional C1 to C8, unit U1 to U9), asserted in the kernel and with packets.
// Upstream's chain NDP is our table: its DROP is the rule "guard", its jumps are
// the set of guarded prefixes, its ACCEPTs the set of published addresses.
func TestConformance(t *testing.T) {
	t.Parallel()
	centralised := []struct {
		name  string
		kind  sim.Kind
		modes []string
	}{
		{"legacy", sim.Legacy, []string{sim.ModeLegacy}},
		{"ha", sim.HA, []string{sim.ModeLegacy, sim.ModeLegacy}},
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *stage)
	}{
		{"C1_the_switch_is_on", c1},
		{"C2_what_is_not_published_is_dropped", c2},
		{"C3_each_IPv6_subnet_is_guarded", c3},
		{"C4_each_proxy_is_let_in_and_answered_for", c4},
		{"C5_disabling_takes_it_all_back", c5},
		{"U1_create", u1},
		{"U2_an_update_without_a_change_writes_nothing", u2},
		{"U3_a_proxy_added_between_updates", u3},
		{"U4_a_proxy_removed_between_updates", u4},
		{"U5_a_subnet_added_and_removed", u5},
		{"U6_disable", c5},
		{"U7_a_push_touches_one_address", u7},
		{"U8_pushes_are_subscribed_to", u8},
		{"U9_each_router_has_its_own", u9},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range centralised {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, newStage(t, r.kind, r.modes...))
				})
			}
		})
	}
}

// device is the gateway's device of the first host as the kernel has it.
func (s *stage) device(t *testing.T) *sim.DeviceDump {
	t.Helper()
	d := dump(t, s.h, s.r.QRouter()).Devices[s.r.Gateway.QG()]
	if d == nil {
		t.Fatal("no gateway device")
	}
	return d
}

func c1(t *testing.T, s *stage) {
	if got := s.device(t).ProxyNDP; got != "1" {
		t.Errorf("proxy_ndp reads %q", got)
	}
	s.Unpublish(s.proxy)
	s.works(t, s.ext)
	if got := s.device(t).ProxyNDP; got != "1" {
		t.Errorf("proxy_ndp reads %q without proxies", got)
	}
}

// viaGateway makes the upstream send packets for an instance to the router
// without asking anybody: only a filter can stop them then.
func (s *stage) viaGateway(vm *sim.Instance) {
	s.ext.Upstream.Batch(fmt.Sprintf("route replace %s via %s dev eth0", vm.Addr, s.r.Gateway.Addr))
}

func c2(t *testing.T, s *stage) {
	s.viaGateway(s.vm)
	s.viaGateway(s.hidden)
	s.ext.Upstream.Reaches(s.vm.Addr, 2*time.Second)
	s.ext.Upstream.Unreachable(s.hidden.Addr)
	s.ext.Behind.Unreachable(s.hidden.Addr)
	ns := s.h.Namespace(s.r.QRouter())
	if before := ns.Run("nft", "list", "chain", "ip6", sim.Table, "forward"); !regexp.MustCompile(`ip6 daddr @guarded.* packets [1-9].* drop`).MatchString(before) {
		t.Errorf("not our rule dropped it:\n%s", before)
	}
	ns.Run("nft", "flush", "chain", "ip6", sim.Table, "forward")
	s.ext.Upstream.Reaches(s.hidden.Addr, 2*time.Second) // so it was the rule
	s.h.Daemon().Audit()
	s.works(t, s.ext)
	s.ext.Upstream.Unreachable(s.hidden.Addr)
}

func c3(t *testing.T, s *stage) {
	second := s.AddInternal(sim.InternalOptions{Scope: scope})
	s.Attach(s.r, second)
	hidden := s.AddInstance(second, s.h)
	s.works(t, s.ext, s.vm)
	want := []string{s.in.Prefix.String(), second.Prefix.String()}
	if got := dump(t, s.h, s.r.QRouter()).Sets["guarded-"+s.r.Gateway.QG()]; !slices.Equal(got, want) {
		t.Errorf("guarded %v, want %v and no IPv4", got, want)
	}
	for _, vm := range []*sim.Instance{s.hidden, hidden} {
		s.viaGateway(vm)
		s.ext.Upstream.Unreachable(vm.Addr)
	}
}

func c4(t *testing.T, s *stage) {
	s.Publish(s.r, s.hidden)
	s.works(t, s.ext, s.vm, s.hidden)
	d, qg := dump(t, s.h, s.r.QRouter()), s.r.Gateway.QG()
	want := []string{s.vm.Addr.String(), s.hidden.Addr.String()}
	var entries []string
	for _, p := range d.Proxies {
		if p.Dev == qg {
			entries = append(entries, p.Dst)
		}
	}
	slices.Sort(entries)
	if !slices.Equal(entries, want) || !slices.Equal(d.Sets["published-"+qg], want) {
		t.Errorf("entries %v, let in %v, want %v", entries, d.Sets["published-"+qg], want)
	}
	for _, vm := range []*sim.Instance{s.vm, s.hidden} {
		a, ok := solicit(s.ext, vm.Addr)
		if !ok || a.Advertisement.Router || !a.Advertisement.Solicited {
			t.Errorf("solicitation of %s: %v %+v", vm.Addr, ok, a.Advertisement)
		}
		_, ok = s.ext.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: s.ext.Upstream.LinkLocal("eth0"), Target: vm.Addr,
			Unicast: s.h.Namespace(s.r.QRouter()).MAC(qg)})
		if !ok {
			t.Errorf("a unicast solicitation of %s is not answered", vm.Addr)
		}
	}
}

// c5 is U6, too: table gone, entries gone, switch off, and nothing gets in.
func c5(t *testing.T, s *stage) {
	s.Update(s.r, func() { s.r.Enabled = false })
	s.works(t, s.ext)
	d := dump(t, s.h, s.r.QRouter())
	dev := d.Devices[s.r.Gateway.QG()]
	if d.Present || len(d.Proxies) > 0 || dev.ProxyNDP != "0" || dev.ProxyDelay != "80" {
		t.Errorf("left: table %v, entries %v, proxy_ndp %s, proxy_delay %s", d.Present, d.Proxies, dev.ProxyNDP, dev.ProxyDelay)
	}
	unreachable(t, s.ext, s.vm)
	for _, h := range s.hosts {
		if said := h.Daemon().Logs.FilterMessageSnippet("can't be made").All(); len(said) > 0 {
			t.Errorf("%s: %v", h.Name, said)
		}
	}
}

// u1: one unsolicited advertisement for each address, when it is answered for.
func u1(t *testing.T, s *stage) {
	c := s.ext.Upstream.Capture("eth0")
	s.Publish(s.r, s.hidden)
	s.works(t, s.ext)
	time.Sleep(300 * time.Millisecond)
	if got := unsolicited(c); len(got) != 1 || got[s.hidden.Addr] != 1 {
		t.Errorf("unsolicited advertisements %v, want one for %s", got, s.hidden.Addr)
	}
	s.works(t, s.ext, s.hidden)
}

// unsolicited counts the advertisements nobody asked for, by address.
func unsolicited(c *nettest.Capture) map[netip.Addr]int {
	out := map[netip.Addr]int{}
	for _, f := range c.Frames(func(f nettest.Frame) bool { return !f.Outgoing }) {
		if a, solicited, ok := f.Advertises(); ok && !solicited {
			out[a]++
		}
	}
	return out
}

// u2: three updates in a row, which upstream answers by withdrawing everything.
func u2(t *testing.T, s *stage) {
	c, m := s.ext.Upstream.Capture("eth0"), s.monitor(t)
	for range 3 {
		s.Update(s.r, func() {})
		s.works(t, s.ext, s.vm)
	}
	s.h.Daemon().Audit()
	s.works(t, s.ext, s.vm)
	m.want(t)
	if got := unsolicited(c); len(got) != 0 {
		t.Errorf("announced again: %v", got)
	}
}

func u3(t *testing.T, s *stage) {
	c, m := s.ext.Upstream.Capture("eth0"), s.monitor(t)
	// Its push is lost, so that the update tells.
	s.h.Daemon().Server.SetFaults(sim.Faults{Lose: true})
	s.Publish(s.r, s.hidden)
	s.h.Daemon().Server.SetFaults(sim.Faults{})
	s.Update(s.r, func() {})
	s.works(t, s.ext, s.vm, s.hidden)
	m.want(t, "add element ip6 "+sim.Table+" published-"+s.r.Gateway.QG()+" { "+s.hidden.Addr.String()+" }")
	if got := unsolicited(c); len(got) != 1 || got[s.hidden.Addr] != 1 {
		t.Errorf("announced %v, want once %s", got, s.hidden.Addr)
	}
}

func u4(t *testing.T, s *stage) {
	p := s.Publish(s.r, s.hidden)
	s.works(t, s.ext, s.vm, s.hidden)
	pause(2500 * time.Millisecond) // until the push is no evidence any more
	c, m := s.ext.Upstream.Capture("eth0"), s.monitor(t)
	s.Forget(p) // with its port: nobody is told
	s.Update(s.r, func() {})
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
	m.want(t, "delete element ip6 "+sim.Table+" published-"+s.r.Gateway.QG()+" { "+s.hidden.Addr.String()+" }")
	if got := unsolicited(c); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
}

func u5(t *testing.T, s *stage) {
	in := s.AddInternal(sim.InternalOptions{Scope: scope})
	m := s.monitor(t)
	element := " element ip6 " + sim.Table + " guarded-" + s.r.Gateway.QG() + " { " + in.Prefix.String() + " }"
	s.Attach(s.r, in)
	s.works(t, s.ext, s.vm)
	m.want(t, "add"+element)
	s.Detach(s.r, in)
	s.works(t, s.ext, s.vm)
	m.want(t, "add"+element, "delete"+element)
}

func u7(t *testing.T, s *stage) {
	m := s.monitor(t)
	element := " element ip6 " + sim.Table + " published-" + s.r.Gateway.QG() + " { " + s.hidden.Addr.String() + " }"
	p := s.Publish(s.r, s.hidden)
	s.works(t, s.ext, s.vm, s.hidden)
	m.want(t, "add"+element)
	s.Unpublish(p)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
	m.want(t, "add"+element, "delete"+element)
}

// u8: what is pushed arrives without any call to the server. That the daemon's
// queue on a real RabbitMQ is bound to the fanout exchange
// neutron-vo-NDPProxy-1.0, and gets a copy of what the L3 agents get, is asserted
// by TestTapIsNoThief of package rpc/neutron (tag rabbitmq).
func u8(t *testing.T, s *stage) {
	for _, h := range s.hosts {
		h.Daemon().Server.SetFaults(sim.Faults{Fail: 1 << 30})
	}
	p := s.Publish(s.r, s.hidden)
	s.works(t, s.ext, s.vm, s.hidden)
	s.Unpublish(p)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
}

func u9(t *testing.T, s *stage) {
	in := s.AddInternal(sim.InternalOptions{Scope: scope})
	r := s.AddRouter(s.r.Kind, s.r.Hosts...)
	s.SetGateway(r, s.ext)
	s.Attach(r, in)
	vm := s.AddInstance(in, s.h)
	s.Publish(r, vm)
	s.works(t, s.ext, s.vm, vm)
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
