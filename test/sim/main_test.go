package sim_test

import (
	"bytes"
	"context"
	"flag"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

func TestMain(m *testing.M) {
	// These tests wait for the kernel most of the time, not for a processor.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const scope = "5c09e000-0000-4000-8000-000000000001"

// stage is the usual beginning: one router, two instances of which the first is
// published, and a daemon on each host.
type stage struct {
	*sim.World
	hosts  []*sim.Host
	h      *sim.Host // the first
	ext    *sim.External
	in     *sim.Internal
	r      *sim.Router
	vm     *sim.Instance
	hidden *sim.Instance
	proxy  *sim.Proxy
}

// newStage starts from a working state: what is published is reached from the
// upstream and from behind it, what is not is not.
func newStage(t *testing.T, kind sim.Kind, modes ...string) *stage {
	t.Helper()
	s := &stage{World: sim.New(t)}
	for i, mode := range modes {
		s.hosts = append(s.hosts, s.AddHost("host"+string(rune('1'+i)), mode))
	}
	s.h = s.hosts[0]
	s.ext = s.AddExternal(sim.ExternalOptions{Scope: scope})
	s.in = s.AddInternal(sim.InternalOptions{Scope: scope, Distributed: kind.Distributed()})
	on := s.hosts[:1]
	if kind.HighlyAvailable() {
		on = s.hosts
	}
	s.r = s.AddRouter(kind, on...)
	s.SetGateway(s.r, s.ext)
	s.Attach(s.r, s.in)
	s.vm, s.hidden = s.AddInstance(s.in, s.h), s.AddInstance(s.in, s.h)
	for _, h := range s.hosts {
		h.StartDaemon()
	}
	s.proxy = s.Publish(s.r, s.vm)
	s.works(t, s.ext, s.vm)
	unreachable(t, s.ext, s.hidden)
	return s
}

// works proves by the kernel's state and by packets that all is well, in the
// given order: the state is right, then ping and UDP go through.
func (s *stage) works(t *testing.T, ext *sim.External, vms ...*sim.Instance) {
	t.Helper()
	s.SettleWithin(t, sim.Within)
	s.AwaitLinks()
	for _, vm := range vms {
		reaches(t, ext, vm)
	}
}

// reaches goes both ways, from the link and from behind the upstream, by ICMP
// and by UDP, which confirms no neighbour entries.
func reaches(t *testing.T, ext *sim.External, vm *sim.Instance) {
	t.Helper()
	ext.Upstream.Reaches(vm.Addr, 3*time.Second)
	ext.Behind.Reaches(vm.Addr, 3*time.Second)
	vm.Reaches(ext.BehindAddr, 3*time.Second)
	for _, from := range []*nettest.Namespace{ext.Upstream, ext.Behind} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		f := from.UDPFlow(ctx, vm.UDP(), 3*time.Millisecond)
		cancel()
		if f.Sent == 0 || f.Received != f.Sent {
			t.Errorf("UDP from %s to %s: %+v", from.Name, vm.Addr, f)
		}
	}
}

// unreachable proves that nobody answers for an instance, not even to who asks
// for it frame by frame, and that nothing gets through.
func unreachable(t *testing.T, ext *sim.External, vm *sim.Instance) {
	t.Helper()
	if _, ok := solicit(ext, vm.Addr); ok {
		t.Errorf("somebody answers for %s", vm.Addr)
	}
	ext.Upstream.FlushNeighbours("eth0")
	ext.Upstream.Unreachable(vm.Addr)
	ext.Behind.Unreachable(vm.Addr)
}

func solicit(ext *sim.External, a netip.Addr) (nettest.Answer, bool) {
	return ext.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: ext.Upstream.LinkLocal("eth0"), Target: a,
		Within: 150 * time.Millisecond})
}

// dump reads a namespace of a host.
func dump(t *testing.T, h *sim.Host, ns string) *sim.Dump {
	t.Helper()
	d, err := sim.ReadDump(h.Namespace(ns))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sameTarget reports whether an answer names a link-layer address.
func sameTarget(a nettest.Answer, mac net.HardwareAddr) bool {
	return slices.ContainsFunc(a.Advertisement.Options, func(o ndp.Option) bool {
		ll, is := o.(*ndp.LinkLayerAddress)
		return is && ll.Direction == ndp.Target && bytes.Equal(ll.Addr, mac)
	})
}
