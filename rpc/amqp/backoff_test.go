package amqp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func half() float64 { return 0.5 } // the middle of every spread

func hosts(names ...string) []Endpoint {
	var l []Endpoint
	for _, n := range names {
		l = append(l, Endpoint{Host: n, Port: 1})
	}
	return l
}

// A round visits every endpoint at once; waits lie between rounds, grow by the
// back-off and stop at the maximum, as kombu's do.
func TestScheduleWaits(t *testing.T) {
	s := newSchedule(Config{Hosts: hosts("a", "b"), Failover: RoundRobin, Rand: half,
		Retry: Retry{Interval: time.Second, Backoff: 2 * time.Second, Max: 6 * time.Second}})
	var waits []time.Duration
	seen := map[string]int{}
	for range 12 {
		e, w := s.next()
		waits = append(waits, w)
		seen[e.Host]++
	}
	sec := time.Second
	if diff := cmp.Diff([]time.Duration{0, 0, 1 * sec, 0, 3 * sec, 0, 5 * sec, 0, 6 * sec, 0, 6 * sec, 0}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 6, "b": 6}, seen); diff != "" {
		t.Errorf("visits (-want +got):\n%s", diff)
	}
	s.succeeded()
	if _, w := s.next(); w != sec {
		t.Errorf("first wait after success %v, want 1s", w)
	}
}

func TestScheduleShuffles(t *testing.T) {
	var r float64
	rnd := func() float64 { r += 0.37; r -= float64(int(r)); return r }
	s := newSchedule(Config{Hosts: hosts("a", "b", "c"), Failover: Shuffle, Rand: rnd, Retry: defaultRetry})
	orders := map[string]bool{}
	for range 20 {
		order := ""
		for range 3 {
			e, _ := s.next()
			order += e.Host
		}
		orders[order] = true
	}
	if len(orders) < 2 {
		t.Errorf("20 rounds in the order %v only", orders)
	}
}

// What the operator wants after a loss adds no wait to a longer one.
func TestAfterLoss(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ delay, splay, interval, wait, want time.Duration }{
		{0, 0, 400 * ms, 0, 200 * ms},
		{0, 0, 10 * time.Second, 0, 500 * ms},
		{0, 0, 400 * ms, 70 * ms, 70 * ms},
		{3 * time.Second, 0, time.Second, 0, 3 * time.Second},
		{0, 2 * time.Second, time.Second, 0, time.Second},
		{3 * time.Second, 2 * time.Second, time.Second, 0, 4 * time.Second},
		{3 * time.Second, 2 * time.Second, time.Second, time.Second, 4 * time.Second},
		{3 * time.Second, 0, time.Second, 5 * time.Second, 5 * time.Second},
		{-time.Second, -time.Second, 400 * ms, 0, 200 * ms},
	} {
		cfg := Config{ReconnectDelay: c.delay, ReconnectSplay: c.splay, Retry: Retry{Interval: c.interval}, Rand: half}.withDefaults()
		if got := cfg.afterLoss(c.wait); got != c.want {
			t.Errorf("delay %v, splay %v, interval %v, scheduled %v: %v, want %v", c.delay, c.splay, c.interval, c.wait, got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	for r, want := range map[float64]time.Duration{0: 8 * time.Second, 0.5: 10 * time.Second, 1: 12 * time.Second} {
		if got := spread(10*time.Second, r); got != want {
			t.Errorf("spread(10s, %v) = %v, want %v", r, got, want)
		}
	}
}
