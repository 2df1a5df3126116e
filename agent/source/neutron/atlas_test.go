package neutron

import (
	"fmt"
	"testing"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// A port that moves from host to host leaves nothing there.
func TestHostsAreForgotten(t *testing.T) {
	i := inventory.New(func([]string) {})
	i.Replace(inventory.Snapshot{
		Routers: []inventory.Router{{ID: "r", Enabled: true, External: []inventory.Attachment{{Namespace: "snat-r", Serves: inventory.Edge}}}},
		Proxies: []inventory.Proxy{{ID: "p", RouterID: "r", PortID: "port"}},
	})
	a := newAtlas(Host{Name: "here", Mode: rpc.ModeDVRSNAT}, i)
	for n := range 100 {
		host := fmt.Sprint("host", n)
		a.pushed(rpc.BoundPort{ID: "port", Host: host, Revision: n + 1}, inventory.Cause{})
		a.setModes([]string{host}, []rpc.Agent{{Host: host, Type: rpc.L3AgentType, Mode: rpc.ModeDVRNoExternal}}, nil)
	}
	a.forget()
	if len(a.modes) != 1 || a.modes["host99"] != rpc.ModeDVRNoExternal || a.seen["port"].place != inventory.Edge {
		t.Errorf("modes %v, port %+v", a.modes, a.seen["port"])
	}
}
