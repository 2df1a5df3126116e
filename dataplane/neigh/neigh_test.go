package neigh_test

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/test/nettest"
)

const mark = 110

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func dial(t *testing.T, l *nettest.Lab, n *nettest.Namespace) *rtnl.Conn {
	t.Helper()
	h, err := netns.Open(l.Dir, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func list(t *testing.T, c *rtnl.Conn) map[netip.Addr]neigh.Entry {
	t.Helper()
	entries, err := neigh.List(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := map[netip.Addr]neigh.Entry{}
	for _, e := range entries {
		out[e.Addr] = e
	}
	return out
}

// Entries with more flags than NTF_PROXY are seen; vishvananda/netlink's list
// misses them.
func TestListSeesEveryFlag(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("qg-1")
	c := dial(t, l, n)
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::1", "dev", "qg-1")
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::2", "dev", "qg-1", "router")
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::3", "dev", "qg-1", "extern_learn")
	n.IP("-6", "neigh", "add", "2001:db8::4", "dev", "qg-1", "lladdr", "02:00:00:00:00:01") // not a proxy
	got := list(t, c)
	if len(got) != 3 || !got[addr("2001:db8::2")].Router() || got[addr("2001:db8::1")].Router() {
		t.Errorf("entries: %+v", got)
	}
}

func TestSetAndDelete(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("qg-1")
	c := dial(t, l, n)
	e := neigh.Entry{Index: n.Index("qg-1"), Addr: addr("2001:db8::1"), Protocol: mark, Flags: neigh.FlagProxy}
	// Adopting takes the router flag away and adds the mark.
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::1", "dev", "qg-1", "router")
	for range 2 { // an upsert
		if err := neigh.Set(t.Context(), c, e); err != nil {
			t.Fatal(err)
		}
		if got := list(t, c)[e.Addr]; got != e {
			t.Errorf("entry is %+v, want %+v", got, e)
		}
	}
	shown := n.IP("-6", "neigh", "show", "proxy", "proto", strconv.Itoa(mark))
	if !strings.Contains(shown, "2001:db8::1 dev qg-1") {
		t.Errorf("ip shows %q", shown)
	}
	for range 2 { // one that is gone is success
		if err := neigh.Delete(t.Context(), c, e.Index, e.Addr); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, c); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	for _, bad := range []neigh.Entry{{Index: e.Index}, {Addr: e.Addr}, {Index: e.Index, Addr: addr("192.0.2.1")}, {Index: e.Index, Addr: addr("fe80::1%a")}} {
		if err := neigh.Set(t.Context(), c, bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if err := neigh.Set(t.Context(), c, neigh.Entry{Index: 4711, Addr: e.Addr}); err == nil {
		t.Error("a device that is not there is accepted")
	}
	// The socket is still in step after errors, and after a lost answer.
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := neigh.List(late, c); err == nil {
		t.Error("a request whose time is over succeeds")
	}
	if err := neigh.Set(t.Context(), c, e); err != nil {
		t.Fatal(err)
	}
}

// What facts.md says of lifetimes, on this kernel: our entries stay when the
// carrier goes, and go when the device is set down.
func TestLifetimes(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("qg-1")
	c := dial(t, l, n)
	e := neigh.Entry{Index: n.Index("qg-1"), Addr: addr("2001:db8::1"), Protocol: mark}
	if err := neigh.Set(t.Context(), c, e); err != nil {
		t.Fatal(err)
	}
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::2", "dev", "qg-1", "nud", "stale")
	n.IP("link", "set", nettest.Peer("qg-1"), "down")
	nettest.Eventually(t, 5*time.Second, "no carrier", func() bool { return strings.Contains(n.IP("link", "show", "qg-1"), "NO-CARRIER") })
	n.IP("link", "set", nettest.Peer("qg-1"), "up")
	if got := list(t, c); got[e.Addr].Protocol != mark {
		t.Errorf("our entry did not survive the carrier: %+v", got)
	}
	n.IP("link", "set", "qg-1", "down")
	n.IP("link", "set", "qg-1", "up")
	if got := list(t, c); len(got) != 0 {
		t.Errorf("entries survive the device going down (the fact changed): %+v", got)
	}
}

// A thousand entries over one socket.
func TestMany(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("qg-1")
	c := dial(t, l, n)
	index := n.Index("qg-1")
	var want []netip.Addr
	a := addr("2001:db8::1")
	for range 1000 {
		if err := neigh.Set(t.Context(), c, neigh.Entry{Index: index, Addr: a, Protocol: mark}); err != nil {
			t.Fatal(err)
		}
		want = append(want, a)
		a = a.Next()
	}
	var got []netip.Addr
	for a := range list(t, c) {
		got = append(got, a)
	}
	slices.SortFunc(got, netip.Addr.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
}
