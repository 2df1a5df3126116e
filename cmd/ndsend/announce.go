package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"neutron-ndp-proxy-agent/ndsend"
)

// The kernel's own default for duplicate address detection takes up to a second
// of random delay and a second of waiting (RFC 4862 section 5.4.2). Whoever
// calls us right after the device came up would lose the announcement.
const (
	settleTime = 2500 * time.Millisecond
	settlePoll = 50 * time.Millisecond
)

// burstSize is how many addresses may go at once before the rate holds them.
const burstSize = 100

// progress is what became of one target.
type progress struct {
	target netip.Addr
	copies int
	err    error
}

// announceAll sends what there is to send and tells what was refused.
func (j *job) announceAll() int {
	all := make([]*progress, 0, len(j.items))
	for _, target := range targets(j.items) {
		all = append(all, &progress{target: target})
	}
	switch {
	case j.denied != nil:
		fail(all, j.denied)
	case len(all) > 0:
		j.rounds(all)
	}
	refused := j.refusals(all)
	if j.denied != nil && len(all) == 0 {
		j.complain(j.denied)
		refused = true
	}
	if j.json {
		j.objects(all)
	}
	return j.result(refused, false)
}

// announced is the JSON object of an announcement.
type announced struct {
	head
	Sent int `json:"sent"` // copies
}

// objects prints what became of each address.
func (j *job) objects(all []*progress) {
	next := 0
	for _, i := range j.items {
		p := &progress{err: i.err}
		if i.err == nil {
			p = all[next]
			next++
		}
		j.object(announced{j.head("announce", i, p.err), p.copies})
	}
}

// rounds sends the copies, one of each address in a round. What was refused
// once is not tried again, and trouble of the device ends it all.
func (j *job) rounds(all []*progress) {
	limit := rate.Inf
	if j.rate > 0 {
		limit = rate.Limit(j.rate)
	}
	pace := rate.NewLimiter(limit, burstSize)
	for round := range j.count {
		if round > 0 {
			// From the last one of a round, so that no address has less.
			time.Sleep(j.interval)
		}
		rest := make([]*progress, 0, len(all))
		for _, p := range all {
			if p.err == nil {
				rest = append(rest, p)
			}
		}
		for len(rest) > 0 {
			n := len(rest)
			if j.rate > 0 {
				n = min(n, max(1, int(pace.Tokens())))
				if err := pace.WaitN(j.ctx, n); err != nil {
					fail(rest, err)
					return
				}
			}
			if !j.send(rest[:n]) {
				fail(rest[n:], rest[n-1].err)
				return
			}
			rest = rest[n:]
		}
	}
}

// fail tells each of all why it was not announced.
func fail(all []*progress, err error) {
	for _, p := range all {
		p.err = about(p.target, err)
	}
}

// about is an error that stopped others than the one it names, for another.
func about(target netip.Addr, err error) error {
	var one *ndsend.TargetError
	if !errors.As(err, &one) || one.Target == target {
		return err
	}
	return &ndsend.TargetError{Target: target, Interface: one.Interface, Err: one.Err}
}

// reason is the text of an error without the address that it names.
func reason(err error) string {
	var one *ndsend.TargetError
	if errors.As(err, &one) {
		return one.Err.Error()
	}
	return err.Error()
}

// send sends one copy to each, and tells whether others may fare better. It
// waits for what passes by itself and in no time: duplicate address detection
// and a full queue.
func (j *job) send(all []*progress) bool {
	deadline := time.Now().Add(settleTime)
	for {
		sent, err := j.burst(j.ctx, j.config(), addresses(all))
		rest := unsent(all, sent)
		switch {
		case len(rest) == 0:
			return true
		case err == nil:
			err = errors.New("not sent") // by a Burst that breaks its word
		}
		switch {
		case passes(err) && len(rest) < len(all):
			deadline = time.Now().Add(settleTime)
			fallthrough
		case passes(err) && time.Now().Before(deadline):
			time.Sleep(settlePoll)
			all = rest
		case !errors.Is(err, ndsend.ErrFiltered):
			fail(rest, err)
			return false
		case len(all) == 1:
			fail(rest, err)
			return true
		default:
			// The error is that of the last: each gets its own.
			for i := range rest {
				if !j.send(rest[i : i+1]) {
					fail(rest[i+1:], rest[i].err)
					return false
				}
			}
			return true
		}
	}
}

// passes tells of what is soon over.
func passes(err error) bool {
	return errors.Is(err, ndsend.ErrTentative) || errors.Is(err, ndsend.ErrCongested)
}

func addresses(all []*progress) []netip.Addr {
	targets := make([]netip.Addr, len(all))
	for i, p := range all {
		targets[i] = p.target
	}
	return targets
}

// unsent are those that are not among the sent, which are in the same order.
func unsent(all []*progress, sent []netip.Addr) []*progress {
	var rest []*progress
	for _, p := range all {
		if len(sent) > 0 && sent[0] == p.target {
			p.copies++
			sent = sent[1:]
			continue
		}
		rest = append(rest, p)
	}
	return rest
}

// refusals prints why the system refused some, each reason once, and tells
// whether it refused any.
func (j *job) refusals(all []*progress) bool {
	refused := false
	for i := 0; i < len(all); {
		first := all[i]
		if first.err == nil {
			i++
			continue
		}
		refused = true
		same := i + 1
		for same < len(all) && all[same].err != nil && reason(all[same].err) == reason(first.err) {
			same++
		}
		switch n := same - i; {
		case len(all) == 1:
			j.complain(first.err)
		case n == 1:
			j.complain(fmt.Errorf("%w (not announced: %s)", first.err, first.target))
		default:
			j.complain(fmt.Errorf("%w (not announced: %s and %d more)", first.err, first.target, n-1))
		}
		i = same
	}
	return refused
}
