//go:build rabbitmq

package chaos

import (
	"slices"
	"testing"
	"time"
)

// backWithin bounds how long a fault's victim may be out of reach although its kernel is
// right: its neighbours ask again after a second, and three times. A device that was made
// a moment ago may neither ask nor announce before its link-local address is checked,
// and on a machine that makes and removes many namespaces both wait for the kernel's
// rtnl lock.
const backWithin = 6 * time.Second

// back is how long a part may be out of reach after the fault.
func (f fault) back(p *part) time.Duration {
	if slices.Contains(f.hits, p.name) {
		return backWithin
	}
	return 0
}

// traffic judges the packets: none is lost to what was not hit, what was hit
// works again, and nothing ever got through to what is not published.
func (s *stage) traffic(t *testing.T, f fault, marks map[*flow]int, spared []*part, running []*pings, o *outcome) {
	t.Helper()
	for _, p := range running {
		answered, lost, err := p.end()
		if err != nil || answered == 0 {
			t.Errorf("pings: %d answers, %v", answered, err)
		}
		o.sent, o.lost = o.sent+answered+lost, o.lost+lost
	}
	for _, p := range spared {
		for _, f := range []*flow{p.near, p.far} {
			sent, answered := f.count(marks[f])
			o.sent, o.lost = o.sent+sent, o.lost+sent-answered
			if sent == 0 || answered < sent {
				t.Errorf("%s, %s: %d of %d datagrams lost, sent at %s", p.name, f.name, sent-answered, sent, f.gaps(marks[f]))
			}
		}
	}
	if o.lost > 0 {
		t.Errorf("%d of %d packets lost to addresses that the fault does not touch", o.lost, o.sent)
	}
	mended := time.Now()
	for _, p := range s.parts() {
		mark, shut := p.near.mark(), p.leak.mark()
		// Some datagrams of each, which a busy machine may send late.
		for end := time.Now().Add(10 * time.Second); (p.near.mark() < mark+20 || p.leak.mark() < shut+5) && time.Now().Before(end); {
			time.Sleep(flowInterval)
		}
		sent, answered := p.near.count(mark)
		for end := time.Now().Add(f.back(p)); answered < sent && time.Now().Before(end); {
			o.late = max(o.late, time.Since(mended))
			mark = p.near.mark()
			time.Sleep(20 * flowInterval)
			sent, answered = p.near.count(mark)
		}
		if sent == 0 || answered < sent {
			t.Errorf("%s: %d of %d datagrams lost after it was mended:\n%s", p.name, sent-answered, sent, s.way(p))
		}
		if open := p.leak.answered(shut, p.leak.mark()); open > 0 && !f.believed {
			t.Errorf("%s: an address that is not published is still reached", p.name)
		}
		if through := p.leak.answered(marks[p.leak], p.leak.mark()); through > 0 && !f.believed {
			if f.opens && slices.Contains(f.hits, p.name) {
				o.through += through
				continue
			}
			t.Errorf("%s: %d datagrams got through to an address that is not published", p.name, through)
		}
	}
}
