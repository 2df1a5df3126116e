package announcer

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

const thousands = 10_000

// arrivals counts what arrives at a device until all n addresses were seen.
type arrivals struct {
	seen  map[netip.Addr]int
	first time.Time
	times []time.Time // of each address's first copy
}

// collect reads until n different addresses arrived or nothing comes for ten
// seconds.
func collect(c *nstest.Capture, n int) arrivals {
	a := arrivals{seen: make(map[netip.Addr]int)}
	for len(a.seen) < n {
		frame := c.Next(10 * time.Second)
		if frame == nil {
			return a
		}
		now := time.Now()
		if len(a.seen) == 0 {
			a.first = now
		}
		if a.seen[frame.Target()]++; a.seen[frame.Target()] == 1 {
			a.times = append(a.times, now)
		}
	}
	return a
}

// Ten thousand at once: all are on the wire, once each, within the pace.
func TestThousandsPaced(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	capture.Buffer(64 << 20)
	const perSecond, burst = 4000, 100
	a := kernel(t, func(o *Options) { o.Rate, o.Burst = perSecond, burst }, ours)
	a.Owe(target(ours), several(0, thousands)...)
	got := collect(capture, thousands)
	for addr, n := range got.seen {
		if n != 1 {
			t.Fatalf("%s arrived %d times", addr, n)
		}
	}
	if len(got.seen) != thousands {
		t.Fatalf("%d of %d arrived", len(got.seen), thousands)
	}
	// The bucket at no time gives more than it holds; the reader's clock may be
	// late for single frames, so whole hundreds are looked at.
	for i := 0; i+1000 < thousands; i += 100 {
		allowed := time.Duration(float64(1000-burst) / perSecond * float64(time.Second))
		if took := got.times[i+1000].Sub(got.times[i]); took < allowed*8/10 {
			t.Errorf("1,000 from %d on within %s, the pace asks for %s", i, took, allowed)
		}
	}
}

// The device's queue holds a hundred, so that the kernel refuses most at first
// (ENOBUFS): nothing is lost, with and without a pace, and nothing leaves twice.
func TestThousandsThroughAShortQueue(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	// 86 bytes a frame: 100 of them in the queue, 8,000 a second out of it.
	ours.Exec("tc", "qdisc", "add", "dev", "qg-1", "root", "tbf", "rate", "5500kbit", "burst", "1600", "limit", "8600")
	capture := upstream.Capture("up0")
	capture.Buffer(64 << 20)
	var mu sync.Mutex
	congested := 0
	a := kernel(t, func(o *Options) {
		o.Rate = Unpaced
		plain := burst(o.Enter, false)
		o.Send = func(ctx context.Context, target Target, addrs []netip.Addr) ([]netip.Addr, error) {
			sent, err := plain(ctx, target, addrs)
			if errors.Is(err, unix.ENOBUFS) || errors.Is(err, ndsend.ErrCongested) {
				mu.Lock()
				congested++
				mu.Unlock()
			}
			return sent, err
		}
	}, ours)
	a.Owe(target(ours), several(0, thousands)...)
	got := collect(capture, thousands)
	if len(got.seen) != thousands {
		t.Errorf("%d of %d arrived", len(got.seen), thousands)
	}
	for addr, n := range got.seen {
		if n != 1 {
			t.Fatalf("%s arrived %d times", addr, n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if congested == 0 {
		t.Error("the queue was never full: the test shows nothing")
	}
	t.Logf("full %d times", congested)
}
