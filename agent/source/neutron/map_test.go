package neutron_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

const (
	extNet = "352c29b2-501d-4b9f-b31f-bc08542476e4"
	fgPort = "304724c5-1231-4e17-94f4-8ad84e16e1eb"
	qgPort = "1b796465-2eaf-4049-960c-6a9b4c1d7be9"
)

// distributed is a distributed router as the server describes it to a host,
// once the L3 agent has its port on the external network.
func distributed(id, host string) rpc.Router {
	r := router(id)
	r.Distributed, r.GatewayHost = true, "network-node"
	r.Gateway.NetworkID = extNet
	r.FloatingIPAgentInterfaces = []rpc.Port{{
		ID: fgPort, NetworkID: extNet, HostID: host,
		FixedIPs: []rpc.FixedIP{{Addr: netip.MustParseAddr("198.51.100.7")}, {Addr: netip.MustParseAddr("2001:db8::1ac")}},
		Subnets: []rpc.Subnet{
			{CIDR: netip.MustParsePrefix("198.51.100.0/24"), GatewayIP: netip.MustParseAddr("198.51.100.1")},
			{CIDR: netip.MustParsePrefix("2001:db8::/112")},
			{CIDR: netip.MustParsePrefix("2001:db8::/112"), GatewayIP: netip.MustParseAddr("2001:db8::1")},
		},
	}}
	return r
}

// Every kind of router beside an L3 agent of every mode.
func TestAttachments(t *testing.T) {
	qrouter := inventory.Attachment{Namespace: "qrouter-" + rid, Device: "qg-1b796465-2e", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}
	snat := qrouter
	snat.Namespace, snat.Serves = "snat-"+rid, inventory.Edge
	elective := snat
	elective.Elective = true
	fip := inventory.Attachment{
		Namespace: "fip-" + extNet, Device: "fg-304724c5-12", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1ac")}, Serves: inventory.Here,
		Inner: &inventory.Inner{Device: "fpr-1596edf1-d", PeerNamespace: "qrouter-" + rid, PeerDevice: "rfp-1596edf1-d",
			Gateway: netip.MustParseAddr("2001:db8::1")},
	}
	type result struct {
		External                    []inventory.Attachment
		Unsupported, Awaits, Remote bool
	}
	legacy, ha := router(rid), router(rid)
	ha.HA = true
	dvr := distributed(rid, here)
	here2, dvrHA, fresh, bare, foreign := dvr, dvr, dvr, dvr, dvr
	here2.GatewayHost = here
	dvrHA.HA = true
	fresh.FloatingIPAgentInterfaces = nil
	bare.Gateway = nil
	foreign.FloatingIPAgentInterfaces = distributed(rid, "other").FloatingIPAgentInterfaces
	wrongNet := distributed(rid, here)
	wrongNet.FloatingIPAgentInterfaces[0].NetworkID = "another"
	both := func(l ...inventory.Attachment) []inventory.Attachment { return l }
	for name, c := range map[string]struct {
		r    rpc.Router
		want map[string]result // by mode
	}{
		"legacy": {legacy, map[string]result{
			"": {External: both(qrouter)}, rpc.ModeLegacy: {External: both(qrouter)}, rpc.ModeDVR: {External: both(qrouter)},
			rpc.ModeDVRSNAT: {External: both(qrouter)}, rpc.ModeDVRNoExternal: {Remote: true},
		}},
		"HA": {ha, map[string]result{
			rpc.ModeLegacy: {External: both(qrouter)}, rpc.ModeDVRSNAT: {External: both(qrouter)}, rpc.ModeDVRNoExternal: {Remote: true},
		}},
		"distributed, gateway elsewhere": {dvr, map[string]result{
			"": {Unsupported: true}, rpc.ModeLegacy: {Unsupported: true}, "new mode": {Unsupported: true},
			rpc.ModeDVR: {External: both(fip)}, rpc.ModeDVRSNAT: {External: both(fip)}, rpc.ModeDVRNoExternal: {Remote: true},
		}},
		"distributed, gateway here": {here2, map[string]result{
			rpc.ModeDVR: {External: both(fip)}, rpc.ModeDVRSNAT: {External: both(fip, snat)}, rpc.ModeDVRNoExternal: {Remote: true},
		}},
		"distributed and HA": {dvrHA, map[string]result{
			rpc.ModeDVR: {External: both(fip)}, rpc.ModeDVRSNAT: {External: both(fip, elective)}, rpc.ModeLegacy: {Unsupported: true},
		}},
		"no port of the agent yet": {fresh, map[string]result{
			rpc.ModeDVR: {Awaits: true}, rpc.ModeDVRSNAT: {Awaits: true}, rpc.ModeLegacy: {Unsupported: true}, rpc.ModeDVRNoExternal: {Remote: true},
		}},
		"another host's port":       {foreign, map[string]result{rpc.ModeDVR: {Awaits: true}}},
		"a port on another network": {wrongNet, map[string]result{rpc.ModeDVR: {Awaits: true}}},
		"distributed, no gateway": {bare, map[string]result{
			rpc.ModeDVR: {}, rpc.ModeDVRSNAT: {}, rpc.ModeLegacy: {}, rpc.ModeDVRNoExternal: {},
		}},
	} {
		for mode, want := range c.want {
			got := neutron.Router(c.r, neutron.Host{Name: here, Mode: mode})
			have := result{got.External, got.Unsupported != "", got.Awaits != "", got.Remote}
			if diff := cmp.Diff(want, have, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s beside %q (-want +got):\n%s", name, mode, diff)
			}
		}
	}
}

// An fg- port that is not bound (old servers leave the host out) is ours: the
// server lists only those of the host that asks.
func TestAgentGatewayWithoutAHost(t *testing.T) {
	got := neutron.Router(distributed(rid, ""), neutron.Host{Name: here, Mode: rpc.ModeDVR})
	if got.Awaits != "" || len(got.External) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAwaitsNamesTheNetwork(t *testing.T) {
	r := distributed(rid, here)
	r.FloatingIPAgentInterfaces = nil
	if got := neutron.Router(r, neutron.Host{Name: here, Mode: rpc.ModeDVR}).Awaits; !strings.Contains(got, extNet) {
		t.Errorf("awaits %q", got)
	}
}
