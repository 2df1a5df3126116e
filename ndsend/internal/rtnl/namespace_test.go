package rtnl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// open opens a Conn in the namespace.
func open(t *testing.T, n *nstest.Namespace) *Conn {
	t.Helper()
	var c *Conn
	err := n.Enter(func() (err error) {
		c, err = Open()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What we read is what iproute2 and sysctl wrote.
func TestReads(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	ours.IP("link", "add", "more0", "type", "veth", "peer", "name", "more1")
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	c := open(t, ours)

	read := func() Link {
		t.Helper()
		l, err := c.Link("qg-1")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := read()
	byIndex, err := c.LinkByIndex(l.Index)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, byIndex); diff != "" {
		t.Errorf("by name and by index (-name +index):\n%s", diff)
	}
	if l.Name != "qg-1" || net.HardwareAddr(l.MAC).String() != ours.MAC("qg-1").String() || l.Flags&unix.IFF_UP == 0 {
		t.Errorf("link %+v", l)
	}
	for _, name := range []string{"forwarding", "proxy_ndp", "disable_ipv6"} {
		for _, value := range []string{"1", "0"} {
			ours.Sysctl("net/ipv6/conf/qg-1/"+name, value)
			l := read()
			got := map[string]bool{"forwarding": l.Forwarding, "proxy_ndp": l.ProxyNDP, "disable_ipv6": l.Disabled}
			want := map[string]bool{"forwarding": false, "proxy_ndp": false, "disable_ipv6": false, name: value == "1"}
			if diff := cmp.Diff(want, got); diff != "" || !l.IPv6 {
				t.Errorf("%s=%s, IPv6 %v (-want +got):\n%s", name, value, l.IPv6, diff)
			}
		}
	}
	for _, want := range []All{{}, {Forwarding: true}, {ProxyNDP: true}} {
		ours.Sysctl("net/ipv6/conf/all/forwarding", map[bool]string{true: "1", false: "0"}[want.Forwarding])
		ours.Sysctl("net/ipv6/conf/all/proxy_ndp", map[bool]string{true: "1", false: "0"}[want.ProxyNDP])
		if got, err := c.All(); err != nil || got != want {
			t.Errorf("all %+v, %v, want %+v", got, err, want)
		}
	}
	ours.IP("link", "set", "qg-1", "mtu", "1000")
	if l := read(); l.IPv6 {
		t.Errorf("with an MTU of 1000: %+v", l)
	}
	if _, err := c.Link("absent"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("absent: error %v, want %v", err, unix.ENODEV)
	}
}

func TestAddresses(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	nstest.Link(t, ours, "qg-2", upstream, "up1")
	ours.Sysctl("net/ipv6/conf/qg-1/forwarding", "1")
	ours.IP("address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
	ours.IP("address", "add", "2001:db8:1::1", "peer", "2001:db8:1::2", "dev", "qg-1", "nodad")
	ours.IP("address", "add", "2001:db8:2::1/64", "dev", "qg-2", "nodad")
	c := open(t, ours)
	l, err := c.Link("qg-1")
	if err != nil {
		t.Fatal(err)
	}
	list := func(read func(int) ([]Address, error)) []string {
		t.Helper()
		all, err := read(l.Index)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, a := range all {
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				t.Errorf("%+v is tentative", a)
			}
			texts = append(texts, a.Addr.String())
		}
		slices.Sort(texts)
		return texts
	}
	want := []string{"2001:db8:1::1", "2001:db8::1", ours.AwaitLinkLocal("qg-1").String()}
	if diff := cmp.Diff(want, list(c.Addresses)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if got := list(c.Anycast); !slices.Contains(got, "2001:db8::") {
		t.Errorf("anycast addresses %q, want the subnet's routers'", got)
	}
}

// A list longer than one datagram is read whole, and an entry is found also
// where it has flags besides NTF_PROXY, which libraries overlook.
func TestProxyEntries(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	var want []string
	var batch strings.Builder
	for i := range 600 {
		want = append(want, fmt.Sprintf("2001:db8::%x", i+1))
		fmt.Fprintf(&batch, "neigh add proxy %s dev qg-1%s\n", want[i], []string{"", " router"}[i%2])
	}
	path := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(path, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ours.IP("-batch", path)
	c := open(t, ours)
	l, err := c.Link("qg-1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	all, err := c.ProxyEntries()
	for _, e := range all {
		got = append(got, e.Addr.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, entries (-want +got):\n%s", err, diff)
	}
	for i, text := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff"} {
		entry, found, err := c.ProxyEntry(l.Index, netip.MustParseAddr(text))
		router := entry.Flags&unix.NTF_ROUTER != 0
		if err != nil || found != (i < 2) || router != (i == 1) {
			t.Errorf("%s: %+v, %v, %v", text, entry, found, err)
		}
	}
}

func TestRoute(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	ours.Sysctl("net/ipv6/conf/all/forwarding", "1")
	ours.IP("address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
	ours.IP("route", "add", "unreachable", "2001:db8:1::/64")
	ours.IP("route", "add", "blackhole", "2001:db8:2::/64")
	ours.IP("route", "add", "prohibit", "2001:db8:3::/64")
	c := open(t, ours)
	l, err := c.Link("qg-1")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"2001:db8::5": true, "2001:db8::1": false, "2001:db8:1::5": false, "2001:db8:2::5": false, "2001:db8:3::5": false, "2001:db8:9::5": false,
	} {
		if got, err := c.Route(l.Index, netip.MustParseAddr(text)); err != nil || (got == unix.RTN_UNICAST) != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}
