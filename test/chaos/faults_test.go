//go:build rabbitmq

package chaos

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each fault alone. A group has a host that lives through all of its faults.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			for _, f := range g.faults {
				t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
					t.Logf("%s: %v", f.name, s.survive(t, f))
					if t.Failed() {
						// The others are about something else.
						s.daemon.kill()
						s.start(t)
					}
				})
			}
			s.flat(t)
		})
	}
}

// Random faults, one after the other, for the budget. Those that end the daemon
// come in the first third only: the rest is for one process, which must not grow.
func TestMixed(t *testing.T) {
	t.Parallel()
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("again by: go test -race -tags rabbitmq ./test/chaos -run TestMixed -chaos.budget=%v -chaos.seed=%d", *budget, n)
	rng := rand.New(rand.NewPCG(n, 1))
	s := newStage(t)
	s.mixed = true
	wanted := regexp.MustCompile(*only)
	var all, lasting []fault
	for _, f := range faults() {
		if !wanted.MatchString(f.name) {
			continue
		}
		all = append(all, f)
		if !f.renews || *only != "" {
			lasting = append(lasting, f)
		}
	}
	start, total, done := time.Now(), outcome{}, map[string]int{}
	var old usage
	var since time.Time
	for step := 1; time.Since(start) < *budget && !t.Failed(); step++ {
		list := all
		if time.Since(start) > *budget/3 {
			list = lasting
		}
		f := list[rng.IntN(len(list))]
		time.Sleep(f.calm)
		o := s.survive(t, f)
		done[f.name]++
		total.sent, total.lost = total.sent+o.sent, total.lost+o.lost
		if old == (usage{}) || f.renews {
			old, since = o.after, time.Now()
		}
		t.Logf("%3d %6.0f s %s: %v", step, time.Since(start).Seconds(), f.name, o)
		if t.Failed() {
			t.Fatalf("seed %d, step %d: %s", n, step, f.name)
		}
	}
	now := s.use(t)
	t.Logf("seed %d: %d kinds of faults %v, %d packets sent to what they did not touch, %d lost; the last process: %v -> %v",
		n, len(done), done, total.sent, total.lost, old, now)
	if now.outgrew(old, time.Since(since)) {
		t.Errorf("the daemon grew: %v -> %v", old, now)
	}
	s.flat(t)
}

// flat compares the goroutines of the process that lived through it all with
// those of a fresh one.
func (s *stage) flat(t *testing.T) {
	t.Helper()
	const slack = 10
	s.SettleWithin(t, 15*time.Second)
	old, err := s.daemon.goroutines()
	if err != nil {
		t.Fatal(err)
	}
	s.start(t)
	s.SettleWithin(t, 15*time.Second)
	fresh, err := s.daemon.goroutines()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("goroutines: %d at the end, %d in a fresh process", old, fresh)
	if old > fresh+slack {
		t.Errorf("%d goroutines at the end, %d in a fresh process", old, fresh)
	}
}
