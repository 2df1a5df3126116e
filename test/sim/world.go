package sim

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/test/nettest"
)

// World is the ground, the hosts on it and the Neutron that rules them.
type World struct {
	t     testing.TB
	lab   *nettest.Lab
	cloud *cloud

	// Copies is how many of each announcement the daemons send; 0: one, so that
	// tests can count them.
	Copies int

	// fabric holds the bridges: what the networks' switches are.
	fabric    *nettest.Namespace
	bridges   map[string]bool
	Hosts     []*Host
	Externals []*External
	Internals []*Internal
	Instances []*Instance
	Routers   []*Router
	// Last are the dumps that were compared last, by host/namespace.
	Last   map[string]*Dump
	serial int
}

// New makes an empty world that ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, lab: nettest.New(t), bridges: map[string]bool{}}
	w.cloud = newCloud(w)
	w.fabric = w.lab.Namespace("fabric")
	w.fabric.Sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	w.fabric.Sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	// A keepalived that gives up addresses leaves multicast groups, and the
	// kernel reports that from the link-layer address that both nodes have,
	// which moves the switches' forwarding entries to the wrong node until the
	// other sends something. That is Neutron's own trouble: see
	// [World.LearnFromMLD].
	w.fabric.Run("nft", "table bridge quiet { chain learn { type filter hook prerouting priority -300; ip6 daddr ff02::16 drop; }; }")
	return w
}

func (w *World) next() int {
	w.serial++
	return w.serial
}

// bridge makes a learning switch, once. It floods multicast: nobody here
// queries for listeners.
func (w *World) bridge(name string) string {
	w.t.Helper()
	if !w.bridges[name] {
		w.bridges[name] = true
		w.fabric.Batch("link add "+name+" type bridge mcast_snooping 0", "link set "+name+" up")
	}
	return name
}

// plug makes a device in a namespace that leads to a bridge, both ends up, and
// returns the name of the bridge's end.
func (w *World) plug(n *nettest.Namespace, device, mac, bridge string) string {
	w.t.Helper()
	port := fmt.Sprintf("p%d", w.next())
	n.Batch(fmt.Sprintf("link add %s address %s type veth peer name %s netns %s", device, mac, port, w.fabric.Path),
		"link set "+device+" up")
	w.fabric.Batch("link set "+port+" master "+w.bridge(bridge), "link set "+port+" up")
	return port
}

// ExternalOptions of an external network.
type ExternalOptions struct {
	// Scope is its IPv6 address scope's id.
	Scope string
	// V4Only: no IPv6 subnet.
	V4Only bool
	// Prefix is the IPv6 subnet, where it must not be one of its own.
	Prefix netip.Prefix
}

// AddExternal makes an external network.
func (w *World) AddExternal(o ExternalOptions) *External {
	w.t.Helper()
	n := len(w.Externals) + 1
	e := &External{ID: uuid(w.next()), Scope: o.Scope, n: n, bridge: fmt.Sprintf("ext%d", n), hosts: 0x10,
		V4:       netip.MustParsePrefix(fmt.Sprintf("203.0.%d.0/24", n)),
		Upstream: w.lab.Namespace(fmt.Sprintf("upstream%d", n)), Behind: w.lab.Namespace(fmt.Sprintf("behind%d", n))}
	behind := netip.MustParsePrefix(fmt.Sprintf("2001:db8:b%d::/64", n))
	e.BehindAddr = host(behind, 2)
	e.Upstream.Sysctl("net/ipv6/conf/all/forwarding", "1")
	w.plug(e.Upstream, "eth0", mac(w.next()), e.bridge)
	w.lab.Veth(e.Upstream, "eth1", e.Behind, "eth0")
	lines := []string{fmt.Sprintf("addr add %s/24 dev eth0", host(e.V4, 1)), fmt.Sprintf("addr add %s/64 dev eth1 nodad", host(behind, 1))}
	if !o.V4Only {
		e.Prefix = netip.MustParsePrefix(fmt.Sprintf("2001:db8:e%d::/64", n))
		if o.Prefix.IsValid() {
			e.Prefix = o.Prefix
		}
		e.Gateway = host(e.Prefix, 1)
		lines = append(lines, fmt.Sprintf("addr add %s/64 dev eth0 nodad", e.Gateway))
	}
	e.Upstream.Batch(lines...)
	e.Behind.Batch(fmt.Sprintf("addr add %s/64 dev eth0 nodad", e.BehindAddr),
		fmt.Sprintf("route add default via %s dev eth0", host(behind, 1)))
	for _, in := range w.Internals {
		e.route(in)
	}
	w.Externals = append(w.Externals, e)
	return e
}

// route makes the upstream look for a network's instances on the link.
func (e *External) route(in *Internal) {
	e.Upstream.Batch(fmt.Sprintf("route replace %s dev eth0", in.Prefix))
}

// InternalOptions of a tenant network.
type InternalOptions struct {
	// Scope is its IPv6 subnet's address scope.
	Scope string
	// Distributed: for distributed routers, whose ports have the same link-layer
	// address on all hosts, so each host is a segment of its own.
	Distributed bool
}

// AddInternal makes a tenant network.
func (w *World) AddInternal(o InternalOptions) *Internal {
	w.t.Helper()
	n := len(w.Internals) + 1
	in := &Internal{ID: uuid(w.next()), Scope: o.Scope, n: n, split: o.Distributed, hosts: 0x10,
		Prefix: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", 0x100+n)),
		V4:     netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/24", n))}
	in.RouterAddr = host(in.Prefix, 1)
	for _, e := range w.Externals {
		e.route(in)
	}
	w.Internals = append(w.Internals, in)
	return in
}

// segment is the bridge of a network on a host.
func (in *Internal) segment(h *Host) string {
	if in.split {
		return fmt.Sprintf("int%d.%d", in.n, h.n)
	}
	return fmt.Sprintf("int%d", in.n)
}

// AddInstance makes an instance on a host, which tells nobody: nobody has to
// know a port before it is published. It echoes UDP on port 7.
func (w *World) AddInstance(in *Internal, h *Host) *Instance {
	w.t.Helper()
	in.hosts++
	vm := &Instance{Namespace: w.lab.Namespace(fmt.Sprintf("vm%d", len(w.Instances)+1)), PortID: uuid(w.next()),
		Addr: host(in.Prefix, in.hosts), Host: h, net: in}
	vm.tap = w.plug(vm.Namespace, "eth0", mac(w.next()), in.segment(h))
	vm.Batch(fmt.Sprintf("addr add %s/64 dev eth0 nodad", vm.Addr), fmt.Sprintf("route add default via %s dev eth0", in.RouterAddr))
	vm.UDPEcho(vm.UDP())
	before := map[*Router]bool{}
	for _, r := range w.Routers {
		before[r] = h.carries(r)
	}
	w.cloud.change(func() { w.Instances = append(w.Instances, vm) })
	w.cloud.tell(nil, rpc.PortsPushed{Kind: rpc.Updated, Ports: []rpc.BoundPort{vm.object()}})
	for _, r := range w.Routers {
		if !before[r] && h.carries(r) {
			w.cloud.tell([]*Host{h}, rpc.RouterAdded{IDs: []string{r.ID}})
		}
	}
	w.hosts()
	return vm
}

// UDP is where the instance echoes.
func (vm *Instance) UDP() netip.AddrPort { return netip.AddrPortFrom(vm.Addr, 7) }

// hosts lets every L3 agent make what is to be on its host.
func (w *World) hosts() {
	w.t.Helper()
	for _, h := range w.Hosts {
		h.l3.sync()
	}
}

// instance finds the one with that port.
func (w *World) instance(portID string) *Instance {
	if i := slices.IndexFunc(w.Instances, func(vm *Instance) bool { return vm.PortID == portID }); i >= 0 {
		return w.Instances[i]
	}
	return nil
}

// Fabric is the namespace of the bridges.
func (w *World) Fabric() *nettest.Namespace { return w.fabric }

// LearnFromMLD lets the bridges see reports of multicast listeners (MLDv2), as
// switches do.
func (w *World) LearnFromMLD() {
	w.t.Helper()
	w.fabric.Run("nft", "delete", "table", "bridge", "quiet")
}

// AwaitLinks waits until the bridges forward on all ports: the kernel tells a
// bridge of a new port's carrier up to a second late.
func (w *World) AwaitLinks() {
	w.t.Helper()
	nettest.Eventually(w.t, 5*time.Second, "the bridges forward on all ports", func() bool {
		var ports []struct{ State string }
		out, err := w.fabric.Feed("", "bridge", "-j", "link", "show")
		return err == nil && json.Unmarshal([]byte(out), &ports) == nil &&
			!slices.ContainsFunc(ports, func(p struct{ State string }) bool { return p.State != "forwarding" })
	})
}
