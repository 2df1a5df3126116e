package explain_test

import (
	"net/netip"
	"syscall"
	"testing"

	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/test/nettest"
)

const fg, fpr, rfp = "fg-1", "fpr-1", "rfp-1"

// distributed is a distributed router on the host of the instance:
//
//	upstream eth0 ── fg-1 fip-1 fpr-1 ── rfp-1 qrouter-1 qr-1 ── eth0 instance
func distributed(t *testing.T) *stage {
	l := nettest.New(t)
	s := &stage{Lab: l, t: t, device: fg, outside: l.Namespace("upstream"), router: l.Namespace("fip-1"), vm: l.Namespace("instance")}
	s.far = l.Namespace("qrouter-1")
	for _, n := range []*nettest.Namespace{s.outside, s.router, s.far} {
		forwards(n)
	}
	s.plug()
	s.router.IP("-6", "route", "del", "default")
	l.Veth(s.far, qr, s.vm, "eth0")
	s.far.AddAddr(qr, routerAddr.String()+"/64")
	s.vm.AddAddr("eth0", published.String()+"/64")
	s.vm.IP("-6", "route", "add", "default", "via", routerAddr.String())
	s.join()
	s.said = inventory.Snapshot{
		Routers: []inventory.Router{{
			ID: "router-1", Enabled: true, Scope: "scope",
			External: []inventory.Attachment{{
				Namespace: "fip-1", Device: fg, Addrs: []netip.Addr{gateway}, Serves: inventory.Here,
				Inner: &inventory.Inner{Device: fpr, PeerNamespace: "qrouter-1", PeerDevice: rfp, Gateway: upstream},
			}},
			Subnets: []inventory.Subnet{{Prefix: internal, Scope: "scope", RouterAddrs: []netip.Addr{routerAddr}}},
		}},
		Proxies: []inventory.Proxy{{ID: "proxy-1", RouterID: "router-1", PortID: "port-1", Addr: published}},
		Ports:   []inventory.Port{{ID: "port-1", Place: inventory.Here}},
	}
	s.server = []explain.ServerProxy{{ID: "proxy-1", Router: "router-1", Port: "port-1", PortHost: "net1", GatewayHost: "net3"}}
	return s
}

// join makes the pair between the namespaces (again).
func (s *stage) join() {
	s.Veth(s.router, fpr, s.far, rfp)
	for n, device := range map[*nettest.Namespace]string{s.router: fpr, s.far: rfp} {
		n.IP("link", "set", device, "down")
		n.IP("link", "set", device, "address", map[string]string{fpr: "02:00:00:00:00:03", rfp: "02:00:00:00:00:04"}[device])
		n.IP("link", "set", device, "up")
	}
	via := s.router.LinkLocal(fpr)
	s.far.LinkLocal(rfp)
	s.far.IP("-6", "route", "replace", "default", "via", via.String(), "dev", rfp)
}

func place(p inventory.Place) func(*inventory.Snapshot) {
	return func(i *inventory.Snapshot) { i.Ports[0].Place = p }
}

func distributedBreakages() []breakage {
	return []breakage{
		{"the instance of a distributed router moved to another host", explain.LinkHost, "the port is on compute7", "on compute7: neutron-ndp-proxy-agent explain", func(s *stage) func() {
			s.set(func() { s.server[0].PortHost = "compute7" })
			s.tell(place(inventory.Elsewhere))
			return func() { s.set(func() { s.server[0].PortHost = "net1" }); s.tell(nil) }
		}},
		{"the server has not said where the port of a distributed router is", explain.LinkHost, "the server has not said yet", "openstack port show port-1", func(s *stage) func() {
			s.tell(place(inventory.Elsewhere))
			s.withdrawn()
			s.tell(place(inventory.Anywhere))
			return func() { s.tell(nil) }
		}},
		{"the L3 agent waits to make its port in the external network", explain.LinkRouter, "waits for the L3 agent's port", "systemctl status neutron-l3-agent", func(s *stage) func() {
			s.tell(func(i *inventory.Snapshot) {
				i.Routers[0].External, i.Routers[0].Awaits = nil, "the L3 agent's port in the external network"
			})
			return func() { s.tell(nil) }
		}},
		{"the pair of devices to the router's own namespace is gone", explain.LinkPair, "device fpr-1 does not exist", "the L3 agent makes the pair", func(s *stage) func() {
			s.router.IP("link", "del", fpr)
			return s.join
		}},
		{"the host route to the address is deleted, and the kernel takes no other (no memory)", explain.LinkRoute, "no host route leads to it through fpr-1", "cannot allocate memory",
			refused(syscall.ENOMEM, func(s *stage) { s.router.IP("-6", "route", "del", published.String(), "dev", fpr) })},
		{"somebody's route to the address wins over ours", explain.LinkRoute, "wins over ours: 2001:db8:0:1::5/128 dev fg-1 (protocol 3, metric 10)", "route del", inside(
			[][]string{{"ip", "-6", "route", "add", published.String(), "dev", fg, "metric", "10"}},
			[][]string{{"ip", "-6", "route", "del", published.String(), "dev", fg, "metric", "10"}})},
		{"somebody's rule in a distributed router's fip- namespace leads nowhere", explain.LinkRoute, "a rule or route of somebody else in fip-1 wins over ours, and leads nowhere", "-6 rule", inside(
			[][]string{{"ip", "-6", "rule", "add", "priority", "10", "to", published.String(), "unreachable"}},
			[][]string{{"ip", "-6", "rule", "del", "priority", "10"}})},
		{"the distributed router's internal device is down", explain.LinkRoute, "in qrouter-1 packets to it go back out on rfp-1", "qr-", func(s *stage) func() {
			s.far.IP("link", "set", qr, "down")
			return func() {
				s.far.IP("link", "set", qr, "up")
				s.far.IP("-6", "address", "replace", routerAddr.String()+"/64", "dev", qr, "nodad")
			}
		}},
		{"the rule of the way back is deleted, and the daemon may not write", explain.LinkWayBack, "missing rule 32800 iif fpr-1 table 110", "operation not permitted",
			refused(syscall.EPERM, func(s *stage) { s.router.IP("-6", "rule", "del", "priority", "32800", "iif", fpr) })},
		{"somebody's default route is in the table of the way back", explain.LinkWayBack, "finds no way out of fip-1", "somebody else's route is in its place", func(s *stage) func() {
			s.kernel.shut(refuses(syscall.EBUSY, "held by the test while it exchanges the route"))
			s.router.IP("-6", "route", "del", "default", "table", "110")
			s.router.IP("-6", "route", "add", "default", "via", upstream.String(), "dev", fg, "table", "110", "proto", "static")
			s.kernel.shut(nil)
			s.loop.LookAgain()
			return func() { s.router.IP("-6", "route", "del", "default", "table", "110") }
		}},
	}
}
