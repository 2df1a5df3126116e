package inventory

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A view has the messages of all that changed since the last answered one, the first
// one first; what comes while it is being worked off stays for the next.
func TestCauses(t *testing.T) {
	i := New(func([]string) {})
	router := Router{ID: "r", Enabled: true, External: []Attachment{{Namespace: "ns", Device: "qg"}}}
	i.Replace(Snapshot{Routers: []Router{router}})
	at := time.Unix(1000, 0)
	tell := func(n int) {
		c := Cause{Request: fmt.Sprint("req-", n), Received: at.Add(time.Duration(n) * time.Second)}
		p := Proxy{ID: fmt.Sprint(n), RouterID: "r", Addr: netip.AddrFrom16([16]byte{15: byte(n)})}
		for range 2 { // one message, twice: one cause
			if !i.Because(c).SetProxy(p) {
				t.Fatal("not local")
			}
		}
	}
	want := func(v View, first int, requests ...string) {
		t.Helper()
		var received time.Time
		if first > 0 {
			received = at.Add(time.Duration(first) * time.Second)
		}
		if got := v.Because.Received(); !got.Equal(received) {
			t.Errorf("received %v, want %v", got, received)
		}
		if diff := cmp.Diff(requests, v.Because.Requests()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
	want(i.View("ns"), 0)
	tell(1)
	tell(2)
	v := i.View("ns")
	want(v, 1, "req-1", "req-2")
	tell(3)
	want(v, 1, "req-1", "req-2")
	i.Answered("ns", v)
	v = i.View("ns")
	want(v, 3, "req-3")
	i.Answered("ns", v)
	want(i.View("ns"), 0)

	// What changes nothing has no cause; a router that goes has.
	tell(3)
	want(i.View("ns"), 0)
	gone := Cause{Request: "req-gone", Received: at.Add(9 * time.Second)}
	i.ReplaceRouters([]string{"r"}, Snapshot{Causes: map[string]Cause{"r": gone, "other": {Request: "req-other", Received: at}}})
	v = i.View("ns")
	want(v, 9, "req-gone")
	i.Answered("ns", v)
	if len(i.causes) != 0 {
		t.Errorf("left: %v", i.causes)
	}
}

// A flood keeps the first causes and takes no more memory.
func TestCausesAreBounded(t *testing.T) {
	i := New(func([]string) {})
	i.Replace(Snapshot{Routers: []Router{{ID: "r", Enabled: true, External: []Attachment{{Namespace: "ns", Device: "qg"}}}}})
	for n := range 10 * maxCauses {
		i.Because(Cause{Request: fmt.Sprint(n), Received: time.Unix(int64(n)+1, 0)}).SetProxy(Proxy{ID: fmt.Sprint(n), RouterID: "r"})
	}
	v := i.View("ns")
	if r := v.Because.Requests(); len(r) != maxCauses || r[0] != "0" {
		t.Errorf("%d causes, the first %s", len(r), r[0])
	}
	i.Answered("ns", v)
	if len(i.causes) != 0 {
		t.Errorf("left: %v", i.causes)
	}
}
