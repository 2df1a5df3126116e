package docs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// TestUpstreamRecipe: with the lines of docs/upstream-router.md, and not without, a
// host behind the upstream router reaches what a router's kernel answers for, and the
// upstream router asks for it; also after its device was down. The second recipe does
// the same for a second pool, until its device is set down.
func TestUpstreamRecipe(t *testing.T) {
	lab := nettest.New(t)
	upstream, router, instance, behind := lab.Namespace("upstream"), lab.Namespace("router"), lab.Namespace("instance"), lab.Namespace("behind")
	lab.Veth(upstream, "eth1", router, "qg-1")
	lab.Veth(router, "qr-1", instance, "eth0")
	lab.Veth(upstream, "eth0", behind, "eth0")
	inst, second := netip.MustParseAddr("2001:db8::1:5"), netip.MustParseAddr("2001:db8:1::5")

	// the node, as the daemon makes it
	router.Sysctl("net/ipv6/conf/all/forwarding", "1")
	router.AddAddr("qg-1", "2001:db8::2/112")
	router.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "1")
	router.Sysctl("net/ipv6/neigh/qg-1/proxy_delay", "0")
	router.AddAddr("qr-1", "2001:db8::1:1/112")
	router.AddAddr("qr-1", "2001:db8:1::1/112")
	router.IP("-6", "route", "add", "default", "via", "2001:db8::1")
	instance.IP("-6", "address", "add", inst.String()+"/112", "dev", "eth0")
	instance.IP("-6", "address", "add", second.String()+"/112", "dev", "eth0")
	instance.IP("-6", "route", "add", "default", "via", "2001:db8::1:1")
	for _, a := range []netip.Addr{inst, second} {
		router.IP("-6", "neigh", "add", "proxy", a.String(), "dev", "qg-1")
	}
	// the rest of the upstream router, and a host behind it
	upstream.AddAddr("eth0", "2001:db8:f::1/64")
	behind.AddAddr("eth0", "2001:db8:f::2/64")
	behind.IP("-6", "route", "add", "default", "via", "2001:db8:f::1")
	router.LinkLocal("qg-1")
	router.LinkLocal("qr-1")
	instance.LinkLocal("eth0")
	behind.LinkLocal("eth0")
	upstream.LinkLocal("eth1")

	run := func(word string) {
		t.Helper()
		lines, err := Recipe(root, "docs/upstream-router.md", word)
		if err != nil {
			t.Fatal(err)
		}
		upstream.Run("sh", "-eux", "-c", lines)
	}
	asked := func(a netip.Addr) {
		t.Helper()
		if n := upstream.Neighbour("eth1", a); n.MAC.String() != router.MAC("qg-1").String() {
			t.Errorf("the upstream router has %s as %+v, want the gateway device's %s", a, n, router.MAC("qg-1"))
		}
	}
	down := func() {
		t.Helper()
		upstream.IP("link", "set", "eth1", "down")
		upstream.IP("link", "set", "eth1", "up")
		upstream.LinkLocal("eth1")
	}

	behind.Unreachable(inst)
	run("linux")
	behind.Reaches(inst, 5*time.Second)
	asked(inst)
	down()
	behind.Reaches(inst, 5*time.Second)
	asked(inst)

	behind.Unreachable(second)
	run("linux-route")
	behind.Reaches(second, 5*time.Second)
	asked(second)
	down()
	if out := upstream.IP("-6", "route", "show", "2001:db8:1::/96"); strings.TrimSpace(out) != "" {
		t.Errorf("the page says that the kernel removes this route, and it is there: %s", out)
	}
}
