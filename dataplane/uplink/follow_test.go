package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// script is a source that lists what it is given and then loses events.
type script struct {
	list []link
	err  error // of the list
	stop chan struct{}
	once sync.Once
	lost chan error
}

func (s *script) List(context.Context) ([]link, error) { return s.list, s.err }
func (s *script) Receive() ([]event, error) {
	select {
	case err := <-s.lost:
		return nil, err
	case <-s.stop:
		return nil, unix.EINTR
	}
}
func (s *script) Interrupt() { s.once.Do(func() { close(s.stop) }) }
func (s *script) Close()     {}

// What happened between two lists is found by comparing them; what goes wrong
// is tried again, ends nothing, and is said once.
func TestListsAreCompared(t *testing.T) {
	const idx = 3
	eth := func(running bool, carriers uint32) []link {
		return []link{{index: idx, name: "eth0", running: running, carriers: carriers}, {index: 4, name: "tap1", kind: "tun", running: running, carriers: carriers}}
	}
	broken := errors.New("out of sockets")
	core, logs := observer.New(zap.DebugLevel)
	w, err := New(Options{Logger: zap.New(core), RetryMin: time.Microsecond, RetryMax: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		what    string
		list    []link
		err     error
		signals int
	}{
		{"first list", eth(true, 1), nil, 0},
		{"the same", eth(true, 1), nil, 0},
		{"went and came", eth(true, 2), nil, 1},
		{"went", eth(false, 2), nil, 0},
		{"cannot list", nil, broken, 0},
		{"still not", nil, broken, 0},
		{"came meanwhile", eth(true, 3), nil, 1},
		{"unplugged", eth(true, 3)[1:], nil, 0},
		{"plugged", eth(true, 1), nil, 1},
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	check := func() {
		if n > 0 {
			if got := len(w.carrier); got != steps[n-1].signals {
				t.Errorf("%s: %d signals", steps[n-1].what, got)
			}
		}
		for len(w.carrier) > 0 {
			<-w.carrier
		}
	}
	w.open = func() (source, error) {
		check()
		if n == len(steps) {
			cancel()
			return nil, ctx.Err()
		}
		n++
		s := &script{list: steps[n-1].list, err: steps[n-1].err, stop: make(chan struct{}), lost: make(chan error, 1)}
		s.lost <- fmt.Errorf("receive: %w", unix.ENOBUFS)
		return s, nil
	}
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if n != len(steps) || w.losses != len(steps)-2 {
		t.Errorf("%d steps, %d losses", n, w.losses)
	}
	for message, times := range map[string]int{"were lost": 1, "cannot be watched": 1, "watched again": 1} {
		if got := logs.FilterLevelExact(zap.InfoLevel).FilterMessageSnippet(message).Len() +
			logs.FilterLevelExact(zap.WarnLevel).FilterMessageSnippet(message).Len(); got != times {
			t.Errorf("%q was logged %d times", message, got)
		}
	}
}

func TestUplinks(t *testing.T) {
	eth, lo := link{name: "eth0"}, link{name: "lo", loopback: true}
	bond, team := link{name: "bond0", kind: "bond"}, link{name: "team0", kind: "team"}
	tap, veth, ovs := link{name: "tap1", kind: "tun"}, link{name: "qvo1", kind: "veth"}, link{name: "br-ex", kind: "openvswitch"}
	for _, c := range []struct {
		names   []string
		yes, no []link
	}{
		{nil, []link{eth, bond, team}, []link{lo, tap, veth, ovs}},
		{[]string{"br-ex"}, []link{ovs}, []link{eth, lo, bond, team, tap, veth}},
		{[]string{"bond*", "eth[0-9]"}, []link{eth, bond}, []link{lo, team, tap, veth, ovs}},
	} {
		w, err := New(Options{Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range c.yes {
			if !w.isUplink(l) {
				t.Errorf("%q: %s is none", c.names, l.name)
			}
		}
		for _, l := range c.no {
			if w.isUplink(l) {
				t.Errorf("%q: %s is one", c.names, l.name)
			}
		}
	}
}

// A bridge tells of its ports by link messages of its own family: a port that
// leaves it is not a device that is gone.
func TestDecode(t *testing.T) {
	message := func(family byte, flags uint32) []byte {
		b := make([]byte, unix.SizeofIfInfomsg)
		b[0], b[4] = family, 7
		binary.NativeEndian.PutUint32(b[8:], flags)
		return append(b, 9, 0, unix.IFLA_IFNAME, 0, 'e', 't', 'h', '0', 0, 0, 0, 0)
	}
	const up = unix.IFF_UP | unix.IFF_RUNNING
	for name, c := range map[string]struct {
		kind uint16
		b    []byte
		want event
		ok   bool
		bad  bool
	}{
		"running":        {unix.RTM_NEWLINK, message(unix.AF_UNSPEC, up), event{link: link{index: 7, name: "eth0", running: true}}, true, false},
		"no carrier":     {unix.RTM_NEWLINK, message(unix.AF_UNSPEC, unix.IFF_UP), event{link: link{index: 7, name: "eth0"}}, true, false},
		"gone":           {unix.RTM_DELLINK, message(unix.AF_UNSPEC, 0), event{link: link{index: 7, name: "eth0"}, gone: true}, true, false},
		"left a bridge":  {unix.RTM_DELLINK, message(unix.AF_BRIDGE, up), event{}, false, false},
		"without a name": {unix.RTM_NEWLINK, message(unix.AF_UNSPEC, up)[:unix.SizeofIfInfomsg], event{}, false, false},
		"not a link":     {unix.RTM_NEWADDR, message(unix.AF_UNSPEC, up), event{}, false, false},
		"short":          {unix.RTM_NEWLINK, make([]byte, 5), event{}, false, true},
	} {
		got, ok, err := decode(c.kind, c.b)
		if ok != c.ok || (err != nil) != c.bad || ok && got != c.want {
			t.Errorf("%s: %+v, %v, %v", name, got, ok, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b := make([]byte, unix.SizeofIfInfomsg)
	b[4], b[8] = 7, unix.IFF_UP|unix.IFF_RUNNING
	f.Add(append(b, 9, 0, unix.IFLA_IFNAME, 0, 'e', 't', 'h', '0', 0, 0, 0, 0, 12, 0, unix.IFLA_LINKINFO, 0, 8, 0, unix.IFLA_INFO_KIND, 0, 't', 'u', 'n', 0))
	f.Add(b[:5])
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok, err := decode(unix.RTM_NEWLINK, b)
		if ok && err == nil && (e.name == "" || len(b) < unix.SizeofIfInfomsg) {
			t.Fatalf("%+v from %d bytes", e, len(b))
		}
	})
}
