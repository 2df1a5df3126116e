package announcer

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
)

// heard notes what was told of each address.
type heard map[netip.Addr][]bool

func (h heard) told(a netip.Addr, sent bool) { h[a] = append(h[a], sent) }

// Whoever asks hears once whether a copy has left since: of a series that waits, that
// begins anew, that is taken back in any way, and that can't be sent.
func TestOweTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w, func(o *Options) { o.GoneAfter = time.Minute; o.Gone = func(error) bool { return true } })
		expect := func(name string, h heard, addr netip.Addr, want ...bool) {
			t.Helper()
			synctest.Wait()
			a.mu.Lock()
			defer a.mu.Unlock()
			if got := h[addr]; len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
				t.Errorf("%s: heard %v, want %v", name, got, want)
			}
		}
		h := heard{}
		a.OweTold(t.Context(), gateway, h.told, addr(1))
		expect("sent", h, addr(1), true)
		time.Sleep(time.Hour)
		expect("all copies later", h, addr(1), true)

		w.set(gateway, notReady())
		a.Owe(gateway, addr(2))
		second, third := heard{}, heard{}
		a.OweTold(t.Context(), gateway, second.told, addr(2), addr(3))
		a.OweTold(t.Context(), gateway, third.told, addr(2))
		expect("not yet", second, addr(2))
		if err := a.Trouble(gateway); !errors.Is(err, ndsend.ErrTentative) {
			t.Errorf("trouble: %v", err)
		}
		a.Retain(gateway, addr(2))
		expect("taken back", second, addr(3), false)
		w.set(gateway, nil)
		a.Kick(gateway)
		expect("the first who asked", second, addr(2), true)
		expect("the second", third, addr(2), true)
		if err := a.Trouble(gateway); err != nil {
			t.Errorf("trouble: %v", err)
		}

		again := heard{}
		a.OweTold(t.Context(), gateway, again.told, addr(2)) // between its copies
		expect("a series that had begun", again, addr(2), true)
		time.Sleep(time.Hour)

		w.set(gateway, notReady())
		dropped := heard{}
		a.OweTold(t.Context(), gateway, dropped.told, addr(4))
		a.Drop(gateway)
		expect("dropped", dropped, addr(4), false)
		w.set(gateway, ndsend.ErrNoInterface)
		given := heard{}
		a.OweTold(t.Context(), gateway, given.told, addr(5))
		time.Sleep(time.Hour)
		expect("given up", given, addr(5), false)
		bad := heard{}
		a.OweTold(t.Context(), gateway, bad.told, netip.MustParseAddr("ff02::1"))
		expect("none that can be announced", bad, netip.MustParseAddr("ff02::1"), false)
	})
}

// A series that begins anew while its burst is on its way is answered by the new one.
func TestOweToldDuringABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.takes = time.Second
		a := series(t, w)
		h := heard{}
		a.OweTold(t.Context(), gateway, h.told, addr(1))
		time.Sleep(500 * time.Millisecond)
		a.Owe(gateway, addr(1))
		time.Sleep(700 * time.Millisecond) // the first burst is over
		a.mu.Lock()
		early := len(h[addr(1)])
		a.mu.Unlock()
		time.Sleep(2 * time.Second)
		a.mu.Lock()
		defer a.mu.Unlock()
		if got := h[addr(1)]; early != 0 || len(got) != 1 || !got[0] {
			t.Errorf("heard %d times during the burst, then %v", early, got)
		}
	})
}

// Who waits no more is neither told nor kept, however long the debt stands.
func TestOweToldToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w)
		w.set(gateway, notReady())
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			a.OweTold(ctx, gateway, func(netip.Addr, bool) { t.Error("told who waits no more") }, addr(1))
			cancel()
			time.Sleep(time.Minute)
		}
		h := heard{}
		a.OweTold(t.Context(), gateway, h.told, addr(1))
		a.mu.Lock()
		kept := len(a.workers[gateway].ledger.debts[addr(1)].askers)
		a.mu.Unlock()
		w.set(gateway, nil)
		a.Kick(gateway)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := h[addr(1)]; kept != 1 || len(got) != 1 || !got[0] {
			t.Errorf("%d are kept; who waits heard %v", kept, got)
		}
	})
}
