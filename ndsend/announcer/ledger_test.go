package announcer

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// addr is the i-th address of the tests.
func addr(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
}

// model is the ledger kept the slow and obvious way.
type model struct {
	now   time.Time
	queue []*modelDebt         // first copies that wait, in this order
	later []*modelDebt         // others that wait
	taken []*debt              // the batch
	of    map[*debt]*modelDebt // taken, and neither forgotten nor owed anew
}

type modelDebt struct {
	addr  netip.Addr
	left  int
	due   time.Time
	begun bool
}

func (m *model) forget(a netip.Addr) {
	is := func(d *modelDebt) bool { return d.addr == a }
	m.queue = slices.DeleteFunc(m.queue, is)
	m.later = slices.DeleteFunc(m.later, is)
	maps.DeleteFunc(m.of, func(_ *debt, d *modelDebt) bool { return is(d) })
}

func (m *model) waiting(a netip.Addr) *modelDebt {
	for _, d := range m.queue {
		if d.addr == a {
			return d
		}
	}
	return nil
}

func (m *model) len() int { return len(m.queue) + len(m.later) + len(m.of) }

func (m *model) has(a netip.Addr) bool {
	is := func(d *modelDebt) bool { return d.addr == a }
	return m.waiting(a) != nil || slices.ContainsFunc(m.later, is) || slices.ContainsFunc(slices.Collect(maps.Values(m.of)), is)
}

func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger()
		m := &model{now: time.Unix(0, 0), of: map[*debt]*modelDebt{}}
		anyAddr := rapid.Map(rapid.IntRange(0, 9), addr)
		t.Repeat(map[string]func(*rapid.T){
			"owe": func(t *rapid.T) {
				a, copies := anyAddr.Draw(t, "addr"), rapid.IntRange(1, 3).Draw(t, "copies")
				l.owe(a, copies, m.now)
				if d := m.waiting(a); d != nil {
					d.left = max(d.left, copies)
					return
				}
				m.forget(a)
				m.queue = append(m.queue, &modelDebt{addr: a, left: copies})
			},
			"refresh": func(t *rapid.T) {
				a := anyAddr.Draw(t, "addr")
				l.refresh(a)
				if !m.has(a) {
					m.queue = append(m.queue, &modelDebt{addr: a, left: 1})
				}
			},
			"forget": func(t *rapid.T) {
				a := anyAddr.Draw(t, "addr")
				l.forget(a)
				m.forget(a)
			},
			"clear": func(*rapid.T) {
				l.clear()
				m.queue, m.later = nil, nil
				clear(m.of)
			},
			"pass": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seconds")) * time.Second)
			},
			"take": func(t *rapid.T) {
				if m.taken != nil {
					t.Skip("one batch at a time")
				}
				n := rapid.IntRange(0, 5).Draw(t, "n")
				m.take(t, l, n)
			},
			"settle": func(t *rapid.T) { m.settle(t, l) },
			"": func(t *rapid.T) {
				begun := 0
				for _, d := range slices.AppendSeq(slices.Clone(m.later), maps.Values(m.of)) {
					if d.begun {
						begun++
					}
				}
				if l.len() != m.len() || l.unannounced() != m.len()-begun {
					t.Fatalf("%d owed, %d of them not announced, want %d and %d", l.len(), l.unannounced(), m.len(), m.len()-begun)
				}
				for i, d := range l.later {
					if d.index != i || d.due.Before(l.later[max(0, (i-1)/2)].due) {
						t.Fatalf("the later copies are out of order at %d", i)
					}
				}
			},
		})
	})
}

// take checks what may leave and what is handed out: first copies in their
// order, then later ones that are due.
func (m *model) take(t *rapid.T, l *ledger, n int) {
	due := 0
	var next time.Time
	for _, d := range m.later {
		if !d.due.After(m.now) {
			due++
		}
		if next.IsZero() || d.due.Before(next) {
			next = d.due
		}
	}
	ready, at := l.ready(m.now, 1000)
	switch {
	case ready != len(m.queue)+due:
		t.Fatalf("%d ready, want %d first and %d later ones", ready, len(m.queue), due)
	case ready == 0 && !at.Equal(next), ready > 0 && !at.IsZero():
		t.Fatalf("%d ready, the next at %s, want %s", ready, at, next)
	}
	m.taken = l.take(m.now, n)
	if want := min(n, len(m.queue)+due); len(m.taken) != want {
		t.Fatalf("took %d, want %d", len(m.taken), want)
	}
	for _, d := range m.taken {
		if len(m.queue) > 0 {
			if d.addr != m.queue[0].addr {
				t.Fatalf("took %s, want %s", d.addr, m.queue[0].addr)
			}
			m.of[d], m.queue = m.queue[0], m.queue[1:]
			continue
		}
		i := slices.IndexFunc(m.later, func(x *modelDebt) bool { return x.addr == d.addr })
		if i < 0 || m.later[i].due.After(m.now) {
			t.Fatalf("took %s, which is not due", d.addr)
		}
		m.of[d] = m.later[i]
		m.later = slices.Delete(m.later, i, i+1)
	}
}

func (m *model) settle(t *rapid.T, l *ledger) {
	var sent []netip.Addr
	pause := time.Duration(rapid.IntRange(1, 3).Draw(t, "pause")) * time.Second
	own := rapid.Bool().Draw(t, "own")
	for _, d := range m.taken {
		ok := rapid.Bool().Draw(t, "sent")
		if ok {
			sent = append(sent, d.addr)
		}
		x := m.of[d]
		switch {
		case x == nil:
		case !ok && !x.begun && !own:
			m.queue = append(m.queue, x)
		case !ok:
			x.due = m.now
			m.later = append(m.later, x)
		case x.left > 1:
			x.left, x.begun, x.due = x.left-1, true, m.now.Add(pause)
			m.later = append(m.later, x)
		}
	}
	l.settle(m.taken, sent, m.now, pause, own)
	m.taken = nil
	clear(m.of)
}

func BenchmarkLedger(b *testing.B) {
	addrs := several(0, 10_000)
	start := time.Unix(0, 0)
	for b.Loop() {
		l := newLedger()
		for _, a := range addrs {
			l.owe(a, DefaultCount, start)
		}
		for now := start; l.len() > 0; now = now.Add(time.Millisecond) {
			batch := l.take(now, 25)
			var sent []netip.Addr
			for _, d := range batch {
				sent = append(sent, d.addr)
			}
			l.settle(batch, sent, now, time.Second, false)
		}
	}
}
