package announcer

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
)

var gateway = Target{Namespace: "qrouter-1", Device: "qg-1"}

// wire stands for the kernel: it notes what was sent when, and fails as told.
// Its clock is a synctest bubble's.
type wire struct {
	start time.Time

	mu       sync.Mutex
	fail     map[Target]error
	refuse   map[netip.Addr]error // these alone fail
	attempts map[Target][]time.Duration
	sent     []event
	busy     int
	mostBusy int
	takes    time.Duration // each burst
}

type event struct {
	At     time.Duration
	Target Target
	Addr   netip.Addr
}

func newWire() *wire {
	return &wire{
		start: time.Now(), fail: make(map[Target]error),
		refuse: make(map[netip.Addr]error), attempts: make(map[Target][]time.Duration),
	}
}

func (w *wire) send(ctx context.Context, target Target, addrs []netip.Addr) (sent []netip.Addr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Since(w.start)
	w.attempts[target] = append(w.attempts[target], now)
	w.busy++
	w.mostBusy = max(w.mostBusy, w.busy)
	defer func() { w.busy-- }()
	if w.takes > 0 {
		w.mu.Unlock()
		time.Sleep(w.takes)
		w.mu.Lock()
	}
	if err := w.fail[target]; err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if failure := w.refuse[a]; failure != nil {
			err = failure
			continue
		}
		sent = append(sent, a)
		w.sent = append(w.sent, event{now, target, a})
	}
	return sent, err
}

func (w *wire) set(target Target, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[target] = err
}

func (w *wire) events() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

func (w *wire) addrs() []netip.Addr {
	var out []netip.Addr
	for _, e := range w.events() {
		out = append(out, e.Addr)
	}
	return out
}

func (w *wire) tries(target Target) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.attempts[target])
}

// on returns an announcer on the wire that sends single copies, without jitter,
// and ends with the test.
func (w *wire) on(t *testing.T, change ...func(*Options)) *Announcer {
	t.Helper()
	options := Options{Send: w.send, Count: 1, Random: func() float64 { return 1 }}
	for _, c := range change {
		c(&options)
	}
	a := New(t.Context(), options)
	t.Cleanup(a.Close)
	return a
}

// several are the addresses from to below to.
func several(from, to int) []netip.Addr {
	var out []netip.Addr
	for i := from; i < to; i++ {
		out = append(out, addr(i))
	}
	return out
}

func notReady() error {
	return fmt.Errorf("interface qg-1: %w", ndsend.ErrTentative)
}
