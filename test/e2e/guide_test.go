//go:build lab

package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestGuide follows the user workflow of Neutron's NDP proxy guide, steps 1 to 11, with the commands
// of the guide where Debian's client has them. Nova's server is a namespace on the port.
func TestGuide(t *testing.T) {
	w := outer(t)
	w.must(w.lab.WipeCloud(w.ctx, w.api))
	w.daemon(lab.DaemonConfig{}) // with no router in the cloud yet, as on a new host

	// "After configuring NDP proxy ... alias will be included"
	if all := w.openstack("extension", "list", "--network", "-f", "value", "-c", "Alias"); !strings.Contains(all, "l3-ndp-proxy") {
		t.Errorf("extension list lacks l3-ndp-proxy:\n%s", all)
	}
	w.openstack("address", "scope", "create", "--share", "--ip-version", "6", lab.ScopeName)                              // 1
	w.openstack("subnet", "pool", "create", "--share", "--address-scope", lab.ScopeName, "--pool-prefix", lab.PoolPrefix, // 2
		"--default-prefix-length", "112", lab.PoolName)
	w.openstack("network", "create", "--external", "--provider-network-type", "flat", // 3
		"--provider-physical-network", "public", lab.ExtNetName)
	w.openstack("subnet", "create", "--network", lab.ExtNetName, "--subnet-pool", lab.PoolName, "--prefix-length", "112", // 4
		"--ip-version", "6", "--no-dhcp", lab.ExtSubName)
	w.openstack("router", "create", lab.RouterName)                                             // 5
	w.openstack("router", "set", lab.RouterName, "--external-gateway", lab.ExtNetName)          // 6
	w.cloud = &lab.Cloud{API: w.api, Router: w.idOf("router", lab.RouterName)}                  // 7: python3-openstackclient 6.0.0
	w.must(w.cloud.UpdateRouter(w.ctx, lab.Fields{"enable_ndp_proxy": true}))                   // has no --enable-ndp-proxy
	w.openstack("network", "create", "--disable-port-security", lab.IntNetName)                 // 8
	w.openstack("subnet", "create", "--network", lab.IntNetName, "--subnet-pool", lab.PoolName, //
		"--prefix-length", "112", "--ip-version", "6", "--ipv6-ra-mode", "dhcpv6-stateful",
		"--ipv6-address-mode", "dhcpv6-stateful", lab.IntSubName)
	w.openstack("router", "add", "subnet", lab.RouterName, lab.IntSubName)

	var err error
	w.cloud, err = w.lab.EnsureCloud(w.ctx, w.api) // finds it all; sets up the upstream router
	w.must(err)
	w.inst, err = w.cloud.EnsureInstance(w.ctx, lab.InstanceName, netip.Addr{}) // 9
	w.must(err)
	w.unreachable(10 * time.Second)

	posted := time.Now()
	proxy, err := w.cloud.Publish(w.ctx, w.inst) // 10: no "router ndp proxy create" in that client
	w.must(err)
	if proxy.Addr != w.inst.Addr {
		t.Fatalf("NDP proxy for %s, the instance has %s", proxy.Addr, w.inst.Addr)
	}
	answered := time.Now()
	at := w.reachable(5 * time.Second) // 11
	t.Logf("first ping answered %v after the API's answer (the request took %v)", at.Sub(answered), answered.Sub(posted))
	w.proxiesByAPI(proxy)
}

// TestFirstReply measures the first reply after the upstream router forgot the neighbour: it
// includes the multicast solicitation and its answer. Upstream's extension takes 200 to 820 ms.
func TestFirstReply(t *testing.T) {
	const samples, bound = 20, 10 * time.Millisecond
	w := setup(t)
	w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)
	var all []time.Duration
	for range samples {
		w.must(nettools.Forget(w.ctx, lab.UpstreamNS, lab.UpstreamDev, w.inst.Addr))
		rtt, err := nettools.PingOnce(lab.UpstreamNS, w.inst.Addr, 2*time.Second)
		w.must(err)
		all = append(all, rtt)
		if rtt >= bound {
			t.Errorf("first reply after %v, must be under %v", rtt, bound)
		}
	}
	t.Logf("first replies: %v", all)
}

// TestAnnouncement: an address that became answerable is announced, correctly per RFC 4861.
func TestAnnouncement(t *testing.T) {
	w := setup(t)
	w.must(w.cloud.Unpublish(w.ctx, w.inst))
	w.daemon(lab.DaemonConfig{})
	capture, err := nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
	w.must(err)
	t.Cleanup(capture.Stop)
	_, err = w.cloud.Publish(w.ctx, w.inst)
	w.must(err)
	p, err := capture.Await(w.within(10*time.Second), "an unsolicited advertisement", func(p nettools.Packet) bool {
		return p.Unsolicited() && p.Advertises(w.inst.Addr)
	})
	w.must(err)
	checkAnnouncement(t, p, w)
}

// checkAnnouncement: RFC 4861 section 4.4 and 7.2.6, and what facts.md measured of receivers.
func checkAnnouncement(t *testing.T, p nettools.Packet, w *world) {
	t.Helper()
	na, is := p.Message.(*ndp.NeighborAdvertisement)
	if !is {
		t.Fatalf("not an advertisement: %+v", p)
	}
	mac, err := lab.MACOf(w.ctx, w.cloud.Namespace, w.cloud.GatewayDev)
	w.must(err)
	var target string
	for _, o := range na.Options {
		if l, is := o.(*ndp.LinkLayerAddress); is && l.Direction == ndp.Target {
			target = l.Addr.String()
		}
	}
	got := fmt.Sprintf("from %s to %s (%s to %s) hop limit %d, override %v router %v, target link-layer %s",
		linkLocal(p.Src), p.Dst, p.SrcMAC, p.DstMAC, p.HopLimit, na.Override, na.Router, target)
	want := fmt.Sprintf("from link-local to ff02::1 (%s to 33:33:00:00:00:01) hop limit 255, override true router false, target link-layer %s", mac, mac)
	if got != want {
		t.Errorf("advertisement for %s:\n got %s\nwant %s", na.TargetAddress, got, want)
	}
}

func linkLocal(a netip.Addr) string {
	if a.IsLinkLocalUnicast() {
		return "link-local"
	}
	return a.String()
}

// openstack runs the openstack client and returns its output.
func (w *world) openstack(args ...string) string {
	w.Helper()
	out, err := w.lab.OpenStack(w.ctx, args...)
	w.must(err)
	return out
}

func (w *world) idOf(kind, name string) string {
	w.Helper()
	return strings.TrimSpace(w.openstack(kind, "show", name, "-f", "value", "-c", "id"))
}
