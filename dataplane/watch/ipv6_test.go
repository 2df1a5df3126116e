package watch_test

import (
	"testing"

	"neutron-ndp-proxy-agent/dataplane/watch"
	"neutron-ndp-proxy-agent/test/nettest"
)

// On a device without any address, as an HA backup's, the kernel drops the
// proxy neighbours when IPv6 is switched off, and says so by a route only.
func TestIPv6SwitchedOffAndOnWithoutAddresses(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	n.Device("qg-1")
	n.IP("link", "set", "qg-1", "addrgenmode", "none")
	n.IP("-6", "address", "flush", "dev", "qg-1")
	l := start(t, watch.Options{NetnsDir: lab.Dir, Protocol: mark})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	l.quiet()
	entry := func() string { return n.Run("ip", "-6", "neigh", "show", "proxy") }
	for _, device := range []string{"qg-1", "all"} {
		key, causes := "net/ipv6/conf/"+device+"/disable_ipv6", []string{watch.CauseIPv6}
		if device == "all" {
			causes = append(causes, watch.CauseAddress) // of lo: the first of several says why
		}
		n.IP("-6", "neigh", "replace", "proxy", "2001:db8::5", "dev", "qg-1")
		l.silent("a proxy neighbour")
		n.Sysctl(key, "1")
		l.expect("a", causes...)
		l.quiet()
		if e := entry(); e != "" {
			t.Errorf("%s = 1 left %q (the fact changed)", key, e)
		}
		n.Sysctl(key, "0")
		l.expect("a", causes...)
		l.quiet()
	}
	// With an MTU below IPv6's least the link tells as well.
	n.IP("-6", "neigh", "replace", "proxy", "2001:db8::5", "dev", "qg-1")
	for _, mtu := range []string{"1279", "1500"} {
		n.IP("link", "set", "qg-1", "mtu", mtu)
		l.expect("a", watch.CauseLink, watch.CauseSetting, watch.CauseIPv6)
		l.quiet()
	}
	if e := entry(); e != "" {
		t.Errorf("the MTU left %q (the fact changed)", e)
	}
	// Other people's multicast routes, and those that are no more than routes.
	n.IP("-6", "route", "add", "multicast", "ff05::/16", "dev", "qg-1", "table", "local", "proto", "static")
	n.IP("-6", "route", "add", "2001:db8:7::/64", "dev", "qg-1", "proto", "kernel")
	l.silent("other routes")
}
