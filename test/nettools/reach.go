package nettools

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// PingOnce sends one echo request and returns its round trip time.
func PingOnce(ns string, target netip.Addr, timeout time.Duration) (time.Duration, error) {
	p, err := StartPing(PingConfig{Namespace: ns, Target: target, Interval: time.Hour})
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		var ping Ping
		if len(p.pings) == 1 {
			ping = p.pings[0]
		}
		p.mu.Unlock()
		switch {
		case ping.Err != nil:
			return 0, fmt.Errorf("ping %s from %s: %w", target, ns, ping.Err)
		case ping.RTT > 0:
			return ping.RTT, nil
		}
	}
	return 0, fmt.Errorf("ping %s from %s: no reply within %v", target, ns, timeout)
}

// Silence is how long an address must not answer at all to count as unreachable.
const Silence = time.Second

// AwaitReachable pings until a reply comes, and returns when it came.
func AwaitReachable(ctx context.Context, ns string, target netip.Addr) (time.Time, error) {
	p, err := StartPing(PingConfig{Namespace: ns, Target: target, Interval: 20 * time.Millisecond})
	if err != nil {
		return time.Time{}, err
	}
	defer p.Stop()
	for {
		if at := p.LastReply(); !at.IsZero() {
			return at, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s did not answer a ping from %s: %w", target, ns, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// AwaitUnreachable pings until no reply came for Silence, and returns when the last one came (the
// start of the observation if none did).
func AwaitUnreachable(ctx context.Context, ns string, target netip.Addr) (time.Time, error) {
	last := time.Now()
	p, err := StartPing(PingConfig{Namespace: ns, Target: target, Interval: 20 * time.Millisecond})
	if err != nil {
		return time.Time{}, err
	}
	defer p.Stop()
	for {
		if at := p.LastReply(); at.After(last) {
			last = at
		}
		if time.Since(last) > Silence {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s still answers pings from %s: %w", target, ns, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
