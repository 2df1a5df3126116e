package agent

import (
	"testing"

	"neutron-ndp-proxy-agent/dataplane"
)

// Only what grew counts, whatever becomes of the devices.
func TestDiscoveryIsSummedUp(t *testing.T) {
	a := &Agent{}
	step := func(ns string, index int, in, out, wantIn, wantOut uint64) {
		t.Helper()
		a.discovery.add(ns, map[string]discoverySeen{"qg": {index, dataplane.Discovery{Solicitations: in, Advertisements: out}}})
		if got, want := a.Discovery(), (dataplane.Discovery{Solicitations: wantIn, Advertisements: wantOut}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	step("a", 1, 100, 200, 0, 0) // from before our time
	step("a", 1, 105, 201, 5, 1)
	step("b", 1, 7, 7, 5, 1)
	step("a", 2, 50, 50, 5, 1) // made again
	step("a", 2, 51, 52, 6, 3)
	step("a", 2, 4, 0, 10, 3) // began anew
	a.discovery.forget("a")
	step("a", 2, 1000, 1000, 10, 3)
	step("b", 1, 8, 9, 11, 5)
}
