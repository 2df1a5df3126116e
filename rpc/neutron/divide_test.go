package neutron

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// The server fails whenever it is asked for one of the bad routers: they alone
// come back as malformed, and the calls are few.
func TestOneRouterLosesNoOther(t *testing.T) {
	boom := &oslo.RemoteError{Class: "KeyError", Message: "'network_id'"}
	for name, c := range map[string]struct {
		n, chunk int
		bad      []string
		calls    int
		err      bool
	}{
		"none":                {n: 256, chunk: 256, calls: 1},
		"one of two":          {n: 2, chunk: 256, bad: []string{"r1"}, calls: 3},
		"one of three":        {n: 3, chunk: 256, bad: []string{"r1"}, calls: 5},
		"one of many":         {n: 256, chunk: 256, bad: []string{"r77"}, calls: 17},
		"three of many":       {n: 256, chunk: 256, bad: []string{"r3", "r4", "r77"}, calls: 33},
		"the last, alone":     {n: 9, chunk: 4, bad: []string{"r8"}, calls: 3},
		"one in each chunk":   {n: 8, chunk: 4, bad: []string{"r0", "r5"}, calls: 10},
		"chunks of one":       {n: 12, chunk: 1, bad: []string{"r0", "r5"}, calls: 12},
		"a whole chunk":       {n: 8, chunk: 4, bad: []string{"r4", "r5", "r6", "r7"}, calls: 8, err: true},
		"all of few":          {n: 3, chunk: 256, bad: names(3), calls: 5, err: true},
		"all of many":         {n: 256, chunk: 256, bad: names(256), calls: 7, err: true},
		"all, chunks of one":  {n: 12, chunk: 1, bad: names(12), calls: 7, err: true},
		"two, chunks of one":  {n: 2, chunk: 1, bad: names(2), calls: 2, err: true},
		"one that is alone":   {n: 1, chunk: 256, bad: []string{"r0"}, calls: 1, err: true},
		"one in each quarter": {n: 256, chunk: 256, bad: []string{"r0", "r64", "r128", "r192"}, calls: 7, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := newTestClient(t, Config{RouterChunk: c.chunk}, nil)
			s.answer = func(r *oslo.Request) (any, error) {
				l := syncedIDs(t, r)
				for _, id := range l {
					if slices.Contains(c.bad, id) {
						return nil, boom
					}
				}
				return routersNamed(l), nil
			}
			routers, bad, err := client.Routers(context.Background(), names(c.n))
			if len(s.calls) != c.calls {
				t.Errorf("%d calls, want %d", len(s.calls), c.calls)
			}
			if c.err {
				if !oslo.IsRemote(err, "KeyError") || routers != nil || bad != nil {
					t.Fatalf("%d routers, %d malformed, %v; want the server's error alone", len(routers), len(bad), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got, gotBad []string
			for _, r := range routers {
				got = append(got, r.ID)
			}
			for _, b := range bad {
				gotBad = append(gotBad, b.ID)
				if !oslo.IsRemote(b.Err, "KeyError") || !strings.Contains(b.Err.Error(), b.ID) {
					t.Errorf("malformed %s: %v", b.ID, b.Err)
				}
			}
			slices.Sort(got)
			want := slices.DeleteFunc(names(c.n), func(id string) bool { return slices.Contains(c.bad, id) })
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("routers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.bad, gotBad); diff != "" {
				t.Errorf("malformed (-want +got):\n%s", diff)
			}
		})
	}
}

// Very many bad routers cost a bounded number of calls; each router is either
// returned or reported.
func TestDivisionIsBounded(t *testing.T) {
	s, client := newTestClient(t, Config{}, nil)
	s.answer = func(r *oslo.Request) (any, error) {
		l := syncedIDs(t, r)
		if slices.ContainsFunc(l, func(id string) bool { return len(id) == 4 }) { // r100 to r255
			return nil, &oslo.RemoteError{Class: "KeyError"}
		}
		return routersNamed(l), nil
	}
	routers, bad, err := client.Routers(context.Background(), names(256))
	if err != nil || len(s.calls) > 1+maxParts+1 || len(s.calls) < maxParts {
		t.Fatalf("%v after %d calls", err, len(s.calls))
	}
	seen := map[string]bool{}
	for _, r := range routers {
		seen[r.ID] = true
	}
	for _, b := range bad {
		if seen[b.ID] || b.Err == nil {
			t.Errorf("%s: both returned and malformed: %v", b.ID, b.Err)
		}
		seen[b.ID] = true
	}
	if len(seen) != 256 || len(routers) < 64 {
		t.Errorf("%d of 256 routers accounted for, %d returned", len(seen), len(routers))
	}
}

// What says nothing about a router fails the whole call, also when it comes
// while the parts are asked for.
func TestNotDivided(t *testing.T) {
	for name, c := range map[string]struct {
		first, then error
		calls       int
	}{
		"no L3 agent":      {&oslo.RemoteError{Class: "AgentNotFoundByTypeHost"}, nil, 1},
		"no server":        {amqp.ErrUnroutable, nil, 1},
		"agent gone":       {&oslo.RemoteError{Class: "KeyError"}, &oslo.RemoteError{Class: "AgentNotFoundByTypeHost"}, 2},
		"connection lost":  {&oslo.RemoteError{Class: "KeyError"}, amqp.ErrConnectionLost, 2},
		"no answer to one": {&oslo.RemoteError{Class: "KeyError"}, oslo.ErrTimeout, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := newTestClient(t, Config{}, nil)
			last := c.first
			s.answer = func(*oslo.Request) (any, error) {
				if last = c.first; len(s.calls) > 1 {
					last = c.then
				}
				return nil, last
			}
			routers, bad, err := client.Routers(context.Background(), names(8))
			var remote *oslo.RemoteError
			same := errors.Is(err, last)
			if errors.As(last, &remote) {
				same = oslo.IsRemote(err, remote.Class)
			}
			if !same || routers != nil || bad != nil || len(s.calls) != c.calls {
				t.Errorf("%v, %v, %v after %d calls; want %v after %d", routers, bad, err, len(s.calls), last, c.calls)
			}
		})
	}
}
