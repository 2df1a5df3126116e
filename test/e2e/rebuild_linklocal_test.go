//go:build lab

package e2e

import (
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// linkLocalOnly: what Neutron allows of NDP proxy on a gateway without an IPv6 address. On a network
// without an IPv6 subnet: nothing. With one, a router that is created with an IPv4 address only is
// accepted, and its device has a link-local address alone. We answer there, but the L3 agent drops what
// comes in: its address-scope rules mark what comes from a device by the addresses of its port, and
// that port has none of IPv6. With the mark set by hand everything works. The first update that does not
// name the flag switches NDP proxy off for good: the server's own check finds no IPv6 address then, and
// the proxies stay in its database.
func (s *rebuilds) linkLocalOnly(t *testing.T) {
	r := s.starting(t)
	ext, remove, err := r.cloud.MakeExternal(r.ctx, "public4", "dc3")
	r.must(err)
	r.finally(remove)
	v4, err := r.cloud.MakeSubnetOn(r.ctx, ext.Net, lab.Fields{"ip_version": 4, "cidr": "10.99.0.0/24", "enable_dhcp": false})
	r.must(err)

	gateway := lab.Fields{"network_id": ext.Net}
	made := func(enable bool) lab.Fields {
		f := lab.Fields{"name": "link-local", "ha": false, "distributed": false, "external_gateway_info": gateway}
		if enable {
			f["enable_ndp_proxy"] = true
		}
		return f
	}
	_, err = r.cloud.MakeRouter(r.ctx, made(true))
	r.refused("a router on a network without an IPv6 subnet", err)
	plain, err := r.cloud.MakeRouter(r.ctx, made(false))
	r.must(err)
	r.refused("NDP proxy on a network without an IPv6 subnet", plain.UpdateRouter(r.ctx, lab.Fields{"enable_ndp_proxy": true}))
	r.must(plain.DeleteRouter(r.ctx))

	v6, err := r.cloud.MakeSubnetOn(r.ctx, ext.Net, lab.V6(r.cloud.Pool))
	r.must(err)
	gateway["external_fixed_ips"] = []lab.Fields{{"subnet_id": v4}}
	netID, removeNet, err := r.cloud.MakeNetwork(r.ctx, "link-local-net")
	r.must(err)
	r.finally(removeNet)
	other, err := r.cloud.MakeRouter(r.ctx, made(true))
	r.must(err)
	other = other.On(ext, v6)
	r.finally(other.WipeRouter) // before its networks
	inst := r.behind(other, netID)

	ll := r.with(other)
	ll.inst = inst
	both := enabled(other, []netip.Prefix{subnet112(inst.Addr)}, inst.Addr)
	maps.Copy(both, r.published())
	_, err = other.Publish(r.ctx, inst)
	r.must(err)
	r.settled(5*time.Second, r.host, both)
	ll.proves(ll.silent(inst.Addr))
	mac, err := lab.MACOf(r.ctx, other.Namespace, other.GatewayDev)
	r.must(err)
	if n, ok, err := nettools.NeighbourOf(r.ctx, lab.UpstreamNS, ext.Dev, inst.Addr); err != nil || !ok || n.MAC != mac {
		t.Errorf("the upstream router did not get our answer (%s): %+v, %v, %v", mac, n, ok, err)
	}
	r.markScope(other)
	if _, err := nettools.AwaitReachable(r.within(5*time.Second), lab.UpstreamNS, inst.Addr); err != nil {
		ll.logKernel()
		t.Fatal(err)
	}
	ll.proves(ll.passes(inst))

	// the one-way street
	r.must(other.UpdateRouter(r.ctx, lab.Fields{"description": "an update that does not name the flag"}))
	r.settled(agentTime, r.host, r.published())
	proxies, err := other.Proxies(r.ctx)
	r.must(err)
	t.Logf("after an update that does not name the flag: %d proxies in the database, none in the kernel", len(proxies))
	if len(proxies) != 1 {
		t.Errorf("%d proxies, want the one", len(proxies))
	}
	r.refused("NDP proxy switched on again", other.UpdateRouter(r.ctx, lab.Fields{"enable_ndp_proxy": true}))
	r.works(5*time.Second, r.published())
}

// scopeMark finds the mark of the address scope in a rule as iptables -S prints it.
var scopeMark = regexp.MustCompile(`-i qr-\S+ -j MARK --set-xmark (0x[0-9a-f]+/0xffff0000)`)

// markScope does what the L3 agent leaves out: what comes in by the gateway's device is of the scope that
// the internal subnets have. The agent's next rewriting of its rules takes it away.
func (r *rebuild) markScope(c *lab.Cloud) {
	r.Helper()
	const chain = "neutron-l3-agent-scope"
	mangle := []string{"ip6tables", "-w", "-t", "mangle"}
	out, err := nettools.Exec(r.ctx, c.Namespace, append(mangle, "-S", chain)...)
	r.must(err)
	mark := scopeMark.FindStringSubmatch(string(out))
	if mark == nil || strings.Contains(string(out), c.GatewayDev) {
		r.Fatalf("want a mark for the internal device and none for %s:\n%s", c.GatewayDev, out)
	}
	r.Logf("the L3 agent marks no IPv6 scope on %s:\n%s", c.GatewayDev, out)
	_, err = nettools.Exec(r.ctx, c.Namespace, append(mangle, "-A", chain, "-i", c.GatewayDev, "-j", "MARK", "--set-xmark", mark[1])...)
	r.must(err)
}

// behind connects an internal network, with an instance on it, to a router whose gateway has a link-local
// address only, and sets up the upstream router as an operator would: an address of the external
// subnet, and a route for the internal one on the link.
func (r *rebuild) behind(c *lab.Cloud, netID string) *lab.Instance {
	r.Helper()
	sub, err := r.cloud.MakeSubnetOn(r.ctx, netID, lab.V6(r.cloud.Pool))
	r.must(err)
	r.must(c.AddInterface(r.ctx, sub))
	inside, err := c.Inside(r.ctx, netID, sub)
	r.must(err)
	inst, err := inside.EnsureInstance(r.ctx, "link-local", netip.Addr{})
	r.must(err)

	port, ok, err := c.GatewayPort(r.ctx)
	r.must(err)
	if !ok || len(port.FixedIPs) != 1 || !port.FixedIPs[0].Addr.Is4() {
		r.Fatalf("the gateway port has %v, want one IPv4 address", port.FixedIPs)
	}
	c.GatewayDev = "qg-" + port.ID[:11]
	out, err := nettools.IP(r.ctx, c.Namespace, "-6", "-o", "addr", "show", "dev", c.GatewayDev, "scope", "global")
	r.must(err)
	if strings.TrimSpace(string(out)) != "" {
		r.Fatalf("%s has a global address: %s", c.GatewayDev, out)
	}
	upstream, err := c.UpstreamAddr(r.ctx)
	r.must(err)
	for _, args := range [][]string{
		{"addr", "replace", upstream.String() + "/112", "dev", c.UpstreamDev, "nodad"},
		{"-6", "route", "replace", subnet112(inst.Addr).String(), "dev", c.UpstreamDev},
	} {
		_, err := nettools.IP(r.ctx, lab.UpstreamNS, args...)
		r.must(err)
	}
	return inst
}
