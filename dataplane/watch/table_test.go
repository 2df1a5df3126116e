package watch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
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
