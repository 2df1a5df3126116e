package docs

import (
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// pool is an upstream router's two devices, eth1 on the external link and eth0 towards
// a host behind it, a router whose kernel answers for two addresses as the daemon makes
// it, and an instance that has them.
type pool struct {
	upstream, router, behind *nettest.Namespace
	first, second            netip.Addr
}

func newPool(t *testing.T) pool {
	t.Helper()
	lab := nettest.New(t)
	p := pool{
		upstream: lab.Namespace("upstream"), router: lab.Namespace("router"), behind: lab.Namespace("behind"),
		first: netip.MustParseAddr("2001:db8::1:5"), second: netip.MustParseAddr("2001:db8:1::5"),
	}
	instance := lab.Namespace("instance")
	lab.Veth(p.upstream, "eth1", p.router, "qg-1")
	lab.Veth(p.router, "qr-1", instance, "eth0")
	lab.Veth(p.upstream, "eth0", p.behind, "eth0")
	p.router.Sysctl("net/ipv6/conf/all/forwarding", "1")
	p.router.AddAddr("qg-1", "2001:db8::2/112")
	p.router.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "1")
	p.router.Sysctl("net/ipv6/neigh/qg-1/proxy_delay", "0")
	p.router.AddAddr("qr-1", "2001:db8::1:1/112")
	p.router.AddAddr("qr-1", "2001:db8:1::1/112")
	p.router.IP("-6", "route", "add", "default", "via", "2001:db8::1")
	for _, a := range []netip.Addr{p.first, p.second} {
		instance.IP("-6", "address", "add", a.String()+"/112", "dev", "eth0")
		p.router.IP("-6", "neigh", "add", "proxy", a.String(), "dev", "qg-1")
	}
	instance.IP("-6", "route", "add", "default", "via", "2001:db8::1:1")
	p.upstream.AddAddr("eth0", "2001:db8:f::1/64")
	p.behind.AddAddr("eth0", "2001:db8:f::2/64")
	p.behind.IP("-6", "route", "add", "default", "via", "2001:db8:f::1")
	for n, devices := range map[*nettest.Namespace][]string{p.router: {"qg-1", "qr-1"}, instance: {"eth0"}, p.behind: {"eth0"}, p.upstream: {"eth1"}} {
		for _, device := range devices {
			n.LinkLocal(device)
		}
	}
	return p
}

// reached: the host behind the upstream router gets an answer, and the upstream router
// asked who has the address.
func (p pool) reached(t *testing.T, a netip.Addr) {
	t.Helper()
	p.behind.Reaches(a, 5*time.Second)
	if n := p.upstream.Neighbour("eth1", a); n.MAC.String() != p.router.MAC("qg-1").String() {
		t.Errorf("the upstream router has %s as %+v, want the gateway device's %s", a, n, p.router.MAC("qg-1"))
	}
}

// flap sets the upstream router's device down and up.
func (p pool) flap() {
	p.upstream.IP("link", "set", "eth1", "down")
	p.upstream.IP("link", "set", "eth1", "up")
	p.upstream.LinkLocal("eth1")
}

func lines(t *testing.T, word string) string {
	t.Helper()
	text, err := Recipe(root, "docs/upstream-router.md", word)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestUpstreamRecipe: with the lines of docs/upstream-router.md, and not without, a
// host behind the upstream router reaches what a router's kernel answers for, and the
// upstream router asks for it; also after its device was down. The second recipe does
// the same for a second pool, until its device is set down.
func TestUpstreamRecipe(t *testing.T) {
	p := newPool(t)
	p.behind.Unreachable(p.first)
	p.upstream.Run("sh", "-eux", "-c", lines(t, "linux"))
	p.reached(t, p.first)
	p.flap()
	p.reached(t, p.first)

	p.behind.Unreachable(p.second)
	p.upstream.Run("sh", "-eux", "-c", lines(t, "linux-route"))
	p.reached(t, p.second)
	p.flap()
	if out := p.upstream.IP("-6", "route", "show", "2001:db8:1::/96"); strings.TrimSpace(out) != "" {
		t.Errorf("the page says that the kernel removes this route, and it is there: %s", out)
	}
}

// TestFRRRecipe: the same with FRR's zebra and staticd; and what the page says of a
// device that was down, and of the end of zebra.
func TestFRRRecipe(t *testing.T) {
	const programs = "/usr/lib/frr/"
	if _, err := os.Stat(programs + "zebra"); err != nil {
		t.Skip("no FRR here: ", err)
	}
	p := newPool(t)
	dir := frrDir(t)
	file := filepath.Join(dir, "frr.conf")
	if err := os.WriteFile(file, []byte(lines(t, "frr")), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	common := []string{"-z", filepath.Join(dir, "zserv"), "--vty_socket", dir, "-f", "/dev/null", "-i"}
	zebra := p.upstream.StartTo(log, programs+"zebra", append(common, filepath.Join(dir, "zebra.pid"))...)
	nettest.Eventually(t, 10*time.Second, "zebra listens", func() bool { _, err := os.Stat(filepath.Join(dir, "zserv")); return err == nil })
	p.upstream.StartTo(log, programs+"staticd", append(common, filepath.Join(dir, "staticd.pid"))...)
	nettest.Eventually(t, 10*time.Second, "staticd listens", func() bool { _, err := os.Stat(filepath.Join(dir, "staticd.vty")); return err == nil })

	p.behind.Unreachable(p.first)
	p.upstream.Run("vtysh", "--vty_socket", dir, "-f", file)
	p.reached(t, p.first)
	p.flap()
	has := func(what string, args ...string) bool {
		return strings.Contains(p.upstream.IP(append([]string{"-6"}, args...)...), what)
	}
	nettest.Eventually(t, 10*time.Second, "staticd's route is back", func() bool { return has("2001:db8::/96", "route", "show") })
	if has("2001:db8::1", "address", "show", "dev", "eth1") {
		t.Error("the page says that the address is not back, and it is")
	}
	if err := zebra.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, 10*time.Second, "zebra's routes go with it", func() bool { return !has("2001:db8::/96", "route", "show") })
}

// frrDir is a directory for FRR's sockets: it gives up root.
func frrDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "frr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	frr, err := user.Lookup("frr")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(frr.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return dir
}
