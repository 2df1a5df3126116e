package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

// fakeSource says what it is told.
type fakeSource struct {
	say    chan error
	closed chan struct{}
}

func (s *fakeSource) Receive() (string, error) {
	select {
	case err := <-s.say:
		return CauseLink, err
	case <-s.closed:
		return "", errors.New("closed")
	}
}

func (s *fakeSource) Close() error { close(s.closed); return nil }

// A failure is told when it comes, when it changes and when it ends, however
// often it is met.
func TestFailureIsToldOnce(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	failure := error(unix.EPERM)
	tb := newTable(tableOptions{
		log: zap.New(core), rescan: time.Minute, mark: func(string, string) {},
		list:     func() ([]string, error) { return []string{"a"}, nil },
		identify: func(string) (netns.ID, error) { return netns.ID{Ino: 1}, nil },
		open: func(string) (source, netns.ID, error) {
			if failure != nil {
				return nil, netns.ID{}, failure
			}
			return &fakeSource{say: make(chan error), closed: make(chan struct{})}, netns.ID{Ino: 1}, nil
		},
	})
	defer tb.stop()
	tb.follow("a")
	for _, c := range []struct {
		err  error
		want int
	}{{unix.EPERM, 1}, {netns.ErrNotReady, 0}, {unix.EPERM, 0}, {unix.EMFILE, 1}, {nil, 1}} {
		failure = c.err
		for range 5 {
			if settled := tb.scan(); settled != (c.err == nil) {
				t.Errorf("settled: %v with %v", settled, c.err)
			}
		}
		if got := logs.TakeAll(); len(got) != c.want {
			t.Errorf("%v is told %d times: %v", c.err, len(got), got)
		}
	}
	tb.list = func() ([]string, error) { return nil, unix.EACCES }
	for range 5 {
		tb.scan()
	}
	if got := logs.TakeAll(); len(got) != 1 {
		t.Errorf("told %d times", len(got))
	}
}

// Lost events are one event, and the subscription stands again.
func TestLostEvents(t *testing.T) {
	var mu sync.Mutex
	var marks []string
	sources := make(chan *fakeSource, 10)
	failures := 2
	tb := newTable(tableOptions{
		log: zap.NewNop(), rescan: time.Minute,
		mark:     func(ns, cause string) { mu.Lock(); defer mu.Unlock(); marks = append(marks, ns+": "+cause) },
		list:     func() ([]string, error) { return []string{"a"}, nil },
		identify: func(string) (netns.ID, error) { return netns.ID{Ino: 1}, nil },
		open: func(string) (source, netns.ID, error) {
			if failures > 0 { // too many open files: tried again soon
				failures--
				return nil, netns.ID{}, unix.EMFILE
			}
			s := &fakeSource{say: make(chan error), closed: make(chan struct{})}
			sources <- s
			return s, netns.ID{Ino: 1}, nil
		},
	})
	tb.follow("a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tb.run(ctx) }()
	first := <-sources
	first.say <- nil
	first.say <- unix.ENOBUFS
	second := <-sources
	select {
	case <-first.closed:
	default:
		t.Error("the first subscription is still open")
	}
	second.say <- nil
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	<-second.closed
	want := []string{"a: " + CauseFollowed, "a: " + CauseLink, "a: " + CauseLost, "a: " + CauseFollowed, "a: " + CauseLink}
	// The reader may be heard before the scan that started it.
	slices.Sort(want)
	slices.Sort(marks)
	if !slices.Equal(marks, want) {
		t.Errorf("marks %q, want %q", marks, want)
	}
}
