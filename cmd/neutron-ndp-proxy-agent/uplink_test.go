package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// When the host was cut off, the switches may have learned that our addresses
// are elsewhere, and nothing changed where they are answered for: they are
// announced again as soon as the uplink is back, and not for another device.
func TestUplinkComesBack(t *testing.T) {
	p := nettest.NewTopology(t)
	host, sw := p.Namespace("host"), p.Namespace("switch")
	p.Veth(host, "eth0", sw, "port0")
	p.Veth(host, "tap0", sw, "vm0")
	// The kernel works the carriers of devices just made off in its own time, up to a
	// second later: one that the daemon sees come is a reason to announce.
	for _, n := range []*nettest.Namespace{host, p.Router, p.Upstream} {
		nettest.Eventually(t, 10*time.Second, "the carriers in "+n.Name, func() bool {
			return !strings.Contains(n.Run("ip", "-o", "link", "show", "up"), "DOWN")
		})
	}
	dir := t.TempDir()
	source, ini := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini")
	put(t, ini, fmt.Sprintf("[ndp_proxy]\nsource = file\nsource_file = %s\nnetns_dir = %s\nruntime_dir = %s/run\n"+
		"announce_count = 1\nuplinks = bond*, eth0\n[DEFAULT]\nha_vrrp_advert_int = 0\n", source, p.Dir, dir))
	put(t, source, fmt.Sprintf("version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: %s\n    gateway_addresses: ['%s']\n    internal_subnets: ['%s']\n    published: ['%s']\n",
		nettest.External, p.GatewayAddr, p.InternalNet, p.InstanceAddr))
	heard := p.Upstream.Capture("eth0")
	advertised := func() int {
		return len(heard.Frames(func(f nettest.Frame) bool {
			target, solicited, ok := f.Advertises()
			return ok && !solicited && target == p.InstanceAddr
		}))
	}
	d := launchIn(t, filepath.Join(p.Dir, host.Name), ini)
	d.await(t, "READY=1")
	nettest.Eventually(t, 5*time.Second, "the first advertisement", func() bool { return advertised() > 0 })
	time.Sleep(500 * time.Millisecond)
	before := advertised()
	for _, device := range []string{"vm0", "port0"} {
		if got := advertised(); got != before {
			t.Errorf("%d advertisements before %s, want %d", got, device, before)
		}
		sw.IP("link", "set", device, "down")
		sw.IP("link", "set", device, "up")
		time.Sleep(1500 * time.Millisecond) // the wait is a second
	}
	nettest.Eventually(t, 5*time.Second, "another advertisement", func() bool { return advertised() > before })
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
}
