package dataplane_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// patience is far above what the kernel takes.
const patience = 5 * time.Second

// expansion is what happens to a router after we filled its table: networks
// come that nobody told us of yet.
type expansion struct {
	*nettest.Topology
	state dataplane.State
	// far is the instance's address in the new network.
	far netip.Addr
}

func newExpansion(t *testing.T) *expansion {
	t.Helper()
	e := &expansion{Topology: nettest.NewTopology(t), far: addr("2001:db8:0:3::10")}
	e.state = published(e.Topology, e.InstanceAddr)
	converge(t, newDataplane(t, e.Dir), e.state)
	// Permanent, so that nothing at the upstream waits for an answer of ours.
	e.Upstream.IP("-6", "neigh", "replace", e.GatewayAddr.String(), "lladdr", e.Router.MAC(nettest.External).String(), "dev", "eth0", "nud", "permanent")
	e.ViaGateway()
	return e
}

func (e *expansion) toRouter(prefix string) {
	e.Upstream.IP("-6", "route", "replace", prefix, "via", e.GatewayAddr.String(), "dev", "eth0")
}

// count begins to count the datagrams that reach an address of the instance.
func (e *expansion) count(t *testing.T, to netip.Addr) (counted func() int) {
	e.Instance.Run("nft", "add table ip6 count; add chain ip6 count input { type filter hook input priority 0; }; "+
		"add rule ip6 count input ip6 daddr "+to.String()+" meta l4proto udp counter")
	return func() int {
		out := e.Instance.Run("nft", "list", "chain", "ip6", "count", "input")
		var n int
		_, out, _ = strings.Cut(out, "counter packets ")
		if _, err := fmt.Sscan(out, &n); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		return n
	}
}

// From the moment in which a network is there it is shut, whether it comes with
// a device or onto one, until it is known what of it is published; and a network
// that goes is shut while the L3 agent still has it. What is published does not
// notice.
func TestNetworkIsShutBeforeItIsKnown(t *testing.T) {
	for name, device := range map[string]string{"with a device": "qr-2", "onto a device": nettest.Internal} {
		t.Run(name, func(t *testing.T) {
			e := newExpansion(t)
			e.toRouter("2001:db8:0:3::/64")
			through := e.count(t, e.far)
			e.Instance.AddAddr("eth0", e.far.String()+"/64")
			open, shut := netip.AddrPortFrom(e.InstanceAddr, 7), netip.AddrPortFrom(e.far, 7)
			e.Instance.UDPEcho(open)
			e.Instance.UDPEcho(shut)
			e.Upstream.Reaches(e.InstanceAddr, time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			var flows sync.WaitGroup
			var published, dropped nettest.Flow
			flows.Go(func() { published = e.Upstream.UDPFlow(ctx, open, time.Millisecond) })
			flows.Go(func() { dropped = e.Upstream.UDPFlow(ctx, shut, time.Millisecond) })
			if device != nettest.Internal {
				e.Veth(e.Router, device, e.Instance, "eth1")
				e.Instance.IP("address", "del", e.far.String()+"/64", "dev", "eth0")
				e.Instance.AddAddr("eth1", e.far.String()+"/64")
			}
			e.Router.AddAddr(device, "2001:db8:0:3::1/64")
			time.Sleep(400 * time.Millisecond) // as long as Neutron may take to tell us
			e.Router.Reaches(e.far, time.Second)
			d := newDataplane(t, e.Dir)
			known := e.state
			known.Devices = []dataplane.Device{e.state.Devices[0]}
			known.Devices[0].Guarded = append([]netip.Prefix{prefix("2001:db8:0:3::/64")}, e.state.Devices[0].Guarded...)
			converge(t, d, known)
			time.Sleep(100 * time.Millisecond)
			converge(t, d, e.state) // it leaves the router, and its address stays a while
			time.Sleep(100 * time.Millisecond)
			cancel()
			flows.Wait()
			if published.Received != published.Sent {
				t.Errorf("the published address lost packets: %+v", published)
			}
			t.Logf("published %+v; not published %+v, came through %d", published, dropped, through())
			if through() != 0 || dropped.Sent < 100 {
				t.Errorf("%d came through to the new network of %+v", through(), dropped)
			}
		})
	}
}

// What Neutron routes through an internal network goes on passing, also when the
// route comes without a word to us; and what goes out where it came in does.
func TestRoutesThroughTheRouterPass(t *testing.T) {
	e := newExpansion(t)
	behind := addr("2001:db8:f::10")
	e.Instance.IP("-6", "address", "add", behind.String()+"/128", "dev", "lo")
	e.toRouter("2001:db8:f::/64")
	e.Upstream.Unreachable(behind) // no route
	for _, via := range []netip.Addr{e.InstanceAddr, addr("2001:db8:0:2::99"), e.Instance.LinkLocal("eth0")} {
		e.Instance.IP("-6", "address", "replace", via.String()+"/64", "dev", "eth0", "nodad")
		e.Router.IP("-6", "route", "replace", "2001:db8:f::/64", "via", via.String(), "dev", nettest.Internal)
		e.Upstream.Reaches(behind, patience)
	}
	e.Upstream.Unreachable(addr("2001:db8:0:2::99")) // the next hop itself is not published
	e.Router.IP("-6", "route", "del", "2001:db8:f::/64")
	e.Router.IP("-6", "route", "add", "2001:db8:f::/64", "nexthop", "via", e.InstanceAddr.String(), "dev", nettest.Internal,
		"nexthop", "via", "2001:db8:0:2::99", "dev", nettest.Internal)
	e.Upstream.Reaches(behind, patience)

	// In on the external device and out again: from a host behind the upstream
	// through the router to an address of the upstream.
	other := addr("2001:db8:e::10")
	e.Upstream.IP("-6", "address", "add", other.String()+"/128", "dev", "lo")
	e.Router.IP("-6", "route", "add", other.String(), "via", e.UpstreamAddr.String(), "dev", nettest.External)
	far := e.Namespace("far")
	e.Veth(e.Upstream, "eth9", far, "eth0")
	e.Upstream.AddAddr("eth9", "2001:db8:9::1/64")
	far.AddAddr("eth0", "2001:db8:9::2/64")
	far.IP("-6", "route", "add", "default", "via", "2001:db8:9::1")
	e.Upstream.Sysctl("net/ipv6/conf/all/forwarding", "1")
	e.Upstream.Sysctl("net/ipv6/conf/eth9/forwarding", "1")
	e.Upstream.IP("-6", "rule", "add", "iif", "eth9", "lookup", "99", "priority", "0")
	e.Upstream.IP("-6", "rule", "add", "lookup", "local", "priority", "1")
	e.Upstream.IP("-6", "rule", "del", "lookup", "local", "priority", "0")
	e.Upstream.IP("-6", "route", "add", other.String(), "via", e.GatewayAddr.String(), "dev", "eth0", "table", "99")
	e.Router.IP("-6", "route", "replace", "2001:db8:9::/64", "via", e.UpstreamAddr.String(), "dev", nettest.External)
	far.Reaches(other, patience)
}

// What is published passes also where nothing is guarded, as in a table that had
// to be written without knowing all.
func TestPublishedPassesWithoutAGuard(t *testing.T) {
	e := newExpansion(t)
	e.state.Devices[0].Guarded = nil
	converge(t, newDataplane(t, e.Dir), e.state)
	e.Upstream.Reaches(e.InstanceAddr, patience)
	other := addr("2001:db8:0:2::11")
	e.Instance.AddAddr("eth0", other.String()+"/64")
	e.Upstream.Unreachable(other)
}

// Where others than the guarded networks are nobody's business (a file of
// somebody who names what is to be closed) they pass, what is guarded does not,
// and what is published loses nothing when that changes.
func TestAnOpenDeviceShutsOnlyWhatIsGuarded(t *testing.T) {
	e := newExpansion(t)
	e.toRouter("2001:db8:0:3::/64")
	e.Instance.AddAddr("eth0", e.far.String()+"/64")
	e.Router.AddAddr(nettest.Internal, "2001:db8:0:3::1/64")
	shut := addr("2001:db8:0:2::11")
	e.Instance.AddAddr("eth0", shut.String()+"/64")
	e.Router.Reaches(e.far, patience)
	always := netip.AddrPortFrom(e.InstanceAddr, 7)
	e.Instance.UDPEcho(always)
	e.Upstream.Reaches(e.InstanceAddr, patience)
	ctx, cancel := context.WithCancel(t.Context())
	var flow sync.WaitGroup
	var published nettest.Flow
	flow.Go(func() { published = e.Upstream.UDPFlow(ctx, always, time.Millisecond) })
	open := e.state
	open.Devices = []dataplane.Device{e.state.Devices[0]}
	open.Devices[0].Open = true
	for range 2 {
		e.Upstream.Unreachable(e.far)
		converge(t, newDataplane(t, e.Dir), open)
		settled(t, newDataplane(t, e.Dir), open)
		e.Upstream.Reaches(e.far, patience)
		e.Upstream.Unreachable(shut)
		converge(t, newDataplane(t, e.Dir), e.state)
		settled(t, newDataplane(t, e.Dir), e.state)
	}
	e.Upstream.Unreachable(e.far)
	cancel()
	flow.Wait()
	if published.Sent < 100 || published.Received != published.Sent {
		t.Errorf("the published address: %+v", published)
	}
}
