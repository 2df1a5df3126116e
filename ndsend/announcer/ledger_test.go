package announcer

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// addr is the i-th address of the tests.
func addr(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
}

// The ledger against a model: a queue of addresses and what is taken, kept the
// slow and obvious way.
func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger()
		var queue []netip.Addr           // waits, in this order
		var batch []*debt                // taken
		standing := make(map[*debt]bool) // taken, and neither forgotten nor owed anew
		anyAddr := rapid.Map(rapid.IntRange(0, 9), addr)
		t.Repeat(map[string]func(*rapid.T){
			"owe": func(t *rapid.T) {
				a := anyAddr.Draw(t, "addr")
				l.owe(a)
				if !slices.Contains(queue, a) {
					queue = append(queue, a)
				}
				for d := range standing {
					if d.addr == a {
						delete(standing, d)
					}
				}
			},
			"forget": func(t *rapid.T) {
				a := anyAddr.Draw(t, "addr")
				l.forget(a)
				queue = slices.DeleteFunc(queue, func(q netip.Addr) bool { return q == a })
				for d := range standing {
					if d.addr == a {
						delete(standing, d)
					}
				}
			},
			"clear": func(*rapid.T) {
				l.clear()
				queue = nil
				clear(standing)
			},
			"take": func(t *rapid.T) {
				if batch != nil {
					t.Skip("one batch at a time")
				}
				n := rapid.IntRange(0, 5).Draw(t, "n")
				batch = l.take(n)
				n = min(n, len(queue))
				for i, d := range batch {
					if i >= n || d.addr != queue[i] {
						t.Fatalf("taken %d: %s, want the first %d of %v", i, d.addr, n, queue)
					}
					standing[d] = true
				}
				if len(batch) != n {
					t.Fatalf("took %d, want %d", len(batch), n)
				}
				queue = queue[n:]
			},
			"settle": func(t *rapid.T) {
				var sent []netip.Addr
				for _, d := range batch {
					ok := rapid.Bool().Draw(t, "sent")
					if ok {
						sent = append(sent, d.addr)
					} else if standing[d] {
						queue = append(queue, d.addr)
					}
				}
				l.settle(batch, sent)
				batch = nil
				clear(standing)
			},
			"": func(t *rapid.T) {
				if want := len(queue) + len(standing); l.len() != want {
					t.Fatalf("%d owed, want %d: queue %v", l.len(), want, queue)
				}
				if l.waiting.Len() != len(queue) {
					t.Fatalf("%d wait, want %v", l.waiting.Len(), queue)
				}
			},
		})
	})
}

func BenchmarkLedger(b *testing.B) {
	addrs := make([]netip.Addr, 10_000)
	for i := range addrs {
		addrs[i] = addr(i)
	}
	for b.Loop() {
		l := newLedger()
		for _, a := range addrs {
			l.owe(a)
		}
		for l.len() > 0 {
			batch := l.take(25)
			var sent []netip.Addr
			for _, d := range batch {
				sent = append(sent, d.addr)
			}
			l.settle(batch, sent)
		}
	}
}
