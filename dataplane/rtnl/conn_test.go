package rtnl

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/test/nettest"
)

// fake answers every request with what reply returns for the n-th one.
func fake(reply func(n int, req netlink.Message) ([]netlink.Message, error)) *Conn {
	n := 0
	return &Conn{fd: -1, nl: timeless{nltest.Dial(func(req []netlink.Message) ([]netlink.Message, error) {
		if len(req) == 0 { // the conn asks for more
			return nil, nil
		}
		n++
		return reply(n, req[0])
	})}}
}

// timeless is a fake socket, which has no deadlines.
type timeless struct{ *netlink.Conn }

func (timeless) SetDeadline(time.Time) error { return nil }

func answer(req netlink.Message, kind uint16, flags netlink.HeaderFlags, data ...byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: flags, Sequence: req.Header.Sequence, PID: nltest.PID},
		Data:   data,
	}
}

// A dump that was interrupted is made again, and what the first attempt
// brought is thrown away.
func TestInterruptedDump(t *testing.T) {
	c := fake(func(n int, req netlink.Message) ([]netlink.Message, error) {
		var flags netlink.HeaderFlags
		if n < 3 {
			flags = netlink.DumpInterrupted
		}
		return []netlink.Message{answer(req, unix.RTM_NEWNEIGH, flags, byte(n)), answer(req, unix.RTM_NEWLINK, 0, 99)}, nil
	})
	got, err := c.Dump(t.Context(), unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, nil)
	if err != nil || len(got) != 1 || got[0][0] != 3 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDumpInterruptedForEver(t *testing.T) {
	asked := 0
	c := fake(func(n int, req netlink.Message) ([]netlink.Message, error) {
		asked = n
		return []netlink.Message{answer(req, unix.RTM_NEWNEIGH, netlink.DumpInterrupted)}, nil
	})
	if _, err := c.Dump(t.Context(), unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, nil); !errors.Is(err, ErrInterrupted) || asked != dumpAttempts {
		t.Errorf("%v after %d attempts", err, asked)
	}
}

func TestErrnoIsTheKernels(t *testing.T) {
	c := fake(func(_ int, req netlink.Message) ([]netlink.Message, error) {
		return nltest.Error(int(unix.ENODEV), []netlink.Message{req})
	})
	for range 2 { // and the socket stays
		if err := c.Do(t.Context(), unix.RTM_NEWNEIGH, 0, nil); !errors.Is(err, unix.ENODEV) || c.nl == nil {
			t.Errorf("%v, socket kept: %v", err, c.nl != nil)
		}
	}
}

// After an answer was lost, the next one on the socket would be the wrong one.
func TestSocketIsReplacedAfterALostAnswer(t *testing.T) {
	l := nettest.New(t)
	l.Namespace("a")
	h, err := netns.Open(l.Dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	c, err := Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c.nl = fake(func(int, netlink.Message) ([]netlink.Message, error) { return nil, unix.ENOBUFS }).nl
	if err := c.Do(t.Context(), unix.RTM_GETLINK, 0, make([]byte, 16)); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("error %v", err)
	}
	if got, err := c.Dump(t.Context(), unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, 16)); err != nil || len(got) == 0 {
		t.Errorf("%d links, %v", len(got), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	time.Sleep(time.Millisecond)
	if _, err := c.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
