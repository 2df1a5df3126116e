package ndsend

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// Where nothing can leave, Send says so, and nothing leaves.
func TestNotReady(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(ours, upstream *nstest.Namespace)
		device  string
		want    error
		says    string
	}{
		{
			name:    "down",
			prepare: func(ours, _ *nstest.Namespace) { ours.IP("link", "set", "qg-1", "down") },
			want:    ErrNotReady, says: "interface qg-1: the interface is down",
		},
		{
			name:    "no carrier",
			prepare: func(_, upstream *nstest.Namespace) { upstream.IP("link", "set", "up0", "down") },
			want:    ErrNotReady, says: "interface qg-1: the interface has no carrier",
		},
		{
			name: "no link-local",
			prepare: func(ours, _ *nstest.Namespace) {
				ours.IP("-6", "address", "flush", "dev", "qg-1", "scope", "link")
			},
			want: ErrNotReady, says: "interface qg-1: the interface has no link-local address",
		},
		{
			name: "IPv6 disabled",
			prepare: func(ours, _ *nstest.Namespace) {
				ours.Sysctl("net/ipv6/conf/qg-1/disable_ipv6", "1")
			},
			want: ErrNotReady, says: "no link-local address",
		},
		{
			name: "duplicate link-local",
			prepare: func(ours, upstream *nstest.Namespace) {
				ours.IP("-6", "address", "flush", "dev", "qg-1", "scope", "link")
				upstream.IP("address", "add", "fe80::77/64", "dev", "up0", "nodad")
				ours.Sysctl("net/ipv6/conf/qg-1/accept_dad", "1")
				ours.IP("address", "add", "fe80::77/64", "dev", "qg-1")
				nstest.Await(t, "duplicate address detection to fail", func() bool {
					all := ours.LinkLocals("qg-1")
					return len(all) == 1 && all[0].DADFailed
				})
			},
			want: ErrNotReady, says: "failed duplicate address detection",
		},
		{name: "no interface", device: "qg-2", want: ErrNoInterface, says: "interface qg-2: no such interface"},
		{name: "loopback", device: "lo", want: ErrLinkType, says: "interface lo: not an Ethernet interface"},
		{name: "slash", device: "../x", want: ErrNoInterface, says: `interface "../x": no such interface`},
		{name: "empty", device: " ", want: ErrNoInterface, says: `interface " ": no such interface`},
		{name: "long", device: "sixteen-letters-", want: ErrNoInterface, says: "no such interface"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, upstream := nstest.New(t), nstest.New(t)
			nstest.Link(t, ours, "qg-1", upstream, "up0")
			capture := upstream.Capture("up0")
			if c.prepare != nil {
				c.prepare(ours, upstream)
			}
			device := "qg-1"
			if c.device != "" {
				device = c.device
			}
			sent, err := Burst(t.Context(), Config{Interface: device, Enter: ours.Enter}, []netip.Addr{testTarget})
			if len(sent) != 0 || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("sent %v, error %v, want %q", sent, err, c.says)
			}
			capture.WantNone(50 * time.Millisecond)
		})
	}
}

// While duplicate address detection runs, nothing may leave: not from the
// tentative address, even past our check, and not from a global one, which the
// kernel takes when it may choose. Afterwards the same Sender sends.
func TestTentative(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.LinkDown(t, ours, "qg-1", upstream, "up0")
	upstream.IP("link", "set", "up0", "up")
	ours.Sysctl("net/ipv6/conf/qg-1/dad_transmits", "1000")
	ours.IP("link", "set", "qg-1", "up")
	nstest.Await(t, "a tentative link-local address", func() bool {
		all := ours.LinkLocals("qg-1")
		return len(all) == 1 && all[0].Tentative
	})
	capture := upstream.Capture("up0")
	s, err := Open(Config{Interface: "qg-1", Enter: ours.Enter})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	from, message := unchecked(t, s, ours)
	to := &unix.SockaddrInet6{Addr: AllNodes().As16(), ZoneId: uint32(from.index)}
	if err := unix.Sendto(s.socket.fd, message, 0, to); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("without a source: error %v, want %v", err, unix.EADDRNOTAVAIL)
	}
	ours.IP("address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
	if err := sendUnchecked(s, message, from); !errors.Is(err, ErrNotReady) {
		t.Errorf("past the check: error %v, want %v", err, ErrNotReady)
	}
	if sent, err := s.Send(t.Context(), []netip.Addr{testTarget}); len(sent) != 0 || !errors.Is(err, ErrTentative) || !errors.Is(err, ErrNotReady) {
		t.Errorf("sent %v, error %v, want %v", sent, err, ErrTentative)
	}
	capture.WantNone(50 * time.Millisecond)
	if err := unix.Sendto(s.socket.fd, message, 0, to); err != nil {
		t.Errorf("without a source, with a global address: %v", err)
	} else if got := capture.Want(testTarget).From(); got != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("the kernel chose %s: no need to give it a source", got)
	}

	ours.IP("address", "add", "fe80::99/64", "dev", "qg-1", "nodad")
	if _, err := s.Send(t.Context(), []netip.Addr{testTarget}); err != nil {
		t.Fatal(err)
	}
	if got := capture.Want(testTarget).From(); got != netip.MustParseAddr("fe80::99") {
		t.Errorf("source %s, want the one link-local address that is not tentative", got)
	}
}

// Without carrier the kernel takes a message, reports success, and drops it:
// why the flags are read first.
func TestNoCarrierIsSilent(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	s, err := Open(Config{Interface: "qg-1", Enter: ours.Enter})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	upstream.IP("link", "set", "up0", "down")
	from, message := unchecked(t, s, ours)
	if err := sendUnchecked(s, message, from); err != nil {
		t.Errorf("past the check: error %v, want success and silence: the kernel learnt to tell", err)
	}
	if sent, err := s.Send(t.Context(), []netip.Addr{testTarget}); len(sent) != 0 || !errors.Is(err, ErrNotReady) {
		t.Errorf("sent %v, error %v, want %v", sent, err, ErrNotReady)
	}
	capture := upstream.Capture("up0")
	upstream.IP("link", "set", "up0", "up")
	capture.WantNone(50 * time.Millisecond)
}

// unchecked is what Send would work with if it did not look at the device's
// state.
func unchecked(t *testing.T, s *Sender, n *nstest.Namespace) (device, []byte) {
	t.Helper()
	link, err := s.devices.link("qg-1")
	if err != nil {
		t.Fatal(err)
	}
	from := device{index: link.Index, mac: link.MAC, source: n.LinkLocals("qg-1")[0].Local}
	message, err := Advertisement(testTarget, from.mac, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return from, message
}

func sendUnchecked(s *Sender, message []byte, from device) error {
	_, err := s.socket.send(newBatch(from), message, len(message))
	return sendError(err, from.source)
}

// A queue that is full is told apart from success, and what did leave is said.
func TestCongested(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	// Room for one packet at a time, drained once in minutes.
	ours.Exec("tc", "qdisc", "add", "dev", "qg-1", "root", "tbf", "rate", "8bit", "burst", "100", "limit", "100")
	targets := make([]netip.Addr, 10)
	for i := range targets {
		targets[i] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
	}
	sent, err := Burst(t.Context(), Config{Interface: "qg-1", Enter: ours.Enter}, targets)
	if !errors.Is(err, ErrCongested) || len(sent) >= len(targets) {
		t.Errorf("sent %d of %d, error %v, want %v", len(sent), len(targets), err, ErrCongested)
	}
}

// A packet filter that drops one announcement is reported and stops no other.
func TestFiltered(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	ours.Exec("nft", "add table ip6 t; add chain ip6 t o { type filter hook output priority 0; };"+
		"add rule ip6 t o icmpv6 type nd-neighbor-advert @th,64,128 0x20010db8000000010000000000000005 drop")
	capture := upstream.Capture("up0")
	other := netip.MustParseAddr("2001:db8:0:1::6")
	sent, err := Burst(t.Context(), Config{Interface: "qg-1", Enter: ours.Enter}, []netip.Addr{testTarget, other})
	if !errors.Is(err, ErrFiltered) || !strings.Contains(err.Error(), "announce 2001:db8:0:1::5 on qg-1: ") {
		t.Errorf("error %v, want %v for %s", err, ErrFiltered, testTarget)
	}
	if len(sent) != 1 || sent[0] != other {
		t.Errorf("sent %v, want %s", sent, other)
	}
	capture.Want(other)
}
