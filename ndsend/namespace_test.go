package ndsend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// twins are two namespaces with a device of the same name and another index,
// each with its own peer.
type twins struct {
	ours, upstream [2]*nstest.Namespace
	device         string
}

func newTwins(t *testing.T) twins {
	t.Helper()
	var w twins
	for i := range w.ours {
		w.ours[i], w.upstream[i] = nstest.New(t), nstest.New(t)
	}
	// Another name in each test and run: what a library remembers of a name
	// outlasts both.
	w.device = "qg-" + w.ours[0].Name[strings.LastIndexByte(w.ours[0].Name, '-')+1:]
	// Some more devices first, so that the second one's index differs.
	for i := range 3 {
		w.ours[1].IP("link", "add", fmt.Sprintf("more%d", i), "type", "veth", "peer", "name", fmt.Sprintf("less%d", i))
	}
	for i := range w.ours {
		nstest.Link(t, w.ours[i], w.device, w.upstream[i], "up0")
	}
	if a, b := w.ours[0].Index(w.device), w.ours[1].Index(w.device); a == b {
		t.Fatalf("both devices have the index %d: the test would show nothing", a)
	}
	return w
}

// Bursts from many goroutines into both namespaces leave where they belong.
func TestSameNameInTwoNamespaces(t *testing.T) {
	w := newTwins(t)
	const bursts, size = 8, 16
	address := func(namespace, burst, i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(namespace), 14: byte(burst), 15: byte(i + 1)})
	}
	var captures [2]*nstest.Capture
	for i := range captures {
		captures[i] = w.upstream[i].Capture("up0")
	}
	var all sync.WaitGroup
	for burst := range bursts {
		for n := range w.ours {
			all.Go(func() {
				var targets []netip.Addr
				for i := range size {
					targets = append(targets, address(n, burst, i))
				}
				config := Config{Interface: w.device, Enter: w.ours[n].Enter}
				if sent, err := Burst(t.Context(), config, targets); err != nil || len(sent) != size {
					t.Errorf("namespace %d: sent %d of %d, %v", n, len(sent), size, err)
				}
			})
		}
	}
	all.Wait()
	for n := range w.ours {
		missing := make(map[netip.Addr]bool)
		for burst := range bursts {
			for i := range size {
				missing[address(n, burst, i)] = true
			}
		}
		want := w.ours[n].Sender(w.device)
		for len(missing) > 0 {
			frame := captures[n].Next(5 * time.Second)
			if frame == nil {
				t.Fatalf("namespace %d: %d advertisements did not arrive", n, len(missing))
			}
			if got := frame.Sender(); !missing[frame.Target()] || got != want {
				t.Fatalf("namespace %d: %s from %+v arrived, want what is missing here, from %+v", n, frame.Target(), got, want)
			}
			delete(missing, frame.Target())
		}
		captures[n].WantNone(20 * time.Millisecond)
	}
}

// Why the socket is our own: x/net remembers, for the whole process, which
// index a name had in the namespace that asked first. If this fails after an
// upgrade, the reason given in socket.go is out of date.
func TestLibraryConfusesNamespaces(t *testing.T) {
	w := newTwins(t)
	libraryWay := func(n *nstest.Namespace, rename func(*net.Interface), target netip.Addr) error {
		return n.Enter(func() error {
			ifi, err := net.InterfaceByName(w.device)
			if err != nil {
				return err
			}
			rename(ifi)
			conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
			if err != nil {
				return err
			}
			message := &ndp.NeighborAdvertisement{
				Override: true, TargetAddress: target,
				Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ifi.HardwareAddr}},
			}
			return errors.Join(conn.WriteTo(message, nil, AllNodes()), conn.Close())
		})
	}
	byName := func(*net.Interface) {}
	// What is a number and no device's name is taken for the index.
	byIndex := func(ifi *net.Interface) { ifi.Name = strconv.Itoa(ifi.Index) }

	captures := [2]*nstest.Capture{w.upstream[0].Capture("up0"), w.upstream[1].Capture("up0")}
	if err := libraryWay(w.ours[0], byName, testTarget); err != nil {
		t.Fatalf("the first namespace to ask: %v", err)
	}
	captures[0].Want(testTarget)
	if err := libraryWay(w.ours[1], byName, testTarget); err == nil && captures[1].Next(100*time.Millisecond) != nil {
		t.Error("the library found the device in the second namespace too: its cache is mended")
	} else {
		t.Logf("the library in the second namespace: %v", err)
	}
	// Nothing else is wrong there.
	if err := libraryWay(w.ours[1], byIndex, testTarget); err != nil {
		t.Fatalf("the library in the second namespace, by the index: %v", err)
	}
	captures[1].Want(testTarget)
	send(t, w.ours[1], w.device, testTarget)
	captures[1].Want(testTarget)
}

func TestNamespaceGone(t *testing.T) {
	ours := nstest.New(t)
	ours.Delete()
	_, err := Open(Config{Interface: "qg-1", Enter: ours.Enter})
	if !errors.Is(err, ErrNamespace) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "interface qg-1: cannot enter the network namespace: ") {
		t.Errorf("error %v, want %v and %v", err, ErrNamespace, fs.ErrNotExist)
	}
}

// An Enter that fails on its way back has run our function: the sockets must
// not leak, and the error is its own.
func TestEnterFailsOnTheWayBack(t *testing.T) {
	ours := nstest.New(t)
	before := descriptors(t)
	stuck := errors.New("stuck")
	_, err := Open(Config{Interface: "qg-1", Enter: func(fn func() error) error {
		return errors.Join(ours.Enter(fn), stuck)
	}})
	if !errors.Is(err, stuck) || errors.Is(err, ErrNamespace) {
		t.Errorf("error %v, want %v alone", err, stuck)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
}

// Without CAP_NET_RAW the error says what is missing.
func TestNoPermission(t *testing.T) {
	ours := nstest.New(t)
	before := descriptors(t)
	_, err := Open(Config{Interface: "qg-1", Enter: func(fn func() error) error {
		return ours.Enter(func() error {
			// The capability of this thread alone, which ends with fn.
			if err := dropRaw(); err != nil {
				return err
			}
			return fn()
		})
	}})
	if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_RAW") {
		t.Errorf("error %v, want %v", err, ErrPermission)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
}

func dropRaw() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_RAW
	return unix.Capset(&header, &data[0])
}

// Neither success nor failure leaves descriptors behind: each would keep a
// namespace alive.
func TestNoDescriptorLeaks(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	before := descriptors(t)
	for _, device := range []string{"qg-1", "lo", "absent"} {
		for range 20 {
			// The result is another test's.
			_, _ = Burst(t.Context(), Config{Interface: device, Enter: ours.Enter}, []netip.Addr{testTarget})
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A cancelled context ends a burst; a bad target does not.
func TestSendEnds(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	config := Config{Interface: "qg-1", Enter: ours.Enter}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sent, err := Burst(ctx, config, []netip.Addr{testTarget}); len(sent) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: sent %v, error %v", sent, err)
	}
	capture.WantNone(20 * time.Millisecond)

	sent, err := Burst(t.Context(), config, []netip.Addr{netip.MustParseAddr("192.0.2.1"), testTarget})
	if len(sent) != 1 || !errors.Is(err, ErrBadTarget) {
		t.Errorf("with a bad target: sent %v, error %v", sent, err)
	}
	capture.Want(testTarget)
}

func BenchmarkBurst(b *testing.B) {
	ours, upstream := nstest.New(b), nstest.New(b)
	nstest.Link(b, ours, "qg-1", upstream, "up0")
	targets := make([]netip.Addr, 25)
	for i := range targets {
		targets[i] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
	}
	for b.Loop() {
		if _, err := Burst(b.Context(), Config{Interface: "qg-1", Enter: ours.Enter}, targets); err != nil {
			b.Fatal(err)
		}
	}
}
