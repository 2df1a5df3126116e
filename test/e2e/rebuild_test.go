//go:build lab

package e2e

import (
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestRebuild: every change that Neutron's API allows to a router, with one daemon that runs all the
// time. Each starts from a working state and proves by packets, and by a dump of every namespace of
// the host, that the end is right and nothing of ours is left over. Where the API refuses a change
// while there are NDP proxies, the refusal is shown and the order that it accepts is taken.
func TestRebuild(t *testing.T) {
	w := setup(t)
	d := w.daemon(lab.DaemonConfig{})
	s := &rebuilds{}
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"gateway to another address", s.gatewayAddress},
		{"gateway to another network", s.gatewayNetwork},
		{"gateway to a network of another scope", s.gatewayScope},
		{"gateway removed", s.gatewayRemoved},
		{"internal subnet added and removed", s.subnetAdded},
		{"internal subnet to another scope", s.subnetScope},
		{"router deleted and made again", s.routerDeleted},
		{"admin down and up", s.adminDown},
		{"legacy to HA and back", s.legacyToHA},
		{"gateway with a link-local address only", s.linkLocalOnly},
	} {
		t.Run(c.name, c.test)
	}
	for _, line := range d.Lines(regexp.MustCompile(`^\S+\t(error|dpanic|panic|fatal)\t`)) {
		t.Errorf("the daemon's log: %s", line)
	}
	for _, line := range d.Lines(regexp.MustCompile(`^\S+\twarn\t`)) {
		t.Logf("the daemon's log: %s", line)
	}
}

// otherThan returns an address next to a that is none of the others.
func otherThan(a netip.Addr, others ...netip.Addr) netip.Addr {
	next := a.Next()
	for slices.Contains(others, next) {
		next = next.Next()
	}
	return next
}

func (s *rebuilds) gatewayAddress(t *testing.T) {
	r := s.starting(t)
	first := r.cloud.Gateway
	for _, a := range []netip.Addr{otherThan(first, r.cloud.Upstream), first} {
		left := r.cloud.Gateway
		r.must(r.cloud.MoveGateway(r.ctx, a))
		r.must(r.cloud.Refresh(r.ctx))
		r.works(agentTime, r.published(), r.silent(left))
	}
}

func (s *rebuilds) gatewayNetwork(t *testing.T) {
	r := s.starting(t)
	ext, remove, err := r.cloud.MakeExternal(r.ctx, "public2", "dc1")
	r.must(err)
	r.finally(remove)
	sub, err := r.cloud.MakeSubnetOn(r.ctx, ext.Net, lab.V6(r.cloud.Pool))
	r.must(err)
	there := r.cloud.On(ext, sub)
	gateway := lab.Fields{"external_gateway_info": lab.Fields{"network_id": ext.Net}}

	r.refused("gateway to another network with a proxy", r.cloud.UpdateRouter(r.ctx, gateway))
	r.settled(time.Second, r.host, r.published())

	left := r.cloud.GatewayDev
	r.must(r.cloud.Unpublish(r.ctx, r.inst))
	r.settled(5*time.Second, r.host, r.closed())
	r.must(r.cloud.UpdateRouter(r.ctx, gateway))
	moved := r.with(there)
	moved.setNDP()
	r.must(there.Refresh(r.ctx))
	moved.settled(agentTime, r.host, moved.closed())
	if there.GatewayDev == left {
		t.Fatalf("the gateway's device is still %s: not another network", left)
	}
	moved.proves(moved.silent(r.inst.Addr))
	moved.publish()
	moved.works(agentTime, moved.published())

	r.must(r.cloud.Unpublish(r.ctx, r.inst))
	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"external_gateway_info": lab.Fields{"network_id": r.cloud.ExtNet}}))
	r.setNDP()
	r.must(r.cloud.Refresh(r.ctx))
	r.publish()
	r.works(agentTime, r.published())
}

func (s *rebuilds) gatewayScope(t *testing.T) {
	r := s.starting(t)
	_, pool, removePool, err := r.cloud.MakePool(r.ctx, "foreign", "2001:db8:a::/96")
	r.must(err)
	r.finally(removePool)
	ext, remove, err := r.cloud.MakeExternal(r.ctx, "public3", "dc2")
	r.must(err)
	r.finally(remove)
	sub, err := r.cloud.MakeSubnetOn(r.ctx, ext.Net, lab.V6(pool))
	r.must(err)
	there := r.with(r.cloud.On(ext, sub))

	r.must(r.cloud.Unpublish(r.ctx, r.inst))
	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"external_gateway_info": lab.Fields{"network_id": ext.Net}}))
	there.setNDP()
	r.must(there.cloud.Refresh(r.ctx))
	_, err = there.cloud.Publish(r.ctx, r.inst)
	r.refused("a proxy where the scopes differ", err)
	there.settled(agentTime, r.host, there.closed())
	there.proves(there.blocks(r.inst.Addr), there.blocks(r.hidden.Addr))

	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"external_gateway_info": lab.Fields{"network_id": r.cloud.ExtNet}}))
	r.setNDP()
	r.must(r.cloud.Refresh(r.ctx))
	r.publish()
	r.works(agentTime, r.published())
}

func (s *rebuilds) gatewayRemoved(t *testing.T) {
	r := s.starting(t)
	none := lab.Fields{"external_gateway_info": nil}
	r.refused("gateway removed with a proxy", r.cloud.UpdateRouter(r.ctx, none))
	r.settled(time.Second, r.host, r.published())

	r.must(r.cloud.Unpublish(r.ctx, r.inst))
	r.must(r.cloud.UpdateRouter(r.ctx, none))
	r.await(agentTime, "end of "+r.cloud.GatewayDev, func() bool {
		devices, err := nettools.Devices(r.ctx, r.cloud.Namespace)
		return err == nil && !slices.Contains(devices, r.cloud.GatewayDev)
	})
	r.settled(5*time.Second, r.host, footprint{}) // the namespace is still there
	r.proves(r.silent(r.inst.Addr))

	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"external_gateway_info": lab.Fields{"network_id": r.cloud.ExtNet}}))
	r.setNDP()
	r.must(r.cloud.Refresh(r.ctx))
	r.publish()
	r.works(agentTime, r.published())
}

func (s *rebuilds) subnetAdded(t *testing.T) {
	r := s.starting(t)
	netID, remove, err := r.cloud.MakeNetwork(r.ctx, "second-net")
	r.must(err)
	r.finally(remove)
	sub, err := r.cloud.MakeSubnetOn(r.ctx, netID, lab.V6(r.cloud.Pool))
	r.must(err)

	r.must(r.cloud.AddInterface(r.ctx, sub))
	r.finally(func(ctx context.Context) error {
		_ = r.cloud.RemoveInterface(ctx, sub) // it may be off already: the network's removal tells
		return nil
	})
	second, err := r.cloud.Inside(r.ctx, netID, sub)
	r.must(err)
	new1, err := second.EnsureInstance(r.ctx, "second", netip.Addr{})
	r.must(err)
	both := []netip.Prefix{subnet112(r.inst.Addr), subnet112(new1.Addr)}
	r.works(agentTime, enabled(r.cloud, both, r.inst.Addr), r.blocks(new1.Addr))

	_, err = r.cloud.Publish(r.ctx, new1)
	r.must(err)
	r.works(5*time.Second, enabled(r.cloud, both, r.inst.Addr, new1.Addr), r.passes(new1))

	r.refused("interface removed with a proxy", r.cloud.RemoveInterface(r.ctx, sub))
	r.must(r.cloud.Unpublish(r.ctx, new1))
	r.detach(second)
	r.works(5*time.Second, r.published())

	// and again, with somebody who tries the whole time: when does the way open, when is it closed
	tried, err := nettools.StartCapture(new1.Namespace, "eth0")
	r.must(err)
	undo, err := r.cloud.RouteVia(r.ctx, new1.Addr, r.cloud.Gateway)
	r.must(err)
	p, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: new1.Addr})
	r.must(err)
	r.must(r.cloud.AddInterface(r.ctx, sub))
	second, err = r.cloud.Inside(r.ctx, netID, sub)
	r.must(err)
	r.must(nettools.Forget(r.ctx, new1.Namespace, "eth0", second.Internal)) // the port before had another MAC
	_, err = nettools.AwaitReachable(r.within(agentTime), new1.Namespace, second.Internal)
	r.must(err)
	r.settled(5*time.Second, r.host, enabled(r.cloud, both, r.inst.Addr))
	p.Stop()
	tried.Stop()
	r.must(undo(r.ctx))
	got := tried.Packets(func(p nettools.Packet) bool { return p.Type == 128 && p.Dst == new1.Addr && !p.Outgoing })
	t.Logf("%d pings to the unpublished address came in while its subnet was added", len(got))
	if len(got) > subnetWindow {
		t.Errorf("%d pings to the unpublished address came in while its subnet was added, at most %d may", len(got), subnetWindow)
	}
	r.detach(second)
	r.works(5*time.Second, r.published())
}

// detach takes the router off a cloud's internal subnet.
func (r *rebuild) detach(c *lab.Cloud) {
	r.Helper()
	r.must(c.RemoveInterface(r.ctx, c.IntSub))
	r.await(agentTime, "end of "+c.InternalDev, func() bool {
		devices, err := nettools.Devices(r.ctx, c.Namespace)
		return err == nil && !slices.Contains(devices, c.InternalDev)
	})
}

// subnetWindow is how many pings at 10 ms may come in for an unpublished address when its subnet is
// added: the L3 agent and we hear of it in the same moment, and its device may be there before our guard.
const subnetWindow = 100

// subnetScope: Neutron lets the address scope of a subnet pool be changed although addresses of it are
// published, and says so to the L3 agents as an update of the router.
func (s *rebuilds) subnetScope(t *testing.T) {
	r := s.starting(t)
	scope, _, removeScope, err := r.cloud.MakePool(r.ctx, "foreign", "2001:db8:a::/96")
	r.must(err)
	r.finally(removeScope)
	_, pool, removePool, err := r.cloud.MakePool(r.ctx, "wandering", "2001:db8:b::/96")
	r.must(err)
	r.finally(removePool)
	r.must(r.cloud.SetPoolScope(r.ctx, pool, r.cloud.Scope))
	netID, remove, err := r.cloud.MakeNetwork(r.ctx, "second-net")
	r.must(err)
	r.finally(remove)
	sub, err := r.cloud.MakeSubnetOn(r.ctx, netID, lab.V6(pool))
	r.must(err)
	_, err = nettools.IP(r.ctx, lab.UpstreamNS, "-6", "route", "replace", "2001:db8:b::/96", "dev", lab.UpstreamDev)
	r.must(err)

	r.must(r.cloud.AddInterface(r.ctx, sub))
	r.finally(func(ctx context.Context) error { return r.cloud.RemoveInterface(ctx, sub) })
	second, err := r.cloud.Inside(r.ctx, netID, sub)
	r.must(err)
	wanders, err := second.EnsureInstance(r.ctx, "wanders", netip.Addr{})
	r.must(err)
	r.finally(func(ctx context.Context) error { return r.cloud.Unpublish(ctx, wanders) })
	_, err = r.cloud.Publish(r.ctx, wanders)
	r.must(err)
	subnets := []netip.Prefix{subnet112(r.inst.Addr), subnet112(wanders.Addr)}
	both := enabled(r.cloud, subnets, r.inst.Addr, wanders.Addr)
	alone := enabled(r.cloud, subnets, r.inst.Addr)
	r.works(agentTime, both, r.passes(wanders))

	asked := time.Now()
	r.must(r.cloud.SetPoolScope(r.ctx, pool, scope))
	r.settled(auditInterval, r.host, alone)
	t.Logf("withdrawn %v after the pool's scope was changed", time.Since(asked).Round(time.Millisecond))
	// at once: the L3 agent, which heard it at the same time, has not written its own rules yet
	r.works(5*time.Second, alone, r.blocks(wanders.Addr))

	asked = time.Now()
	r.must(r.cloud.SetPoolScope(r.ctx, pool, r.cloud.Scope))
	r.settled(auditInterval, r.host, both)
	t.Logf("published again %v after the pool's scope was changed back", time.Since(asked).Round(time.Millisecond))
	_, err = nettools.AwaitReachable(r.within(agentTime), lab.UpstreamNS, wanders.Addr)
	r.must(err)
	r.proves(r.passes(wanders))
}

func (s *rebuilds) routerDeleted(t *testing.T) {
	r := s.starting(t)
	was := r.cloud.Router
	r.refused("router deleted with a proxy", r.cloud.DeleteRouter(r.ctx))
	r.settled(time.Second, r.host, r.published())

	r.must(r.cloud.WipeRouter(r.ctx)) // in the order that the API accepts; waits for the end of the namespace
	r.settled(5*time.Second, r.host, footprint{})
	r.proves(r.silent(r.inst.Addr))

	var err error
	r.cloud, err = r.lab.EnsureCloud(r.ctx, r.api)
	r.must(err)
	if r.cloud.Router == was {
		t.Fatal("the same router: nothing was deleted")
	}
	r.must(r.inst.Reroute(r.ctx, r.cloud))
	r.must(r.hidden.Reroute(r.ctx, r.cloud))
	r.publish()
	r.works(agentTime, r.published())
}

func (s *rebuilds) adminDown(t *testing.T) {
	r := s.starting(t)
	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"admin_state_up": false}))
	r.await(agentTime, "end of "+r.cloud.Namespace, func() bool { return !nettools.Exists(r.cloud.Namespace) })
	r.settled(5*time.Second, r.host, footprint{})
	r.proves(r.silent(r.inst.Addr))
	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"admin_state_up": true}))
	r.must(r.cloud.Refresh(r.ctx))
	r.works(agentTime, r.published())
}

// legacyToHA: the namespace keeps its name and the gateway its port, but the addresses are
// keepalived's from then on.
func (s *rebuilds) legacyToHA(t *testing.T) {
	r := s.starting(t)
	err := r.cloud.UpdateRouter(r.ctx, lab.Fields{"ha": true})
	if lab.StatusOf(err) != 400 {
		t.Fatalf("HA without admin down: %v, want Neutron's refusal (400)", err)
	}
	t.Logf("HA without admin down: %v", err)
	r.settled(time.Second, r.host, r.published())
	for _, ha := range []bool{true, false} {
		r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"admin_state_up": false}))
		r.await(agentTime, "end of "+r.cloud.Namespace, func() bool { return !nettools.Exists(r.cloud.Namespace) })
		r.settled(5*time.Second, r.host, footprint{})
		r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"ha": ha}))
		asked := time.Now()
		r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"admin_state_up": true}))
		r.must(r.cloud.Refresh(r.ctx))
		r.works(agentTime, r.published())
		t.Logf("HA %v: works %v after admin up", ha, time.Since(asked).Round(time.Millisecond))
		devices, err := nettools.Devices(r.ctx, r.cloud.Namespace)
		r.must(err)
		if got := slices.ContainsFunc(devices, func(d string) bool { return strings.HasPrefix(d, "ha-") }); got != ha {
			t.Errorf("HA %v, but the namespace has the devices %v", ha, devices)
		}
	}
}
