package sim_test

import (
	"context"
	"net"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// handover is how long a move may take: what is lost, and how long both hosts
// may answer.
const handover = 100 * time.Millisecond

// A port moves between two hosts and back, under traffic and under a rain of
// solicitations: at most one host answers at any time but for the handover, and
// the handover loses at most the packets of 100 ms.
func TestHandover(t *testing.T) {
	s := newStage(t, sim.DVR, sim.ModeDVR, sim.ModeDVR)
	s.AddInstance(s.in, s.hosts[1]) // the router is on both hosts already
	s.works(t, s.ext, s.vm)
	macs := s.outsideMACs(t)
	c := s.ext.Upstream.Capture("eth0")
	stop := s.rain(t, s.vm)
	const interval = 2 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	flows := make(chan nettest.Flow, 2)
	for _, from := range []*nettest.Namespace{s.ext.Upstream, s.ext.Behind} {
		go func() { flows <- from.UDPFlow(ctx, s.vm.UDP(), interval) }()
	}
	// On which host the port is, from when.
	type stay struct {
		at time.Time
		on int
	}
	stays := []stay{{time.Now(), 0}}
	for _, on := range []int{1, 0, 1, 0} {
		time.Sleep(900 * time.Millisecond)
		at := time.Now()
		s.Move(s.vm, s.hosts[on])
		stays = append(stays, stay{at, on})
	}
	for range 2 {
		f := <-flows
		t.Logf("%+v in %d moves", f, len(stays)-1)
		if lost := time.Duration(f.Sent-f.Received) * interval; f.Sent < 1000 || f.Gap > handover || lost > handover*time.Duration(len(stays)-1) {
			t.Errorf("the packets of %v were lost, and the longest gap was %v", lost, f.Gap)
		}
	}
	stop()
	s.works(t, s.ext, s.vm)

	answers, stray := 0, map[string]time.Duration{}
	for _, f := range c.Frames(func(f nettest.Frame) bool { return !f.Outgoing }) {
		if a, solicited, ok := f.Advertises(); !ok || a != s.vm.Addr || !solicited {
			continue
		}
		answers++
		now := 0
		for i := range stays {
			if stays[i].at.Before(f.At) {
				now = i
			}
		}
		since := f.At.Sub(stays[now].at)
		who := f.Source.String()
		if who == macs[stays[now].on] || now > 0 && who == macs[stays[now-1].on] && since < handover {
			if who != macs[stays[now].on] {
				stray["before"] = max(stray["before"], since)
			}
			continue
		}
		t.Errorf("%v after move %d %s answers, and the port is on %s", since, now, who, macs[stays[now].on])
	}
	t.Logf("%d solicited answers; the old host answered for at most %v after a move", answers, stray["before"])
	if answers < 200 {
		t.Errorf("only %d answers: nothing is shown", answers)
	}
	if got := unsolicited(c)[s.vm.Addr]; got < len(stays)-1 {
		t.Errorf("%d announcements for %d moves", got, len(stays)-1)
	}
}

// outsideMACs are the link-layer addresses of the hosts' fg- devices.
func (s *stage) outsideMACs(t *testing.T) (out []string) {
	t.Helper()
	for _, h := range s.hosts {
		out = append(out, h.Namespace(s.ext.FIP()).MAC(s.r.FG(h)).String())
	}
	return out
}

// rain solicits an instance all the time, by multicast; stop ends it.
func (s *stage) rain(t *testing.T, vm *sim.Instance) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	source := s.ext.Upstream.LinkLocal("eth0")
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.ext.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: source, Target: vm.Addr, Within: 5 * time.Millisecond})
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

// With every message lost the audit finds out, on both hosts.
func TestHandoverWithoutAPush(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.DVR, sim.ModeDVR, sim.ModeDVR)
	s.AddInstance(s.in, s.hosts[1])
	s.works(t, s.ext, s.vm)
	const audit = 3 * time.Second
	for _, h := range s.hosts {
		h.Kill()
		h.StartDaemon(sim.DaemonOptions{Audit: audit})
	}
	s.works(t, s.ext, s.vm)
	for _, on := range []int{1, 0} {
		for _, h := range s.hosts {
			h.Daemon().Server.SetFaults(sim.Faults{Lose: true})
		}
		s.Move(s.vm, s.hosts[on])
		s.SettleWithin(t, audit)
		for _, h := range s.hosts {
			h.Daemon().Server.SetFaults(sim.Faults{})
		}
		s.works(t, s.ext, s.vm)
		a, ok := solicit(s.ext, s.vm.Addr)
		if !ok {
			t.Fatal("nobody answers")
		}
		if want, err := net.ParseMAC(s.outsideMACs(t)[on]); err != nil || !sameTarget(a, want) {
			t.Errorf("answered with %+v, want %s", a.Advertisement.Options, want)
		}
	}
}
