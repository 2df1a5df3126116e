package neutron

import (
	"fmt"
	"testing"
	"time"
)

// What messages are about is bounded while the server does not answer, and then it
// is everything.
func TestNotesAreBounded(t *testing.T) {
	n, failed := newNotes(), newNotes()
	for i := range 10 * mostNoted {
		id := fmt.Sprint(i)
		for _, w := range []wanted{
			{routers: set(id), gone: set(id)}, {left: set("l" + id)}, {hosts: set(id)},
		} {
			n.add(w)
			failed.addLater(w, time.Hour)
		}
	}
	failed.stop()
	failed.bringBack()
	for _, w := range []wanted{n.take(), failed.take()} {
		if most := max(len(w.routers)+len(w.left), len(w.gone), len(w.hosts)); most > mostNoted {
			t.Errorf("%d noted", most)
		}
		if !w.full {
			t.Error("what was too much is forgotten")
		}
	}
}

// The later word about a router counts, whatever is brought back.
func TestTheLaterNoteCounts(t *testing.T) {
	came, went := wanted{routers: set("r")}, wanted{left: set("r")}
	for name, c := range map[string]struct {
		notes []wanted
		left  bool
	}{
		"went": {[]wanted{came, went}, true}, "came": {[]wanted{went, came}, false},
	} {
		n, again := newNotes(), newNotes()
		n.add(c.notes[0])
		n.add(c.notes[1])
		again.add(c.notes[1])
		again.addOlder(c.notes[0])
		for _, w := range []wanted{n.take(), again.take()} {
			if w.left["r"] != c.left || w.routers["r"] == c.left {
				t.Errorf("%s: %+v", name, w)
			}
		}
	}
}
