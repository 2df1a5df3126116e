package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/uplink"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// patience is above the second for which the kernel may keep back the loss
	// of a carrier (net/core/link_watch.c).
	patience = 5 * time.Second
	while    = 1500 * time.Millisecond
)

type watcher struct {
	t *testing.T
	*uplink.Watcher
}

// watch watches a namespace, and returns when events are read. The kernel works
// carriers off in its own time: those of devices just made come first.
func watch(t *testing.T, lab *nettest.Lab, n *nettest.Namespace, o uplink.Options) watcher {
	t.Helper()
	nettest.Eventually(t, patience, "the carriers", func() bool {
		return !strings.Contains(n.Run("ip", "-o", "link", "show", "up"), "DOWN")
	})
	h, err := netns.Open(lab.Dir, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	o.NetNS = h.FD()
	if o.Logger == nil {
		o.Logger = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	}
	u, err := uplink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(200 * time.Millisecond) // what is there is no event
	w := watcher{t, u}
	w.none("at the start", 0)
	return w
}

func (w watcher) one(what string) {
	w.t.Helper()
	select {
	case <-w.Carrier():
	case <-time.After(patience):
		w.t.Errorf("%s: no signal", what)
	}
}

func (w watcher) none(what string, within time.Duration) {
	w.t.Helper()
	select {
	case <-w.Carrier():
		w.t.Errorf("%s: a signal", what)
	case <-time.After(within):
	}
}

// settle drops signals until none comes for a while.
func (w watcher) settle() {
	for {
		select {
		case <-w.Carrier():
		case <-time.After(while):
			return
		}
	}
}

// host is a namespace with an uplink eth0, whose other end is at the switch.
func host(t *testing.T) (lab *nettest.Lab, h, sw *nettest.Namespace) {
	t.Helper()
	lab = nettest.New(t)
	h, sw = lab.Namespace("host"), lab.Namespace("switch")
	lab.Veth(h, "eth0", sw, "port0")
	return lab, h, sw
}

func TestCarrierComesBack(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	w := watch(t, lab, h, uplink.Options{Names: []string{"eth0"}})
	for range 2 {
		sw.IP("link", "set", "port0", "down")
		w.none("carrier lost", while)
		sw.IP("link", "set", "port0", "up")
		w.one("carrier back")
		w.none("carrier back, once more", while)
	}
	// The link is taken down here, not there.
	h.IP("link", "set", "eth0", "down")
	w.none("down", while)
	h.IP("link", "set", "eth0", "up")
	w.one("up")
	w.settle()
	// Nothing of this is a carrier.
	h.Batch("link set eth0 mtu 1400", "link set eth0 address 02:00:00:00:00:99", "link set eth0 alias x",
		"link add br0 type bridge", "link set br0 up", "link set eth0 master br0", "link set eth0 nomaster")
	w.none("other changes", while)
}

// The kernel may report a carrier that went and came at once by one message,
// which says the same as the one before.
func TestCarrierBlinks(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	w := watch(t, lab, h, uplink.Options{Names: []string{"eth0"}})
	sw.Batch("link set port0 down", "link set port0 up")
	w.one("blink")
}

// Instances that are plugged and unplugged are no uplinks: by default not a tap
// nor a veth, with names nothing but these.
func TestOtherDevices(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	byName := watch(t, lab, h, uplink.Options{Names: []string{"eth0", "bond*"}})
	byKind := watch(t, lab, h, uplink.Options{})
	h.Batch("tuntap add tap1 mode tap", "link set tap1 up", "link set tap1 down", "link set tap1 up",
		"link add br-int type bridge", "link set br-int up", "link set tap1 master br-int",
		"link set lo down", "link set lo up")
	lab.Veth(h, "qvo1", sw, "qvb1")
	sw.Batch("link set qvb1 down", "link set qvb1 up")
	byName.none("others, by name", while)
	byKind.none("others, by kind", while)
	sw.IP("link", "set", "port0", "down")
	sw.IP("link", "set", "port0", "up")
	byName.one("eth0")
	byKind.none("a veth by kind", while)
}

// A bond is an uplink by default, and by a pattern; one that appears with a
// carrier counts as one that got it.
func TestBond(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	if out, err := h.Try("ip", "link", "add", "bond0", "type", "bond"); err != nil {
		t.Skipf("this kernel makes no bonds: %v: %s", err, out)
	}
	byName := watch(t, lab, h, uplink.Options{Names: []string{"bond[0-9]"}})
	byKind := watch(t, lab, h, uplink.Options{})
	h.Batch("link set bond0 type bond miimon 100", "link set eth0 down", "link set eth0 master bond0", "link set bond0 up", "link set eth0 up")
	byName.one("made")
	byKind.one("made, by kind")
	byName.settle()
	byKind.settle()
	sw.IP("link", "set", "port0", "down")
	byName.none("carrier lost", while)
	sw.IP("link", "set", "port0", "up")
	byName.one("carrier back")
	byKind.one("carrier back, by kind")
}

func TestNewDevice(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	w := watch(t, lab, h, uplink.Options{Names: []string{"eth*"}})
	lab.Veth(sw, "eth7", sw, "port7") // up, with a carrier
	w.none("elsewhere", 200*time.Millisecond)
	h.Batch("link add eth1 type veth peer name port1")
	w.none("without a carrier", while)
	h.Batch("link set eth1 up", "link set port1 up")
	w.one("new uplink")
	w.settle()
	// A name is no carrier.
	h.Batch("link add x1 type veth peer name y1", "link set x1 up", "link set y1 up")
	w.none("another device", while)
	h.Batch("link set x1 name eth9")
	w.none("renamed", while)
}

// A carrier that comes and goes becomes one signal for as long as nobody takes
// it.
func TestBurstIsOneSignal(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	lab.Veth(h, "eth1", sw, "port1")
	w := watch(t, lab, h, uplink.Options{Names: []string{"eth*"}})
	for range 20 {
		sw.Batch("link set port0 down", "link set port1 down", "link set port0 up", "link set port1 up")
	}
	time.Sleep(while)
	w.one("burst")
	w.none("burst, once more", while)
}

// A carrier that comes back among so many events that some are lost is seen by
// comparing.
func TestOverrun(t *testing.T) {
	t.Parallel()
	lab, h, sw := host(t)
	core, logs := observer.New(zap.InfoLevel)
	w := watch(t, lab, h, uplink.Options{
		Names: []string{"eth0"}, ReceiveBuffer: 1, RetryMin: 10 * time.Millisecond, RetryMax: 20 * time.Millisecond,
		Logger: zap.New(core),
	})
	h.Batch("link add x type veth peer name y")
	lines := make([]string, 0, 1000)
	for i := range cap(lines) {
		lines = append(lines, fmt.Sprintf("link set x mtu %d", 1300+i%2))
	}
	for storms := 0; logs.FilterMessageSnippet("were lost").Len() == 0; storms++ {
		if storms == 20 {
			t.Fatal("never overrun")
		}
		w.settle()
		sw.Batch("link set port0 down")
		h.Batch(lines...)
		sw.Batch("link set port0 up")
		h.Batch(lines...)
		w.one("carrier in a storm")
		if t.Failed() {
			return
		}
	}
	w.settle()
	sw.Batch("link set port0 down", "link set port0 up")
	w.one("after the storm")
}

func TestBadPattern(t *testing.T) {
	if _, err := uplink.New(uplink.Options{Names: []string{"eth0", "bond["}}); err == nil {
		t.Error("no error")
	}
}
