package announcer

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

// series is an announcer on the wire with the defaults of RFC 4861 section 10.
func series(t *testing.T, w *wire, change ...func(*Options)) *Announcer {
	t.Helper()
	return w.on(t, append([]func(*Options){func(o *Options) { o.Count = 0 }}, change...)...)
}

// times are when an address left.
func (w *wire) times(target Target, addr netip.Addr) []time.Duration {
	var out []time.Duration
	for _, e := range w.events() {
		if e.Target == target && e.Addr == addr {
			out = append(out, e.At)
		}
	}
	return out
}

// The first copy at once, MAX_NEIGHBOR_ADVERTISEMENT in all, never less than
// RETRANS_TIMER apart (RFC 4861 section 7.2.6), at most a quarter more.
func TestCopies(t *testing.T) {
	for _, c := range []struct {
		name   string
		random float64
		change func(*Options)
		want   []time.Duration
	}{
		{"default, shortest", 0, nil, []time.Duration{0, time.Second, 2 * time.Second}},
		{"default, longest", 1, nil, []time.Duration{0, 1250 * time.Millisecond, 2500 * time.Millisecond}},
		{"one", 0, func(o *Options) { o.Count = 1 }, []time.Duration{0}},
		{"two, far apart", 0, func(o *Options) { o.Count, o.Interval = 2, time.Minute }, []time.Duration{0, time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				a := series(t, w, func(o *Options) {
					o.Random = func() float64 { return c.random }
					if c.change != nil {
						c.change(o)
					}
				})
				a.Owe(gateway, addr(1))
				time.Sleep(time.Hour)
				if diff := cmp.Diff(c.want, w.times(gateway, addr(1))); diff != "" {
					t.Errorf("sent at (-want +got):\n%s", diff)
				}
				if n := workers(a); n != 0 {
					t.Errorf("%d workers, want none", n)
				}
			})
		})
	}
}

// Of thousands each is announced once before one is repeated, and the pace
// counts copies.
func TestFirstCopiesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w)
		a.Owe(gateway, several(0, 2000)...)
		time.Sleep(time.Minute)
		events := w.events()
		checkPace(t, events, 6000)
		first := make(map[netip.Addr]bool)
		for _, e := range events[:2000] {
			first[e.Addr] = true
		}
		if len(first) != 2000 {
			t.Errorf("%d addresses among the first 2,000 copies, want all", len(first))
		}
		for i := range 2000 {
			at := w.times(gateway, addr(i))
			if len(at) != 3 || at[1]-at[0] < time.Second || at[2]-at[1] < time.Second {
				t.Fatalf("%s left at %v, want three times a second apart", addr(i), at)
			}
		}
	})
}

// What is no longer ours is not repeated.
func TestNoCopyAfterForget(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(*Announcer)
	}{
		{"forget", func(a *Announcer) { a.Forget(gateway, addr(1)) }},
		{"retain", func(a *Announcer) { a.Retain(gateway, addr(2)) }},
		{"drop", func(a *Announcer) { a.Drop(gateway) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				a := series(t, w)
				a.Owe(gateway, addr(1))
				time.Sleep(1500 * time.Millisecond)
				if s := a.Stats(); s.Owed != 0 || s.Repeating != 1 || s.Pending != nil {
					t.Errorf("stats %+v, want one that repeats", s)
				}
				c.does(a)
				time.Sleep(time.Hour)
				if got := w.times(gateway, addr(1)); len(got) != 2 {
					t.Errorf("sent at %v, want two copies", got)
				}
				if n := workers(a); n != 0 {
					t.Errorf("%d workers, want none", n)
				}
			})
		})
	}
}

// A new reason begins the series anew; a first copy that waits already does not.
func TestOwedAnewDuringItsSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w, func(o *Options) { o.Random = func() float64 { return 0 } })
		a.Owe(gateway, addr(1))
		a.Owe(gateway, addr(1))
		time.Sleep(1500 * time.Millisecond)
		a.Owe(gateway, addr(1))
		time.Sleep(time.Hour)
		const ms = time.Millisecond
		want := []time.Duration{0, 1000 * ms, 1500 * ms, 2500 * ms, 3500 * ms}
		if diff := cmp.Diff(want, w.times(gateway, addr(1))); diff != "" {
			t.Errorf("sent at (-want +got):\n%s", diff)
		}
	})
}

// The link is down for 10 s, from the start or between two copies: what is due
// leaves once when it is up, and the rest follows in its time.
func TestSeriesOverALinkThatIsDown(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		downAt time.Duration
		want   []time.Duration
	}{
		{"from the start", 0, []time.Duration{10000 * ms, 11000 * ms, 12000 * ms}},
		{"after the first copy", 500 * ms, []time.Duration{0, 10500 * ms, 11500 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				a := series(t, w, func(o *Options) { o.Random = func() float64 { return 0 } })
				if c.downAt == 0 {
					w.set(gateway, ndsend.ErrNotReady)
				}
				a.Owe(gateway, addr(1))
				time.Sleep(c.downAt)
				w.set(gateway, ndsend.ErrNotReady)
				time.Sleep(10 * time.Second)
				w.set(gateway, nil)
				a.Kick(gateway)
				time.Sleep(time.Hour)
				if diff := cmp.Diff(c.want, w.times(gateway, addr(1))); diff != "" {
					t.Errorf("sent at (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A refresh is one copy, of what owes nothing.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w)
		a.Owe(gateway, addr(1))
		time.Sleep(100 * time.Millisecond)
		a.Refresh(gateway, addr(1), addr(2), netip.MustParseAddr("ff02::1"))
		time.Sleep(time.Hour)
		if one, two := w.times(gateway, addr(1)), w.times(gateway, addr(2)); len(one) != 3 || len(two) != 1 {
			t.Errorf("sent at %v and %v, want the series and one copy", one, two)
		}
		if s := a.Stats(); s.Rejected != 1 {
			t.Errorf("%d rejected, want 1", s.Rejected)
		}
	})
}

// Without a pace everything leaves at once, and nobody waits for a bucket.
func TestUnpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t, func(o *Options) { o.Rate = Unpaced })
		a.Owe(gateway, several(0, 10_000)...)
		synctest.Wait()
		events := w.events()
		if len(events) != 10_000 || events[9999].At != 0 {
			t.Errorf("%d sent at once, want all", len(events))
		}
		if n, tries := workers(a), len(w.tries(gateway)); n != 0 || tries != 10 {
			t.Errorf("%d workers, %d bursts, want none and 10", n, tries)
		}
	})
}

// Who wants to know when nothing is owed any more hears it each time, after the
// last copy or when it is taken back.
func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var heard []time.Duration
		var a *Announcer
		a = series(t, w, func(o *Options) {
			o.Random = func() float64 { return 0 }
			o.Settled = func(target Target) {
				if target != gateway || a.Owing(gateway.Namespace) {
					t.Errorf("%v settled while it owes: %t", target, a.Owing(gateway.Namespace))
				}
				heard = append(heard, time.Since(w.start))
			}
		})
		a.Owe(gateway, addr(1))
		time.Sleep(1999 * time.Millisecond)
		if !a.Owing(gateway.Namespace) || a.Owing("qrouter-2") {
			t.Error("owing is told of the wrong namespace")
		}
		time.Sleep(time.Second)
		a.Owe(gateway, addr(1), addr(2))
		a.Forget(gateway, addr(1))
		time.Sleep(500 * time.Millisecond)
		a.Drop(gateway)
		a.Drop(gateway)
		time.Sleep(time.Hour)
		want := []time.Duration{2 * time.Second, 3499 * time.Millisecond}
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("settled at (-want +got):\n%s", diff)
		}
	})
}

// What left together is repeated together: a socket for each copy would cost ten
// times as much.
func TestCopiesLeaveInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w, func(o *Options) { o.Random = nil })
		a.Owe(gateway, several(0, 500)...)
		time.Sleep(time.Minute)
		if events, bursts := len(w.events()), len(w.tries(gateway)); events != 1500 || bursts > 120 {
			t.Errorf("%d copies in %d bursts, want 1500 in 60 or little more", events, bursts)
		}
	})
}

// Addresses that a filter always refuses keep the others from nothing.
func TestRefusedFirstCopiesStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		for i := range 60 {
			w.refuse[addr(i)] = ndsend.ErrFiltered
		}
		a := series(t, w)
		a.Owe(gateway, several(0, 61)...)
		time.Sleep(30 * time.Second)
		if got := w.times(gateway, addr(60)); len(got) != 3 {
			t.Errorf("sent at %v, want three copies", got)
		}
	})
}

// At the end nobody knows any more what was owed, so nobody may take it for paid.
func TestOwingAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := series(t, w)
		a.Owe(gateway, addr(1))
		synctest.Wait()
		a.Close()
		if !a.Owing(gateway.Namespace) {
			t.Error("two copies were owed, and are not owing after the end")
		}
	})
}
