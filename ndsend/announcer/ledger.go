package announcer

import (
	"container/heap"
	"container/list"
	"context"
	"net/netip"
	"slices"
	"time"
)

// debt is what one address owes: a series of copies. Its identity matters: a
// debt that was forgotten and owed again while a burst was on its way is
// another one, which the burst's result does not settle.
type debt struct {
	addr netip.Addr
	// left is how many copies are to be sent, at least one.
	left int
	// begun: a copy has left.
	begun bool
	// since is when the series became owed; zero: there is no hurry.
	since time.Time
	// due is when the next copy may leave, if it waits among the later ones.
	due time.Time
	// place is where a first copy waits, index where a later one does, or a
	// first one that was refused.
	place *list.Element
	index int
	// askers hear once whether a copy has left since they asked.
	askers []asker
}

// asker is somebody who asked, and waits until the context ends.
type asker struct {
	ctx  context.Context
	told func(sent bool)
}

func (a asker) gone() bool { return a.ctx.Err() != nil }

// tell answers who asked.
func (d *debt) tell(sent bool) {
	for _, a := range d.askers {
		if !a.gone() {
			a.told(sent)
		}
	}
	d.askers = nil
}

// noIndex is the index of a debt that is not among the later ones.
const noIndex = -1

// ledger is what one device owes: first copies in the order they came, and
// behind all of them the later copies in the order they become due. So a
// failover of thousands of addresses tells of each once before it repeats one.
// The zero value is no ledger; not safe for concurrent use.
type ledger struct {
	debts  map[netip.Addr]*debt
	firsts *list.List // of *debt
	later  laterHeap
	begun  int // how many of debts have begun
}

func newLedger() *ledger {
	return &ledger{debts: make(map[netip.Addr]*debt), firsts: list.New()}
}

func (l *ledger) len() int { return len(l.debts) }

// unannounced is how many addresses have not been announced at all.
func (l *ledger) unannounced() int { return len(l.debts) - l.begun }

// owe adds a series of copies of addr. One whose first copy waits already keeps
// its place; one that has begun, or is taken, begins anew, because what left
// may have left before what it announces came true.
func (l *ledger) owe(addr netip.Addr, copies int, now time.Time) {
	d := l.debts[addr]
	if d != nil && d.place != nil {
		d.left = max(d.left, copies)
		if d.since.IsZero() { // a refresh, that nobody was in a hurry for
			d.since = now
		}
		return
	}
	var askers []asker
	if d != nil {
		askers, d.askers = d.askers, nil // the new series answers them
	}
	l.forget(addr)
	d = &debt{addr: addr, left: copies, since: now, index: noIndex, askers: askers}
	d.place = l.firsts.PushBack(d)
	l.debts[addr] = d
}

// refresh adds one copy of addr unless it owes one anyway.
func (l *ledger) refresh(addr netip.Addr) {
	if l.debts[addr] == nil {
		l.owe(addr, 1, time.Time{})
	}
}

func (l *ledger) forget(addr netip.Addr) {
	d := l.debts[addr]
	if d == nil {
		return
	}
	switch {
	case d.place != nil:
		l.firsts.Remove(d.place)
	case d.index != noIndex:
		heap.Remove(&l.later, d.index)
	}
	l.remove(d)
}

// tell has somebody hear of the next copy of an address that is owed. Those who wait no
// more go: a debt may stand for as long as a device has no carrier.
func (l *ledger) tell(addr netip.Addr, who asker) {
	d := l.debts[addr]
	d.askers = append(slices.DeleteFunc(d.askers, asker.gone), who)
}

func (l *ledger) remove(d *debt) {
	d.tell(false)
	if d.begun {
		l.begun--
	}
	delete(l.debts, d.addr)
}

// clear forgets everything; what is taken at the moment is not settled then.
func (l *ledger) clear() {
	for _, d := range l.debts {
		d.tell(false)
	}
	clear(l.debts)
	l.firsts.Init()
	l.later, l.begun = nil, 0
}

// ready is how many copies may leave now, most at most, and when the next may
// if none does; the zero time: nothing is owed.
func (l *ledger) ready(now time.Time, most int) (n int, next time.Time) {
	n = min(l.firsts.Len(), most)
	for _, d := range l.later {
		if n == most {
			break
		}
		if !d.due.After(now) {
			n++
		}
	}
	if n == 0 && len(l.later) > 0 {
		next = l.later[0].due
	}
	return n, next
}

// take hands out up to n debts of which a copy may leave now. Settle them
// before the next.
func (l *ledger) take(now time.Time, n int) []*debt {
	batch := make([]*debt, 0, min(n, l.len()))
	for len(batch) < n {
		var d *debt
		switch front := l.firsts.Front(); {
		case front != nil:
			d = l.firsts.Remove(front).(*debt) // the list holds nothing else
			d.place = nil
		case len(l.later) > 0 && !l.later[0].due.After(now):
			d = heap.Pop(&l.later).(*debt)
		default:
			return batch
		}
		batch = append(batch, d)
	}
	return batch
}

// settle strikes a copy of each that was sent, a subsequence of the batch, and
// has the next one wait for the pause. It returns how long the first copies among
// them had been owed. It puts the rest at the end: of the first
// copies, or, if the trouble is the addresses' own, behind the later ones that
// are due, so that addresses which always fail hold up nobody.
func (l *ledger) settle(batch []*debt, sent []netip.Addr, now time.Time, pause time.Duration, own bool) (waited []time.Duration) {
	for _, d := range batch {
		left := len(sent) > 0 && sent[0] == d.addr
		if left {
			sent = sent[1:]
			if !d.begun && !d.since.IsZero() {
				waited = append(waited, now.Sub(d.since))
			}
		}
		switch {
		case l.debts[d.addr] != d: // forgotten, or owed anew
		case !left && !d.begun && !own:
			d.place = l.firsts.PushBack(d)
		case !left:
			d.due = now
			heap.Push(&l.later, d)
		case d.left == 1:
			d.tell(true)
			l.remove(d)
		default:
			d.tell(true)
			if !d.begun {
				d.begun = true
				l.begun++
			}
			d.left--
			d.due = now.Add(pause)
			heap.Push(&l.later, d)
		}
	}
	return waited
}

// laterHeap implements [heap.Interface]: the copy that is due first is first.
type laterHeap []*debt

func (h laterHeap) Len() int           { return len(h) }
func (h laterHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h laterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *laterHeap) Push(x any) {
	d := x.(*debt) // the heap holds nothing else
	d.index = len(*h)
	*h = append(*h, d)
}

// Pop implements [heap.Interface].
func (h *laterHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.index = noIndex
	return d
}
