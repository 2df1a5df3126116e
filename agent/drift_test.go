package agent_test

import (
	"maps"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// What somebody changes by hand is repaired, at once where the kernel tells and
// else by the next audit, and counted: each thing once, under its kind.
func TestDriftIsRepairedAndCounted(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	second := p.InstanceAddr.Next()
	d := start(t, p.Dir, world(p, p.InstanceAddr, second), settings{audit: 300 * time.Millisecond})
	d.awaitReady(t)
	want := map[dataplane.Kind]int{}
	for _, k := range dataplane.Kinds() {
		want[k] = 0
	}
	if got := d.Drift(); !maps.Equal(got, want) {
		t.Fatalf("at the start: %v", got)
	}
	proxyNDP := "net/ipv6/conf/" + nettest.External + "/proxy_ndp"
	for _, c := range []struct {
		name  string
		do    func()
		drift map[dataplane.Kind]int
	}{
		{"a sysctl", func() { p.Router.Sysctl(proxyNDP, "0") }, map[dataplane.Kind]int{dataplane.KindSysctl: 1}},
		{"the table", func() { p.Router.Run("nft", "delete table ip6 neutron_ndp_proxy") }, map[dataplane.Kind]int{dataplane.KindFilter: 1}},
		{"an entry", func() { p.Router.IP("-6", "neigh", "del", "proxy", second.String(), "dev", nettest.External) }, map[dataplane.Kind]int{dataplane.KindEntry: 1}},
		{"all at once", func() {
			p.Router.Batch("neigh del proxy "+second.String()+" dev "+nettest.External, "neigh del proxy "+p.InstanceAddr.String()+" dev "+nettest.External)
			p.Router.Run("nft", "flush chain ip6 neutron_ndp_proxy forward")
			p.Router.Sysctl(proxyNDP, "0")
		}, map[dataplane.Kind]int{dataplane.KindEntry: 2, dataplane.KindSysctl: 1, dataplane.KindFilter: 1}},
	} {
		c.do()
		for k, n := range c.drift {
			want[k] += n
		}
		nettest.Eventually(t, 2*time.Second, c.name+" to be repaired and counted", func() bool { return maps.Equal(d.Drift(), want) })
		p.Upstream.Reaches(p.InstanceAddr, time.Second)
		time.Sleep(400 * time.Millisecond) // another audit
		if got := d.Drift(); !maps.Equal(got, want) {
			t.Errorf("%s: counted %v, want %v", c.name, got, want)
		}
	}
}
