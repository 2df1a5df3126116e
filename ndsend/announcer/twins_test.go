package announcer

import (
	"fmt"
	"net/netip"
	"testing"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// Two namespaces have a device of the same name, as namespaces of two
// routers may, with another index. One announcer serves both at the same
// moment: each advertisement leaves where it belongs and nowhere else, with that
// device's own addresses in every place.
func TestOneNameTwoNamespaces(t *testing.T) {
	const addrs = 256
	var ours, upstream [2]*nstest.Namespace
	var traces [2]*nstest.Trace
	for i := range ours {
		ours[i], upstream[i] = nstest.New(t), nstest.New(t)
	}
	for i := range 3 { // so that the index differs
		ours[1].IP("link", "add", fmt.Sprintf("more%d", i), "type", "veth", "peer", "name", fmt.Sprintf("less%d", i))
	}
	for i := range ours {
		nstest.Link(t, ours[i], "qg-1", upstream[i], "up0")
		traces[i] = upstream[i].Trace("up0")
	}
	if a, b := ours[0].Index("qg-1"), ours[1].Index("qg-1"); a == b {
		t.Fatalf("both devices have the index %d: the test would show nothing", a)
	}

	// Many small bursts, so that those of the two devices fall between each other.
	a := kernel(t, func(o *Options) { o.Rate, o.Burst = 20000, 10 }, ours[:]...)
	for n := range addrs {
		for i := range ours {
			a.Owe(target(ours[i]), addr(i<<8+n))
		}
	}
	for i := range ours {
		want := ours[i].Sender("qg-1")
		missing := make(map[netip.Addr]bool) // false: it has come, and a copy may follow
		for n := range addrs {
			missing[addr(i<<8+n)] = true
		}
		left := len(missing)
		arrived := func(event nstest.Event) bool {
			frame := event.Advertisement()
			if frame == nil {
				return false
			}
			first, belongs := missing[frame.Target()]
			if got := frame.Sender(); !belongs || got != want {
				t.Fatalf("namespace %d: %s from %+v arrived, want what is owed here, from %+v", i, frame.Target(), got, want)
			}
			if first {
				missing[frame.Target()] = false
				left--
			}
			return left == 0
		}
		if !traces[i].Until(arrived) {
			t.Errorf("namespace %d: %d advertisements did not arrive", i, left)
		}
		traces[i].WantWhole()
	}
}
