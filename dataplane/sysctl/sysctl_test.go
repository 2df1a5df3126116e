package sysctl

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestReadAndWrite(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace("a")
	n.Device("qg-1")
	n.Device("qg.2") // a dot is no separator below /proc/sys
	h, err := netns.Open(l.Dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	read := func(device string) Values {
		table, err := Read(t.Context(), c)
		if err != nil || table.AllProxyNDP {
			t.Fatalf("all.proxy_ndp %v, %v", table.AllProxyNDP, err)
		}
		v, ok := table.Devices[n.Index(device)]
		if !ok {
			t.Fatalf("no %s in %+v", device, table)
		}
		return v
	}
	if got, want := read("qg-1"), (Values{ProxyDelay: 800 * time.Millisecond}); got != want {
		t.Errorf("a new device has %+v, want %+v", got, want)
	}
	n.Sysctl("net/ipv6/conf/qg-1/forwarding", "1")
	for _, device := range []string{"qg-1", "qg.2"} {
		if err := h.Do(func() error { return SetProxyNDP(device, true) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := SetProxyDelay(t.Context(), c, n.Index("qg-1"), 0); err != nil {
		t.Fatal(err)
	}
	if got, want := read("qg-1"), (Values{Forwarding: true, ProxyNDP: true}); got != want {
		t.Errorf("qg-1 has %+v, want %+v", got, want)
	}
	if got := n.ReadSysctl("net/ipv6/conf/qg.2/proxy_ndp"); got != "1" {
		t.Errorf("qg.2: %s", got)
	}
	// Every step of 10 ms reads back as itself, cut to 10 ms.
	for d := time.Duration(0); d <= time.Second; d += 70 * time.Millisecond {
		if err := SetProxyDelay(t.Context(), c, n.Index("qg-1"), d); err != nil {
			t.Fatal(err)
		}
		if got := read("qg-1").ProxyDelay; got.Truncate(10*time.Millisecond) != d {
			t.Errorf("wrote %s, reads %s", d, got)
		}
	}
	if got := n.ReadSysctl("net/ipv6/conf/all/proxy_ndp"); got != "0" {
		t.Errorf("all.proxy_ndp is %s", got)
	}
}

func TestRefused(t *testing.T) {
	l := nettest.New(t)
	l.Namespace("a")
	h, err := netns.Open(l.Dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	for device, want := range map[string]error{
		"none": unix.ENODEV, "all": unix.EINVAL, "default": unix.EINVAL, "": unix.EINVAL, "..": unix.EINVAL, "../all": unix.EINVAL,
	} {
		if err := h.Do(func() error { return SetProxyNDP(device, true) }); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", device, err, want)
		}
	}
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := SetProxyDelay(t.Context(), c, 4711, 0); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no device: %v", err)
	}
	if err := SetProxyDelay(t.Context(), c, 1, -1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("negative: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := encodeDelay(7, 250*time.Millisecond)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{unix.AF_INET6, 0, 0, 0, 8, 0, netconfIndex, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, v, err := decodeNetconf(b); err == nil && v.ProxyDelay != -1 {
			t.Fatalf("%+v", v)
		}
		if index, delay, ok, err := decodeNeightbl(b); err == nil && ok && (index <= 0 || delay < 0) {
			t.Fatalf("index %d, delay %s", index, delay)
		}
	})
}
