package ndsend

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// What leaves is what RFC 4861 sections 4.4 and 7.1.2 ask for, to the byte.
func TestOnTheWire(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	send(t, ours, "qg-1", testTarget)
	frame := capture.Want(testTarget)

	mac := ours.MAC("qg-1")
	message, err := Advertisement(testTarget, mac, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	got := frame.ICMP()
	if diff := cmp.Diff(hex.EncodeToString(message[4:]), hex.EncodeToString(got[4:])); diff != "" {
		t.Errorf("message after the checksum (-want +got):\n%s", diff)
	}
	type envelope struct {
		EthernetTo, EthernetFrom string
		HopLimit                 int
		From, To                 string
		ChecksumValid            bool
	}
	want := envelope{"33:33:00:00:00:01", mac.String(), 255, ours.AwaitLinkLocal("qg-1").String(), "ff02::1", true}
	if diff := cmp.Diff(want, envelope{
		frame.Destination().String(), frame.Source().String(), frame.HopLimit(),
		frame.From().String(), frame.To().String(), frame.ChecksumValid(),
	}); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	decode := tcpdump(t, frame)
	for _, phrase := range []string{
		"IP6 (hlim 255, next-header ICMPv6 (58) payload length: 32)",
		"[icmp6 sum ok] ICMP6, neighbor advertisement, length 32, tgt is 2001:db8:0:1::5, Flags [override]",
		"destination link-address option (2), length 8 (1): " + mac.String(),
	} {
		if !strings.Contains(decode, phrase) {
			t.Errorf("tcpdump does not say %q:\n%s", phrase, decode)
		}
	}
}

// tcpdump's reading of one frame.
func tcpdump(t *testing.T, frame []byte) string {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Log("no tcpdump here: its opinion is not asked for")
		t.SkipNow()
	}
	input, err := os.Open(pcap(t, frame))
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close() //nolint:errcheck // read only
	cmd := exec.Command("tcpdump", "-nvvr", "-")
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tcpdump: %v: %s", err, out)
	}
	return string(out)
}

// pcap is a file of that classic format with one frame.
func pcap(t *testing.T, frame []byte) (path string) {
	t.Helper()
	// Magic, version 2.4, zone, accuracy, length, Ethernet; then seconds,
	// microseconds, and the length twice.
	length := uint32(len(frame))
	file := []byte{0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	file = binary.BigEndian.AppendUint32(file, length)
	file = binary.BigEndian.AppendUint32(file, length)
	path = filepath.Join(t.TempDir(), "frame.pcap")
	if err := os.WriteFile(path, append(file, frame...), 0o644); err != nil { // #nosec G306 -- tcpdump may drop root
		t.Fatal(err)
	}
	return path
}

// The burst reads the link-layer address anew, also through an open Sender.
func TestMACChange(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	s, err := Open(Config{Interface: "qg-1", Enter: ours.Enter})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, mac := range []string{ours.MAC("qg-1").String(), "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"} {
		ours.IP("link", "set", "qg-1", "address", mac)
		if sent, err := s.Send(t.Context(), []netip.Addr{testTarget}); err != nil || len(sent) != 1 {
			t.Fatalf("sent %v, %v", sent, err)
		}
		frame := capture.Want(testTarget)
		got, err := frame.TargetMAC()
		if err != nil || got.String() != mac || frame.Source().String() != mac {
			t.Errorf("announced %s from %s (%v), want %s", got, frame.Source(), err, mac)
		}
	}
}

// The Router flag is the caller's choice.
func TestRouterFlag(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	config := Config{Interface: "qg-1", Enter: ours.Enter, Flags: Flags{Router: true}}
	if _, err := Burst(t.Context(), config, []netip.Addr{testTarget}); err != nil {
		t.Fatal(err)
	}
	if flags := capture.Want(testTarget).ICMP()[4]; flags != 0xa0 {
		t.Errorf("flags %#x, want Router and Override", flags)
	}
}

// send is one burst that must succeed.
func send(t *testing.T, n *nstest.Namespace, device string, target netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sent, err := Burst(ctx, Config{Interface: device, Enter: n.Enter}, []netip.Addr{target})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{target.String()}, texts(sent)); diff != "" {
		t.Fatalf("sent (-want +got):\n%s", diff)
	}
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// What we announce is for others: our own cache, which may know the address as
// a neighbour, and our socket's receive queue stay as they are.
func TestNothingComesBack(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	const theirMAC = "02:00:00:00:00:bb"
	ours.IP("neigh", "replace", testTarget.String(), "lladdr", theirMAC, "dev", "qg-1", "nud", "reachable")
	s, err := Open(Config{Interface: "qg-1", Enter: ours.Enter})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Send(t.Context(), []netip.Addr{testTarget}); err != nil {
		t.Fatal(err)
	}
	capture := ours.Capture("qg-1")
	other := netip.MustParseAddr("2001:db8:0:1::6")
	send(t, upstream, "up0", other)
	capture.Want(other) // it reached us
	if got := ours.Neighbour("qg-1", testTarget); got.MAC != theirMAC || got.State[0] != "REACHABLE" {
		t.Errorf("our own cache has %q, want it as it was", got.Raw)
	}
	if n, _, err := unix.Recvfrom(s.socket.fd, make([]byte, 64), unix.MSG_DONTWAIT); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("%d bytes in the receive queue, error %v, want %v", n, err, unix.EAGAIN)
	}
}
