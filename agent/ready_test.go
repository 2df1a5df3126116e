package agent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// Being ready waits for the places of ports, but not for ever.
func TestPlacesThatComeLate(t *testing.T) {
	for name, c := range map[string]struct{ told, want time.Duration }{
		"at once": {0, 0},
		"late":    {990 * time.Millisecond, time.Second},
		"never":   {time.Hour, placesLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &Agent{inventory: inventory.New(func([]string) {})}
				a.inventory.Replace(inventory.Snapshot{
					Routers: []inventory.Router{{ID: "r", Enabled: true, External: []inventory.Attachment{{Namespace: "fip-1", Device: "fg-1", Serves: inventory.Here}}}},
					Proxies: []inventory.Proxy{{ID: "p", RouterID: "r", PortID: "port", Addr: netip.MustParseAddr("2001:db8::1")}},
				})
				tell := time.AfterFunc(c.told, func() { a.inventory.SetPort(inventory.Port{ID: "port", Place: inventory.Elsewhere}) })
				defer tell.Stop()
				synctest.Wait()
				begin := time.Now()
				a.placed(t.Context())
				if got := time.Since(begin).Truncate(placesLook); got != c.want {
					t.Errorf("waited %v, want %v", got, c.want)
				}
			})
		})
	}
}
