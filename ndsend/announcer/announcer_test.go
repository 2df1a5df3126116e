package announcer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutron-ndp-proxy-agent/ndsend"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.EquateErrors(), cmpopts.EquateEmpty(),
}

func TestSentAtOnceAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		a.Owe(gateway, addr(1), addr(2), addr(1))
		synctest.Wait()
		want := []event{{0, gateway, addr(1)}, {0, gateway, addr(2)}}
		if diff := cmp.Diff(want, w.events(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff(want, w.events(), compare); diff != "" {
			t.Errorf("sent after a minute (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(Stats{Sent: 2}, a.Stats(), compare); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

// Pauses double to the bound, and what became possible leaves with the next try.
func TestOwedUntilReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Owe(gateway, addr(1))
		time.Sleep(9 * time.Second)
		const ms = time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6100 * ms}
		if diff := cmp.Diff(want, w.tries(gateway)); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(Stats{
			Failed: map[ndsend.Reason]uint64{ndsend.ReasonNotReady: 7}, Owed: 1,
			Pending: []Pending{{gateway, 1, ndsend.ErrTentative, w.start}},
		}, a.Stats(), compare); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
		w.set(gateway, nil)
		time.Sleep(time.Second)
		if diff := cmp.Diff([]event{{9100 * ms, gateway, addr(1)}}, w.events(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if s := a.Stats(); s.Owed != 0 || s.Sent != 1 || s.Pending != nil {
			t.Errorf("stats %+v, want nothing owed", s)
		}
	})
}

func TestKickEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Owe(gateway, addr(1))
		time.Sleep(6500 * time.Millisecond) // in the middle of a pause of 3 s
		w.set(gateway, nil)
		a.Kick(Target{Namespace: "qrouter-2", Device: "qg-1"})
		synctest.Wait()
		if got := w.events(); len(got) != 0 {
			t.Errorf("another device's kick sent %v", got)
		}
		a.Kick(gateway)
		synctest.Wait()
		if diff := cmp.Diff([]event{{6500 * time.Millisecond, gateway, addr(1)}}, w.events(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// Pauses are short again after a kick, after progress, and when what caused
// them is forgotten.
func TestBackoffStartsAnew(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(*Announcer, *wire)
	}{
		{"kick", func(a *Announcer, _ *wire) { a.Kick(gateway) }},
		{"progress", func(a *Announcer, w *wire) {
			w.refuse[addr(1)] = ndsend.ErrFiltered // and addr(2) leaves
			w.set(gateway, nil)
			time.Sleep(2 * time.Second)
		}},
		{"forget", func(a *Announcer, _ *wire) {
			a.Forget(gateway, addr(1), addr(2))
			time.Sleep(time.Millisecond)
			a.Owe(gateway, addr(1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.set(gateway, notReady())
				a := w.on(t)
				a.Owe(gateway, several(1, 3)...)
				time.Sleep(7100 * time.Millisecond) // two seconds before the next try
				before := len(w.tries(gateway))
				c.does(a, w)
				time.Sleep(350 * time.Millisecond)
				if got := len(w.tries(gateway)) - before; got != 3 {
					t.Errorf("%d tries, want 3: at once, after 100 and after 200 ms", got)
				}
			})
		})
	}
}

// A worker that has nothing to do but to make up for its pace sends at once
// what the pace allows.
func TestOweWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		a.Owe(gateway, several(0, 100)...)
		time.Sleep(50 * time.Millisecond)
		a.Owe(gateway, addr(100))
		synctest.Wait()
		if got := w.events(); len(got) != 101 {
			t.Errorf("%d sent, want 101", len(got))
		}
	})
}

// What is owed at the very moment in which the worker leaves is not lost.
func TestOweAsTheWorkerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		for i := range 1000 {
			a.Owe(gateway, addr(i))
			time.Sleep(time.Second / DefaultRate) // to the nanosecond what one costs
		}
		time.Sleep(time.Second)
		if got := w.events(); len(got) != 1000 {
			t.Errorf("%d sent, want 1000", len(got))
		}
	})
}

// A device that changed while we looked at it is looked at again.
func TestKickDuringAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		w.takes = 10 * time.Millisecond
		a := w.on(t)
		a.Owe(gateway, addr(1))
		time.Sleep(5 * time.Millisecond)
		a.Kick(gateway)
		time.Sleep(6 * time.Millisecond)
		if diff := cmp.Diff([]time.Duration{0, 10 * time.Millisecond}, w.tries(gateway)); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
	})
}

func TestForgottenIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Owe(gateway, addr(1), addr(2), addr(3))
		time.Sleep(time.Second)
		a.Forget(gateway, addr(2), addr(9))
		a.Forget(Target{Device: "other"}, addr(1))
		w.set(gateway, nil)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]netip.Addr{addr(1), addr(3)}, w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// Dropping takes back everything, also what waits for its pace, on that device
// alone; what is owed afterwards counts.
func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		other := Target{Namespace: "qrouter-2", Device: "qg-1"}
		a.Owe(gateway, several(0, 200)...)
		a.Owe(other, several(0, 200)...)
		time.Sleep(20 * time.Millisecond) // 100 at once each
		a.Drop(gateway)
		a.Drop(Target{Device: "unknown"})
		a.Owe(gateway, addr(300))
		time.Sleep(time.Minute)
		sent := make(map[Target]int)
		for _, e := range w.events() {
			sent[e.Target]++
		}
		if diff := cmp.Diff(map[Target]int{gateway: 101, other: 200}, sent); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// Nothing is left running for a device that owes nothing any more.
func TestForgetEndsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Owe(gateway, addr(1))
		time.Sleep(7 * time.Second) // deep in a pause of 3 s
		tries := len(w.tries(gateway))
		a.Forget(gateway, addr(1))
		time.Sleep(250 * time.Millisecond)
		if n := workers(a); n != 0 {
			t.Errorf("%d workers, want none", n)
		}
		time.Sleep(time.Minute)
		if got := len(w.tries(gateway)); got != tries {
			t.Errorf("%d tries after Forget", got-tries)
		}
	})
}

func TestRetainForgetsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Retain(gateway, addr(1))
		a.Owe(gateway, addr(1), addr(2), addr(3))
		a.Retain(gateway, addr(1), addr(3), addr(9))
		w.set(gateway, nil)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]netip.Addr{addr(1), addr(3)}, w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestDropForgetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.set(gateway, notReady())
		a := w.on(t)
		a.Drop(gateway)
		a.Owe(gateway, addr(1), addr(2))
		time.Sleep(7 * time.Second)
		a.Drop(gateway)
		a.Owe(gateway, addr(3))
		w.set(gateway, nil)
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]netip.Addr{addr(3)}, w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if n := workers(a); n != 0 {
			t.Errorf("%d workers, want none", n)
		}
	})
}

// What is forgotten while its turn has not come must not leave, either.
func TestForgottenWhileItWaitsForThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		a.Owe(gateway, several(0, 200)...)
		time.Sleep(20 * time.Millisecond) // 100 at once, then 25 each 50 ms
		a.Forget(gateway, several(100, 199)...)
		time.Sleep(time.Minute)
		if diff := cmp.Diff(append(several(0, 100), addr(199)), w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// An address that is owed anew while its burst is on the way has a new reason
// to be announced, which the burst did not know.
func TestOwedAnewDuringABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.takes = 10 * time.Millisecond
		a := w.on(t)
		a.Owe(gateway, addr(1))
		time.Sleep(5 * time.Millisecond)
		a.Owe(gateway, addr(1))
		time.Sleep(time.Second)
		want := []event{{0, gateway, addr(1)}, {10 * time.Millisecond, gateway, addr(1)}}
		if diff := cmp.Diff(want, w.events(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		a.Owe(gateway, several(0, 1100)...)
		time.Sleep(time.Minute)
		checkPace(t, w.events(), 1100)
		if last := w.events()[1099].At; last < 1900*time.Millisecond || last > 2100*time.Millisecond {
			t.Errorf("1,100 at 500/s after a burst of 100 took %s, want 2s", last)
		}
	})
}

// Owing one after the other is paced like owing all at once, also by a worker
// that had nothing to do between.
func TestPaceOfSingles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		for i := range 1100 {
			a.Owe(gateway, addr(i))
			time.Sleep(time.Millisecond) // twice the pace
		}
		time.Sleep(time.Minute)
		checkPace(t, w.events(), 1100)
	})
}

// checkPace: in any window from one announcement on, no more than the burst
// and what the rate adds.
func checkPace(t *testing.T, events []event, want int) {
	t.Helper()
	if len(events) != want {
		t.Fatalf("%d sent, want %d", len(events), want)
	}
	for i := range events {
		for j := i; j < len(events); j++ {
			window := events[j].At - events[i].At
			if allowed := DefaultBurst + window.Seconds()*DefaultRate + 1; float64(j-i+1) > allowed {
				t.Fatalf("%d sent within %s at %s, want at most %.0f", j-i+1, window, events[i].At, allowed)
			}
		}
	}
}

// A device that cannot, and an address that is refused, hold up nobody else.
func TestOneFailureStaysOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		broken := Target{Namespace: "qrouter-2", Device: "qg-2"}
		w.set(broken, notReady())
		for i := range 50 { // two bursts of nothing else, at the head
			w.refuse[addr(i)] = ndsend.ErrFiltered
		}
		a := w.on(t)
		a.Owe(broken, addr(1))
		a.Owe(gateway, several(0, 60)...)
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff(several(50, 60), w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if s := a.Stats(); s.Owed != 51 || len(s.Pending) != 2 || s.Pending[0].Owed != 50 || s.Pending[1].Target != broken {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := w.on(t)
		a.Owe(gateway, netip.MustParseAddr("192.0.2.1"), addr(1), netip.MustParseAddr("ff02::1"))
		a.Owe(Target{Device: "x"}, netip.Addr{})
		synctest.Wait()
		if diff := cmp.Diff([]netip.Addr{addr(1)}, w.addrs(), compare); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		if s := a.Stats(); s.Rejected != 3 || s.Sent != 1 {
			t.Errorf("stats %+v", s)
		}
		if n := workers(a); n != 1 {
			t.Errorf("%d workers, want the gateway's", n)
		}
	})
}

// What stays away for a minute in a row is given up; a shorter absence and
// other trouble are not.
func TestGone(t *testing.T) {
	noNamespace := fmt.Errorf("%w: %w", ndsend.ErrNamespace, fs.ErrNotExist)
	for _, c := range []struct {
		name    string
		err     error
		givenUp uint64
	}{
		{"no interface", ndsend.ErrNoInterface, 2},
		{"no namespace", noNamespace, 2},
		{"namespace cannot be entered", fmt.Errorf("%w: %w", ndsend.ErrNamespace, errors.New("too many open files")), 0},
		{"not ready", ndsend.ErrNotReady, 0},
		{"no permission", ndsend.ErrPermission, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.set(gateway, c.err)
				a := w.on(t)
				a.Owe(gateway, addr(1), addr(2))
				time.Sleep(58 * time.Second)
				if s := a.Stats(); s.Owed != 2 {
					t.Errorf("%d owed after 58 s, want 2", s.Owed)
				}
				w.set(gateway, notReady()) // it came back for a moment
				time.Sleep(5 * time.Second)
				w.set(gateway, c.err)
				time.Sleep(58 * time.Second)
				if s := a.Stats(); s.Owed != 2 {
					t.Errorf("%d owed after it had come back, want 2", s.Owed)
				}
				time.Sleep(6 * time.Second)
				if s := a.Stats(); s.GivenUp != c.givenUp || s.Owed != 2-int(c.givenUp) {
					t.Errorf("%d given up, %d owed, want %d given up", s.GivenUp, s.Owed, c.givenUp)
				}
				// Gone or not, the next Owe counts.
				w.set(gateway, nil)
				a.Owe(gateway, addr(3))
				time.Sleep(5 * time.Second)
				if got := w.addrs(); len(got) == 0 || got[len(got)-1] != addr(3) {
					t.Errorf("sent %v, want %s too", got, addr(3))
				}
			})
		})
	}
}

// Many devices share the slots; each gets its turn.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.takes = 10 * time.Millisecond
		a := w.on(t, func(o *Options) { o.Concurrency = 3 })
		for i := range 30 {
			a.Owe(Target{Namespace: fmt.Sprintf("qrouter-%d", i), Device: "qg"}, addr(i))
		}
		time.Sleep(105 * time.Millisecond)
		if got := len(w.events()); got != 30 {
			t.Errorf("%d sent after ten rounds, want 30", got)
		}
		if w.mostBusy != 3 {
			t.Errorf("%d at the same moment, want 3", w.mostBusy)
		}
	})
}

// Close and the end of the context end everything; nothing is owed after.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*Announcer, context.CancelFunc)
	}{
		{"close", func(a *Announcer, _ context.CancelFunc) { a.Close(); a.Close() }},
		{"context", func(_ *Announcer, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				failing, pacing := Target{Device: "failing"}, Target{Device: "pacing"}
				w.set(failing, notReady())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				a := New(ctx, Options{Send: w.send, Settled: func(Target) {}})
				a.Owe(gateway, addr(1)) // idle by then
				a.Owe(failing, addr(1))
				a.Owe(pacing, several(0, 1000)...)
				time.Sleep(150 * time.Millisecond)
				c.end(a, cancel)
				synctest.Wait()
				if n := workers(a); n != 0 {
					t.Errorf("%d workers left", n)
				}
				sent := len(w.events())
				a.Owe(gateway, addr(2))
				if n := workers(a); n != 0 {
					t.Errorf("%d workers started after the end", n)
				}
				a.Kick(gateway)
				a.Forget(gateway, addr(2))
				time.Sleep(time.Minute)
				if got := len(w.events()); got != sent {
					t.Errorf("%d sent after the end", got-sent)
				}
				a.Close()
			})
		})
	}
}

func workers(a *Announcer) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.workers)
}
