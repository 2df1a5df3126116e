package route_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/test/nettest"
)

const mark = 110

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// lab is a namespace with two devices and a socket in it.
func lab(t *testing.T) (*nettest.Namespace, *rtnl.Conn) {
	t.Helper()
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("one")
	n.Device("two")
	h, err := netns.Open(l.Dir, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return n, c
}

// to lists the routes to a destination.
func to(t *testing.T, c *rtnl.Conn, dst netip.Prefix) []route.Route {
	t.Helper()
	all, err := route.List(t.Context(), c, mark)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r route.Route) bool { return r.Dst != dst })
}

func TestSetListDelete(t *testing.T) {
	n, c := lab(t)
	one := n.Index("one")
	for shown, r := range map[string]route.Route{
		"2001:db8::5 via fe80::1 dev one metric 1024": {Table: route.MainTable, Dst: prefix("2001:db8::5/128"), Via: addr("fe80::1"), Index: one},
		// A table as the L3 agent numbers them, and a gateway that no route leads to.
		"default via 2001:db8:9::1 dev one table 2852018311 metric 1024 onlink": {Table: 2852018311, Dst: prefix("::/0"), Via: addr("2001:db8:9::1"), Index: one, OnLink: true},
		"2001:db8:1::/64 dev one table 110 metric 1024":                         {Table: 110, Dst: prefix("2001:db8:1::/64"), Index: one},
		"2001:db8:2::/64 from 2001:db8:3::/64 via fe80::1 dev one metric 7":     {Table: route.MainTable, Dst: prefix("2001:db8:2::/64"), Src: prefix("2001:db8:3::/64"), Via: addr("fe80::1"), Index: one, Metric: 7},
	} {
		r.Protocol, r.Type = mark, route.Unicast
		if r.Metric == 0 {
			r.Metric = route.DefaultMetric
		}
		for range 2 { // setting sets
			if err := route.Set(t.Context(), c, r); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]route.Route{r}, to(t, c, r.Dst), cmp.Comparer(func(a, b route.Route) bool { return a == b })); d != "" {
				t.Errorf("%s:\n%s", shown, d)
			}
		}
		if got := n.IP("-6", "route", "show", "table", "all", "proto", "110"); !strings.HasPrefix(got, shown) {
			t.Errorf("ip shows %q, want %q", got, shown)
		}
		other := r
		other.Protocol = 42
		if err := route.Delete(t.Context(), c, other); err != nil || len(to(t, c, r.Dst)) != 1 {
			t.Errorf("%s: deleting one of another protocol: %v, left %v", shown, err, to(t, c, r.Dst))
		}
		for range 2 { // one that is gone is success
			if err := route.Delete(t.Context(), c, r); err != nil || len(to(t, c, r.Dst)) != 0 {
				t.Errorf("%s: %v", shown, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	n, c := lab(t)
	n.AddAddr("one", "2001:db8:9::1/64")
	n.IP("link", "set", "two", "down")
	n.Device("three")
	n.Sysctl("net/ipv6/conf/three/disable_ipv6", "1")
	r := route.Route{Table: route.MainTable, Dst: prefix("2001:db8::5/128"), Via: addr("fe80::1"), Metric: 1024, Protocol: mark, Type: route.Unicast}
	for name, c2 := range map[string]struct {
		change func(*route.Route)
		want   error
	}{
		"no such device":               {func(r *route.Route) { r.Index = 4711 }, unix.ENODEV},
		"a device that is down":        {func(r *route.Route) { r.Index = n.Index("two") }, unix.ENETDOWN},
		"a device without IPv6":        {func(r *route.Route) { r.Index = n.Index("three") }, unix.EACCES},
		"a gateway that is not there":  {func(r *route.Route) { r.Via = addr("2001:db8:7::1") }, unix.EHOSTUNREACH},
		"the namespace's own address":  {func(r *route.Route) { r.Via, r.OnLink = addr("2001:db8:9::1"), true }, unix.EINVAL},
		"a mapped address":             {func(r *route.Route) { r.Via = addr("::ffff:192.0.2.1") }, unix.EINVAL},
		"an IPv4 destination":          {func(r *route.Route) { r.Dst = prefix("192.0.2.1/32") }, unix.EINVAL},
		"no destination":               {func(r *route.Route) { r.Dst = netip.Prefix{} }, unix.EINVAL},
		"a next hop with a zone in it": {func(r *route.Route) { r.Via = addr("fe80::1%one") }, unix.EINVAL},
	} {
		r := r
		r.Index = n.Index("one")
		c2.change(&r)
		if err := route.Set(t.Context(), c, r); !errors.Is(err, c2.want) {
			t.Errorf("%s: %v, want %v", name, err, c2.want)
		}
	}
	if got := to(t, c, r.Dst); len(got) != 0 {
		t.Errorf("made all the same: %v", got)
	}
	// The table that it would be in was never made.
	r.Table, r.Index = 4711, n.Index("one")
	if err := route.Delete(t.Context(), c, r); err != nil {
		t.Error(err)
	}
}

// Whatever somebody else has under the same destination and metric makes room,
// but for what the kernel would not use at the same time; that is seen, and can
// be deleted without touching ours.
func TestReplacesWhatIsInItsPlace(t *testing.T) {
	n, c := lab(t)
	const dst = "2001:db8::5/128"
	ours := route.Route{Table: route.MainTable, Dst: prefix(dst), Via: addr("fe80::9"), Index: n.Index("one"), Metric: 1024, Protocol: mark, Type: route.Unicast}
	hop := func(via, dev string) string { return fmt.Sprintf("%s via %s dev %s proto static", dst, via, dev) }
	for name, c2 := range map[string]struct {
		there []string
		seen  int
		left  int
	}{
		"upstream's":                  {[]string{hop("fe80::1", "two")}, 1, 0},
		"the same next hop":           {[]string{hop("fe80::9", "one")}, 1, 0},
		"with a path MTU":             {[]string{hop("fe80::9", "one") + " mtu lock 1280"}, 1, 0},
		"several next hops":           {[]string{hop("fe80::1", "one"), hop("fe80::2", "two")}, 2, 0},
		"without a gateway":           {[]string{dst + " dev two proto static"}, 1, 0},
		"unreachable":                 {[]string{"unreachable " + dst + " proto static"}, 1, 0},
		"with a gateway and without":  {[]string{hop("fe80::1", "one"), dst + " dev two proto static"}, 2, 1},
		"without a gateway, and with": {[]string{dst + " dev two proto static", hop("fe80::1", "one"), hop("fe80::2", "two")}, 3, 1},
	} {
		for _, r := range c2.there {
			n.IP(append([]string{"-6", "route", "append"}, strings.Fields(r)...)...)
		}
		if got := to(t, c, ours.Dst); len(got) != c2.seen {
			t.Errorf("%s: seen %+v", name, got)
		}
		if err := route.Set(t.Context(), c, ours); err != nil {
			t.Fatal(err)
		}
		got := to(t, c, ours.Dst)
		if len(got) != c2.left+1 || !slices.Contains(got, ours) {
			t.Errorf("%s: after it %+v", name, got)
		}
		for _, r := range got {
			if r != ours {
				if err := route.Delete(t.Context(), c, r); err != nil {
					t.Error(err)
				}
			}
		}
		if got := to(t, c, ours.Dst); !slices.Equal(got, []route.Route{ours}) {
			t.Errorf("%s: left %+v", name, got)
		}
		if err := route.Delete(t.Context(), c, ours); err != nil || len(to(t, c, ours.Dst)) != 0 {
			t.Errorf("%s: deleted: %v", name, err)
		}
	}
	// Of a route that somebody appended to ours, the dump says that it is ours;
	// deleting what the dump says takes ours alone.
	n.IP(append([]string{"-6", "route", "append"}, strings.Fields(hop("fe80::1", "two"))...)...)
	if err := route.Set(t.Context(), c, ours); err != nil {
		t.Fatal(err)
	}
	n.IP(append([]string{"-6", "route", "append"}, strings.Fields(hop("fe80::1", "two"))...)...)
	for _, r := range to(t, c, ours.Dst) {
		if r.Protocol != mark {
			t.Errorf("shown as of protocol %d", r.Protocol)
		}
		if err := route.Delete(t.Context(), c, r); err != nil {
			t.Error(err)
		}
	}
	if got := to(t, c, ours.Dst); len(got) != 1 || got[0].Protocol != route.Static || got[0].Via != addr("fe80::1") {
		t.Errorf("left %+v", got)
	}
	n.IP("-6", "route", "del", dst)
	// Another metric is another place.
	n.IP("-6", "route", "add", dst, "via", "fe80::1", "dev", "two", "metric", "7", "proto", "static")
	if err := route.Set(t.Context(), c, ours); err != nil || len(to(t, c, ours.Dst)) != 2 {
		t.Errorf("with another metric: %v, %v", to(t, c, ours.Dst), err)
	}
}

// A path MTU that the kernel learned is dumped with the protocol of its route,
// and is no route of ours.
func TestLearnedIsNoRoute(t *testing.T) {
	l := nettest.New(t)
	near, middle, far := l.Namespace("near"), l.Namespace("middle"), l.Namespace("far")
	l.Veth(near, "eth0", middle, "left")
	l.Veth(middle, "right", far, "eth0")
	middle.Sysctl("net/ipv6/conf/all/forwarding", "1")
	near.AddAddr("eth0", "2001:db8:1::1/64")
	middle.AddAddr("left", "2001:db8:1::2/64")
	middle.AddAddr("right", "2001:db8:2::2/64")
	far.AddAddr("eth0", "2001:db8:2::1/64")
	far.IP("-6", "route", "add", "default", "via", "2001:db8:2::2")
	near.IP("-6", "route", "add", "2001:db8:2::/64", "via", "2001:db8:1::2", "dev", "eth0", "proto", "110")
	middle.IP("link", "set", "right", "mtu", "1300")
	near.Reaches(addr("2001:db8:2::1"), 5e9)
	_, _ = near.Try("ping", "-6", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-s", "1400", "2001:db8:2::1") // fragmented once it is learned
	if got := near.IP("-6", "route", "show", "cache"); !strings.Contains(got, "mtu 1300") {
		t.Fatalf("nothing was learned: %q", got)
	}
	h, err := netns.Open(l.Dir, "near")
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = c.Close(), h.Close() }()
	all, err := route.List(t.Context(), c, mark)
	all = slices.DeleteFunc(all, func(r route.Route) bool { return r.Protocol != mark })
	if err != nil || len(all) != 1 || all[0].Dst != prefix("2001:db8:2::/64") {
		t.Errorf("ours: %+v, %v", all, err)
	}
}
