package announcer

import (
	"container/list"
	"net/netip"
)

// debt is one announcement that is owed. Its identity matters: a debt that was
// forgotten and owed again while a burst was on its way is another one, which
// the burst's result does not settle.
type debt struct {
	addr netip.Addr
	// place is where it waits; nil while it is taken.
	place *list.Element
}

// ledger is what one device owes, first come first served. The zero value is
// no ledger; not safe for concurrent use.
type ledger struct {
	debts   map[netip.Addr]*debt
	waiting *list.List // of *debt
}

func newLedger() *ledger {
	return &ledger{debts: make(map[netip.Addr]*debt), waiting: list.New()}
}

func (l *ledger) len() int { return len(l.debts) }

// owe adds addr. One that waits already keeps its place; one that is taken is
// owed once more, because the burst may have left before what it announces
// came true.
func (l *ledger) owe(addr netip.Addr) {
	if d := l.debts[addr]; d != nil && d.place != nil {
		return
	}
	d := &debt{addr: addr}
	d.place = l.waiting.PushBack(d)
	l.debts[addr] = d
}

func (l *ledger) forget(addr netip.Addr) {
	d := l.debts[addr]
	if d == nil {
		return
	}
	if d.place != nil {
		l.waiting.Remove(d.place)
	}
	delete(l.debts, addr)
}

// clear forgets everything; what is taken at the moment is not settled then.
func (l *ledger) clear() {
	clear(l.debts)
	l.waiting.Init()
}

// take hands out up to n debts, the oldest first. Settle them before the next.
func (l *ledger) take(n int) []*debt {
	batch := make([]*debt, 0, min(n, l.waiting.Len()))
	for len(batch) < cap(batch) {
		front := l.waiting.Front()
		d := l.waiting.Remove(front).(*debt) // the list holds nothing else
		d.place = nil
		batch = append(batch, d)
	}
	return batch
}

// settle strikes out what was sent and puts the rest at the end, so that an
// address that always fails does not hold up the others.
func (l *ledger) settle(batch []*debt, sent []netip.Addr) {
	gone := make(map[netip.Addr]bool, len(sent))
	for _, addr := range sent {
		gone[addr] = true
	}
	for _, d := range batch {
		switch {
		case l.debts[d.addr] != d: // forgotten, or owed anew
		case gone[d.addr]:
			delete(l.debts, d.addr)
		default:
			d.place = l.waiting.PushBack(d)
		}
	}
}
