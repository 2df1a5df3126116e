package explain_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// breakage is one way in which an address is not answered for.
type breakage struct {
	// what was done, for the table.
	what string
	// link is the one that must be named, says a part of its facts and do one of what
	// to do.
	link, says, do string
	// act breaks it and returns what mends it.
	act func(s *stage) (undo func())
}

// told is a breakage by what the server says.
func told(change func(*inventory.Snapshot)) func(*stage) func() {
	return func(s *stage) func() {
		s.tell(change)
		return func() { s.tell(nil) }
	}
}

// answered is one by what the server answers when it is asked.
func answered(proxies []explain.ServerProxy, change func(*inventory.Snapshot)) func(*stage) func() {
	return func(s *stage) func() {
		before := s.server
		s.set(func() { s.server = proxies })
		s.tell(change)
		return func() { s.set(func() { s.server = before }); s.tell(nil) }
	}
}

// inside is one by commands in the router's namespace.
func inside(do, undo [][]string) func(*stage) func() {
	return func(s *stage) func() {
		for _, c := range do {
			s.router.Run(c[0], c[1:]...)
		}
		return func() {
			for _, c := range undo {
				s.router.Run(c[0], c[1:]...)
			}
		}
	}
}

// refused is one that the daemon would mend at once, if the kernel let it.
func refused(errno syscall.Errno, act func(*stage)) func(*stage) func() {
	return func(s *stage) func() {
		s.kernel.shut(refuses(errno, "refused by the test"))
		act(s)
		s.loop.LookAgain()
		return func() { s.kernel.shut(nil); s.loop.LookAgain() }
	}
}

func noProxy(i *inventory.Snapshot) { i.Proxies = nil }

func nothing(i *inventory.Snapshot) { *i = inventory.Snapshot{} }

func conf(key, value string) []string {
	return []string{"sysctl", "-q", "-w", "net.ipv6.conf." + key + "=" + value}
}

func centralisedBreakages() []breakage {
	ll := "fe80::ff:fe00:2"
	return []breakage{
		{"the daemon hangs", explain.LinkDaemon, "look at qrouter-1", "systemctl restart", func(s *stage) func() {
			s.set(func() { s.stuck = []string{"look at qrouter-1, for 5m0s"} })
			return func() { s.set(func() { s.stuck = nil }) }
		}},
		{"the connection to the broker is lost, and a proxy is made meanwhile", explain.LinkServer, "rabbit1:5672", "check", func(s *stage) func() {
			s.set(func() {
				*s.broker = admin.Broker{Endpoint: "rabbit1:5672", LastError: "connection refused"}
			})
			s.tell(noProxy)
			return func() {
				s.set(func() { *s.broker = admin.Broker{Connected: true, Subscribed: true, Endpoint: "rabbit1:5672"} })
				s.tell(nil)
			}
		}},
		{"the proxy was never made", explain.LinkProxy, "no NDPProxy has this address; it is in 2001:db8:0:1::/64", "ndp proxy create", answered(nil, noProxy)},
		{"the proxy is deleted in the server's database only", explain.LinkProxy, "no longer has the NDPProxy proxy-1", "audit", answered(nil, nil)},
		{"the server's message about a new proxy is lost", explain.LinkProxy, "nobody told it of the proxy", "reconcile", func(s *stage) func() {
			s.tell(noProxy)
			return func() { s.tell(nil) }
		}},
		{"the router is on another host", explain.LinkRouter, "its gateway is on net2", "on net2: neutron-ndp-proxy-agent explain",
			answered([]explain.ServerProxy{{ID: "proxy-1", Router: "router-1", Port: "port-1", GatewayHost: "net2"}}, nothing)},
		{"the server's answer about the router can't be understood", explain.LinkRouter, "could not be read", "journalctl", func(s *stage) func() {
			s.tell(nothing) // one that was read before counts with what it was
			s.tell(func(i *inventory.Snapshot) {
				*i = inventory.Snapshot{Held: map[string][]string{"router-1": {"qrouter-1"}}}
			})
			return func() { s.tell(nil) }
		}},
		{"enable_ndp_proxy is off", explain.LinkRouter, "enable_ndp_proxy is off", "openstack router set --enable-ndp-proxy router-1",
			told(func(i *inventory.Snapshot) { i.Routers[0].Enabled = false })},
		{"the router has no gateway", explain.LinkRouter, "no gateway", "--external-gateway", told(func(i *inventory.Snapshot) { i.Routers[0].External = nil })},
		{"the proxy is for an address of a subnet that was taken from the router", explain.LinkAllowed, "outside every internal subnet", "openstack router add subnet",
			told(func(i *inventory.Snapshot) { i.Routers[0].Subnets = nil })},
		{"the subnet pool is of another address scope", explain.LinkAllowed, "another address scope", "subnet pool",
			told(func(i *inventory.Snapshot) {
				i.Routers[0].Subnets = []inventory.Subnet{{Prefix: internal, Scope: "other"}}
			})},
		{"max_addresses others were there first", explain.LinkAllowed, "as many addresses as max_addresses allows (3)", "raise [ndp_proxy] max_addresses", func(s *stage) func() {
			others := func(i *inventory.Snapshot) {
				for n := range byte(most) {
					a := published.As16()
					a[15] = 0xa0 + n
					i.Proxies = append(i.Proxies, inventory.Proxy{ID: fmt.Sprint("other-", n), RouterID: "router-1", PortID: "port-2", Addr: netip.AddrFrom16(a)})
				}
			}
			s.tell(func(i *inventory.Snapshot) { i.Proxies = nil; others(i) })
			s.withdrawn()
			s.tell(others)
			return func() { s.tell(nil) }
		}},
		{"the namespace is gone", explain.LinkNamespace, "qrouter-1 does not exist", "the L3 agent makes it", func(s *stage) func() { return s.hide(s.router) }},
		{"the external device is gone", explain.LinkDevice, "qg-1 does not exist", "the L3 agent makes it", func(s *stage) func() {
			s.router.IP("link", "del", qg)
			return s.plug
		}},
		{"the external device is set down", explain.LinkDevice, "qg-1 in qrouter-1 is down", "ip -n qrouter-1 link set qg-1 up", func(s *stage) func() {
			s.router.IP("link", "set", qg, "down")
			return func() { s.router.IP("link", "set", qg, "up"); s.dress() }
		}},
		{"the other end of the external device is down", explain.LinkCarrier, "no carrier", "bring up the other end", func(s *stage) func() {
			s.outside.IP("link", "set", "eth0", "down")
			return func() {
				s.outside.IP("link", "set", "eth0", "up")
				s.outside.IP("-6", "address", "replace", upstream.String()+"/64", "dev", "eth0", "nodad")
				s.outside.IP("-6", "route", "replace", internal.String(), "dev", "eth0")
				s.dress()
			}
		}},
		{"IPv6 is switched off on the external device", explain.LinkIPv6, "disable_ipv6", "sysctl -w net/ipv6/conf/qg-1/disable_ipv6=0", func(s *stage) func() {
			s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".disable_ipv6=1")
			return func() { s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".disable_ipv6=0"); s.dress() }
		}},
		{"the external device has an MTU of 1200", explain.LinkIPv6, "MTU is below 1280", "mtu 1500", func(s *stage) func() {
			s.router.IP("link", "set", qg, "mtu", "1200")
			return func() { s.router.IP("link", "set", qg, "mtu", "1500"); s.dress() }
		}},
		{"the node is the backup of an HA router", explain.LinkGateway, "does not hold the gateway's address (2001:db8::2)", "net2",
			func(s *stage) func() {
				s.router.IP("address", "del", gateway.String()+"/64", "dev", qg)
				s.set(func() { s.server[0].GatewayHost = "net2" })
				return func() { s.set(func() { s.server[0].GatewayHost = "net1" }); s.dress() }
			}},
		{"another node has the gateway's address", explain.LinkGateway, "2001:db8::2 on qg-1 failed duplicate address detection", "find the other node", func(s *stage) func() {
			s.outside.AddAddr("eth0", gateway.String()+"/64")
			s.router.IP("address", "del", gateway.String()+"/64", "dev", qg)
			s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".accept_dad=1")
			s.router.IP("address", "add", gateway.String()+"/64", "dev", qg)
			return func() {
				s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".accept_dad=0")
				s.router.IP("address", "del", gateway.String()+"/64", "dev", qg)
				s.outside.IP("address", "del", gateway.String()+"/64", "dev", "eth0")
				s.dress()
			}
		}},
		{"another node has the external device's link-local address", explain.LinkLinkLocal, ll + " of qg-1 failed duplicate address detection", "find the other device", func(s *stage) func() {
			s.outside.AddAddr("eth0", ll+"/64")
			s.router.IP("address", "del", ll+"/64", "dev", qg)
			s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".accept_dad=1")
			s.router.IP("address", "add", ll+"/64", "dev", qg)
			return func() {
				s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".accept_dad=0")
				s.router.IP("address", "del", ll+"/64", "dev", qg)
				s.outside.IP("address", "del", ll+"/64", "dev", "eth0")
				s.router.AddAddr(qg, ll+"/64")
			}
		}},
		{"the external device lost its link-local address", explain.LinkLinkLocal, "qg-1 has no link-local address", "address add",
			inside([][]string{{"ip", "address", "del", ll + "/64", "dev", qg}}, [][]string{{"ip", "address", "add", ll + "/64", "dev", qg, "nodad"}})},
		{"forwarding is off, as some seconds after a failover", explain.LinkSysctls, "IPv6 forwarding is off on qg-1", "net/ipv6/conf/qg-1/forwarding=1",
			inside([][]string{conf(qg+".forwarding", "0")}, [][]string{conf(qg+".forwarding", "1")})},
		{"proxy_ndp is set to 0, and /proc/sys is read-only for the daemon", explain.LinkSysctls, "proxy_ndp of qg-1 is 0", "read-only file system",
			refused(syscall.EROFS, func(s *stage) { s.router.Run("sysctl", "-q", "-w", "net.ipv6.conf."+qg+".proxy_ndp=0") })},
		{"the proxy neighbour is deleted, and the kernel takes no other (no memory)", explain.LinkEntry, "no proxy neighbour for it is on qg-1", "cannot allocate memory",
			refused(syscall.ENOMEM, func(s *stage) { s.router.IP("-6", "neigh", "del", "proxy", published.String(), "dev", qg) })},
		{"our table is deleted, and the daemon may write none", explain.LinkFilter, "our nftables table is missing", "operation not permitted",
			refused(syscall.EPERM, func(s *stage) { s.router.Run("nft", "delete", "table", "ip6", dataplane.DefaultTable) })},
		{"the address is taken out of our set, and the daemon may not write", explain.LinkFilter, "not in the set", "operation not permitted",
			refused(syscall.EPERM, func(s *stage) {
				s.router.Run("nft", "delete", "element", "ip6", dataplane.DefaultTable, "published-"+qg, "{ "+published.String()+" }")
				// Another one, or the count would tell before.
				s.router.Run("nft", "add", "element", "ip6", dataplane.DefaultTable, "published-"+qg, "{ 2001:db8:0:1::99 }")
			})},
		{"somebody's rule drops packets to the subnet", explain.LinkForeign, "table ip6 mine, chain forward", "nft -a list ruleset", inside([][]string{
			{"nft", "add table ip6 mine; add chain ip6 mine forward { type filter hook forward priority 0; policy accept; }"},
			{"nft", "add rule ip6 mine forward iifname qg-1 ip6 daddr 2001:db8:0:1::/64 counter drop"},
		}, [][]string{{"nft", "delete table ip6 mine"}})},
		{"somebody's firewall drops neighbour solicitations", explain.LinkForeign, "neighbour solicitations", "nft -a list ruleset", inside([][]string{
			{"nft", "add table inet mine; add chain inet mine input { type filter hook input priority 0; policy accept; }"},
			{"nft", "add rule inet mine input icmpv6 type nd-neighbor-solicit drop"},
		}, [][]string{{"nft", "delete table inet mine"}})},
		{"the L3 agent's own extension is still on, and knows nothing of the address", explain.LinkForeign, "neutron-l3-agent-NDP", "docs/migrate.md", inside([][]string{
			{"ip6tables-nft", "-N", "neutron-l3-agent-NDP"},
			{"ip6tables-nft", "-A", "FORWARD", "-j", "neutron-l3-agent-NDP"},
			{"ip6tables-nft", "-A", "neutron-l3-agent-NDP", "-i", qg, "-d", "2001:db8:0:1::6/128", "-j", "ACCEPT"},
			{"ip6tables-nft", "-A", "neutron-l3-agent-NDP", "-i", qg, "-j", "DROP"},
		}, [][]string{{"nft", "delete", "table", "ip6", "filter"}})},
		{"the router's internal device is down", explain.LinkRoute, "go back out on qg-1", "qr-", func(s *stage) func() {
			s.router.IP("link", "set", qr, "down")
			return func() {
				s.router.IP("link", "set", qr, "up")
				s.router.IP("-6", "address", "replace", routerAddr.String()+"/64", "dev", qr, "nodad")
			}
		}},
		{"somebody made the address unreachable", explain.LinkRoute, "no route leads to it", "route get", inside(
			[][]string{{"ip", "-6", "route", "add", "unreachable", published.String()}}, [][]string{{"ip", "-6", "route", "del", "unreachable", published.String()}})},
		{"the instance does not have the address", explain.LinkInstance, "does not answer for 2001:db8:0:1::5 on qr-1", "openstack port show port-1", func(s *stage) func() {
			s.vm.IP("address", "del", published.String()+"/64", "dev", "eth0")
			s.router.FlushNeighbours(qr)
			_, _ = s.router.Try("ping", "-c1", "-W4", published.String())
			return func() {
				s.vm.AddAddr("eth0", published.String()+"/64")
				s.vm.IP("-6", "route", "replace", "default", "via", routerAddr.String())
				s.router.FlushNeighbours(qr)
				s.router.Reaches(published, 5*time.Second)
			}
		}},
		{"somebody's rule drops what is announced, and an announcement is owed", explain.LinkAnnounced, "not announced since", "tried again", func(s *stage) func() {
			s.router.Run("nft", "add table ip6 mine; add chain ip6 mine output { type filter hook output priority 0; policy accept; }")
			s.router.Run("nft", "add rule ip6 mine output ip6 daddr ff02::1 icmpv6 type nd-neighbor-advert drop")
			s.loop.AnnounceAll()
			return func() { s.router.Run("nft", "delete table ip6 mine") }
		}},
	}
}
