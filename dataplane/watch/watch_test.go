package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"neutron-ndp-proxy-agent/dataplane/watch"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far above what an event takes, and far below the rescan interval
// of these tests unless they say otherwise.
const patience = 5 * time.Second

type listener struct {
	t *testing.T
	*watch.Watcher
	stop func()
}

func start(t *testing.T, o watch.Options) *listener {
	t.Helper()
	if o.Logger == nil {
		o.Logger = zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	}
	if o.Rescan == 0 {
		o.Rescan = time.Minute
	}
	l := &listener{t: t, Watcher: watch.New(o)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	l.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(l.stop)
	return l
}

// expect waits for an event of the namespace with one of the causes and drops
// others.
func (l *listener) expect(ns string, causes ...string) {
	l.t.Helper()
	timeout := time.After(patience)
	var seen []watch.Event
	for {
		select {
		case e := <-l.Events():
			if e.Namespace == ns && slices.Contains(causes, e.Cause) {
				return
			}
			seen = append(seen, e)
		case <-timeout:
			l.t.Fatalf("no event %q of %s, but %v", causes, ns, seen)
		}
	}
}

// quiet drops events until none comes for a while.
func (l *listener) quiet() {
	l.t.Helper()
	for {
		select {
		case <-l.Events():
		case <-time.After(150 * time.Millisecond):
			return
		}
	}
}

// silent fails if an event comes.
func (l *listener) silent(what string) {
	l.t.Helper()
	select {
	case e := <-l.Events():
		l.t.Errorf("%s: event %+v", what, e)
	case <-time.After(200 * time.Millisecond):
	}
}

func TestNamespacesComeAndGo(t *testing.T) {
	lab := nettest.New(t)
	lab.Namespace("old")
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	l.Follow("old")
	l.expect("old", watch.CauseFollowed) // those that were there are not announced
	n := lab.Namespace("new")
	l.expect("new", watch.CauseAppeared)
	lab.Delete(n)
	l.expect("new", watch.CauseVanished)
}

// `ip netns add` makes the file long before it mounts; no event tells of the
// mount.
func TestHalfMade(t *testing.T) {
	lab := nettest.New(t)
	l := start(t, watch.Options{NetnsDir: lab.Dir, Rescan: time.Second})
	l.Follow("half")
	if err := os.WriteFile(filepath.Join(lab.Dir, "half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.silent("half made")
	if err := lab.Bind("half"); err != nil {
		t.Fatal(err)
	}
	l.expect("half", watch.CauseAppeared)
}

// A directory that appears later, as /run/netns with the first namespace.
func TestDirectoryAppears(t *testing.T) {
	lab := nettest.New(t)
	dir := lab.Dir
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l := start(t, watch.Options{NetnsDir: dir, Rescan: 50 * time.Millisecond})
	l.silent("no directory")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lab.Namespace("a")
	l.expect("a", watch.CauseAppeared)
}

func TestEventsInside(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	other := lab.Namespace("other")
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	n.Device("qg-1")
	l.expect("a", watch.CauseLink, watch.CauseSetting) // its settings come first
	l.quiet()
	for _, c := range []struct {
		cause string
		do    func()
	}{
		{watch.CauseAddress, func() { n.AddAddr("qg-1", "2001:db8::1/64") }},
		{watch.CauseAddress, func() { n.AddAddr("qg-1", "192.0.2.1/24") }},
		{watch.CauseAddress, func() { n.IP("address", "del", "192.0.2.1/24", "dev", "qg-1") }},
		{watch.CauseSetting, func() { n.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "1") }},
		{watch.CauseSetting, func() { n.Sysctl("net/ipv6/conf/qg-1/forwarding", "1") }},
		{watch.CauseLink, func() { n.IP("link", "set", "qg-1", "address", "02:00:00:00:00:99") }},
	} {
		c.do()
		l.expect("a", c.cause)
		l.quiet()
	}
	// What the kernel tells nobody.
	n.IP("-6", "neigh", "add", "proxy", "2001:db8::5", "dev", "qg-1")
	l.silent("proxy neighbour (the fact changed)")
	// Nobody follows the other one.
	other.Device("qg-1")
	l.silent("not followed")
	l.Unfollow("a")
	n.IP("link", "set", "qg-1", "down")
	l.silent("unfollowed")
}

// A namespace made again under its name, with no moment in which it was seen
// to be gone: the old one's events must not be taken for the new one's.
func TestMadeAgain(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	for range 5 {
		lab.Delete(n)
		n = lab.Namespace("a")
		timeout := time.After(patience)
		for again := false; !again; {
			select {
			case e := <-l.Events():
				again = e.Cause == watch.CauseReplaced || e.Cause == watch.CauseAppeared || e.Cause == watch.CauseFollowed
			case <-timeout:
				t.Fatal("not noticed")
			}
		}
		l.quiet()
		n.Device("qg-1")
		// The link or its settings: whichever was heard first names the event.
		l.expect("a", watch.CauseLink, watch.CauseSetting)
		l.quiet()
	}
}

// A follower must not keep a namespace alive that was deleted.
func TestDeletedNamespaceDies(t *testing.T) {
	lab := nettest.New(t)
	a, b := lab.Namespace("a"), lab.Namespace("b")
	lab.Veth(a, "qg-1", b, "peer")
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	lab.Delete(a)
	// With the namespace its end of the pair goes, and with it the other.
	nettest.Eventually(t, patience, "the namespace is gone", func() bool {
		_, err := b.Try("ip", "link", "show", "peer")
		return err != nil
	})
}
