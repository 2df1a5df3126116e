package announcer

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

// The first copy of each series is told of, with how long it had been owed; neither
// the further ones nor a refresh are.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told [][]time.Duration
		w := newWire()
		a := series(t, w, func(o *Options) { o.Left = func(waited []time.Duration) { told = append(told, waited) } })
		a.Owe(gateway, addr(1), addr(2))
		a.Refresh(gateway, addr(3))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([][]time.Duration{{0, 0}}, told); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		told = nil
		w.set(gateway, ndsend.ErrNotReady)
		a.Refresh(gateway, addr(4)) // which nobody is in a hurry for
		time.Sleep(10 * time.Second)
		a.Owe(gateway, addr(4))
		time.Sleep(10 * time.Second)
		a.Owe(gateway, addr(4)) // it still waits since the first time
		w.set(gateway, nil)
		a.Kick(gateway)
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([][]time.Duration{{10 * time.Second}}, told); diff != "" {
			t.Errorf("after waiting (-want +got):\n%s", diff)
		}
		told = nil
		w.mu.Lock()
		w.refuse = map[netip.Addr]error{addr(5): ndsend.ErrFiltered}
		w.mu.Unlock()
		a.Owe(gateway, addr(5), addr(6))
		time.Sleep(time.Second)
		synctest.Wait()
		if diff := cmp.Diff([][]time.Duration{{0}}, told); diff != "" {
			t.Errorf("one of two (-want +got):\n%s", diff)
		}
	})
}
