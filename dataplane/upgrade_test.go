package dataplane_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// outdate makes our table, in one transaction, what an earlier version of its layout
// was: both without the rule for networks that nobody told us of, the first also
// without the chain for what the namespace sends itself; and, later, in version 9,
// with something that we do not know.
func outdate(n *nettest.Namespace, device, version string) {
	record := n.Run("nft", "list", "set", "ip6", dataplane.DefaultTable, "record")
	_, record, _ = strings.Cut(record, "elements = {")
	record, _, _ = strings.Cut(record, "}")
	n.Run("nft", strings.NewReplacer("TABLE", "ip6 "+dataplane.DefaultTable, "DEVICE", device, "RECORD", strings.Replace(record, "v=3 ", "v="+version+" ", 1), "VERSION", version).Replace(
		`flush chain TABLE forward; flush chain TABLE prerouting; flush chain TABLE output; `+
			map[string]string{"1": `delete chain TABLE output; `, "9": `add chain TABLE later; `}[version]+
			`add rule TABLE forward iifname "DEVICE" ip6 daddr @guarded-DEVICE ip6 daddr != @published-DEVICE counter drop comment "guard DEVICE vVERSION"; `+
			`flush set TABLE record; add element TABLE record { RECORD }`))
}

// A new version makes the table of the one before it anew. That is no drift,
// loses no packet for a published address, lets none through to another, and
// knows the original proxy_delay.
func TestUpgradeOfTheTable(t *testing.T) {
	p := nettest.NewTopology(t)
	delay := func() string { return p.Router.ReadSysctl("net/ipv6/neigh/" + nettest.External + "/proxy_delay") }
	original := delay()
	shutAddr := addr("2001:db8:0:2::11")
	p.Instance.AddAddr("eth0", shutAddr.String()+"/64")
	p.ViaGateway()
	want := published(p, p.InstanceAddr)
	d := newDataplane(t, p.Dir)
	converge(t, d, want)
	open, shut := netip.AddrPortFrom(p.InstanceAddr, 7), netip.AddrPortFrom(shutAddr, 7)
	p.Instance.UDPEcho(open)
	p.Instance.UDPEcho(shut)
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	var flows sync.WaitGroup
	var through, stopped nettest.Flow
	flows.Go(func() { through = p.Upstream.UDPFlow(ctx, open, time.Millisecond) })
	flows.Go(func() { stopped = p.Upstream.UDPFlow(ctx, shut, time.Millisecond) })
	upgrades := 0
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); upgrades++ {
		outdate(p.Router, nettest.External, []string{"1", "2", "9"}[upgrades%3])
		for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
			have, err := newDataplane(t, p.Dir).Observe(ctx, want.Namespace, depth)
			if err != nil || !have.Filter.Outdated {
				t.Fatalf("not outdated: %q, %v", have.Filter.Problem, err)
			}
		}
		res := apply(t, newDataplane(t, p.Dir), want, dataplane.Depth(upgrades%2))
		if len(res.Drift)+len(res.Failures) > 0 || res.Writes != 1 {
			t.Fatalf("%+v", res)
		}
		settled(t, newDataplane(t, p.Dir), want)
	}
	cancel()
	flows.Wait()
	if upgrades < 5 || through.Sent < 50 || through.Received != through.Sent || stopped.Received != 0 {
		t.Errorf("%d upgrades: published %+v, not published %+v", upgrades, through, stopped)
	}
	t.Logf("%d upgrades: published %+v, not published %+v", upgrades, through, stopped)
	// To the process that wrote the new one, the old one is somebody's hand.
	outdate(p.Router, nettest.External, "2")
	if res := converge(t, d, want); !cmp.Equal(res.Drift, map[dataplane.Kind]int{dataplane.KindFilter: 1}) {
		t.Errorf("drift %v", res.Drift)
	}
	outdate(p.Router, nettest.External, "2")
	converge(t, newDataplane(t, p.Dir), dataplane.State{Namespace: p.Router.Name})
	if got := delay(); got != original {
		t.Errorf("proxy_delay is %s, was %s", got, original)
	}
}
