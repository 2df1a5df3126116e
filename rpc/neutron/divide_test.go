package neutron

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// isProbe tells whether a call asks for no router.
func isProbe(ids []string) bool { return slices.Equal(ids, []string{nothing}) }

// The server fails whenever it is asked for one of the bad routers, but is
// well: they alone come back as malformed, and the calls are few.
func TestSickRouterLosesNoOther(t *testing.T) {
	boom := &oslo.RemoteError{Class: "KeyError", Message: "'network_id'"}
	for name, c := range map[string]struct {
		n, chunk int
		bad      []string
		calls    int
	}{
		"none":                {n: 256, chunk: 256, calls: 1},
		"one that is alone":   {n: 1, chunk: 256, bad: []string{"r0"}, calls: 3},
		"one of two":          {n: 2, chunk: 256, bad: []string{"r1"}, calls: 4},
		"one of three":        {n: 3, chunk: 256, bad: []string{"r1"}, calls: 6},
		"one of many":         {n: 256, chunk: 256, bad: []string{"r77"}, calls: 18},
		"three of many":       {n: 256, chunk: 256, bad: []string{"r3", "r4", "r77"}, calls: 34},
		"every other":         {n: 8, chunk: 256, bad: []string{"r0", "r2", "r4", "r6"}, calls: 16},
		"one in each quarter": {n: 256, chunk: 256, bad: []string{"r0", "r64", "r128", "r192"}, calls: 56},
		"the last, alone":     {n: 9, chunk: 4, bad: []string{"r8"}, calls: 5},
		"one in each chunk":   {n: 8, chunk: 4, bad: []string{"r0", "r5"}, calls: 11},
		"in six of ten chunks": {n: 640, chunk: 64, bad: []string{"r0", "r65", "r130", "r200", "r300", "r639"},
			calls: 10 + 1 + 6*12},
		"chunks of one":          {n: 12, chunk: 1, bad: []string{"r0", "r5"}, calls: 15},
		"a whole chunk":          {n: 8, chunk: 4, bad: []string{"r4", "r5", "r6", "r7"}, calls: 9},
		"all of few":             {n: 3, chunk: 256, bad: names(3), calls: 6},
		"all, chunks of one":     {n: 12, chunk: 1, bad: names(12), calls: 25},
		"all of many":            {n: 256, chunk: 256, bad: names(256), calls: 2 + maxParts},
		"many, chunks of one":    {n: 200, chunk: 1, bad: names(150), calls: 200 + 1 + maxParts},
		"a chunk of two and one": {n: 3, chunk: 2, bad: []string{"r2"}, calls: 4},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := newTestClient(t, Config{RouterChunk: c.chunk}, nil)
			s.answer = func(r *oslo.Request) (any, error) {
				l := syncedIDs(t, r)
				if isProbe(l) {
					return []any{}, nil
				}
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
			if err != nil {
				t.Fatal(err)
			}
			got, gotBad := []string{}, []string(nil)
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
			slices.Sort(gotBad)
			wantBad := slices.Sorted(slices.Values(c.bad))
			if diff := cmp.Diff(wantBad, gotBad); diff != "" {
				t.Errorf("malformed (-want +got):\n%s", diff)
			}
		})
	}
}

// Very many bad routers cost a bounded number of calls; each router is either
// returned or reported, and what comes after them is asked for.
func TestDivisionIsBounded(t *testing.T) {
	s, client := newTestClient(t, Config{RouterChunk: 256}, nil)
	s.answer = func(r *oslo.Request) (any, error) {
		l := syncedIDs(t, r)
		if slices.ContainsFunc(l, func(id string) bool { return len(id) == 4 && id < "r256" }) { // r100 to r255
			return nil, &oslo.RemoteError{Class: "KeyError"}
		}
		return routersNamed(l), nil
	}
	routers, bad, err := client.Routers(context.Background(), names(512))
	if want := 2 + 1 + maxParts; err != nil || len(s.calls) != want {
		t.Fatalf("%v after %d calls, want %d", err, len(s.calls), want)
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
	if len(seen) != 512 || len(routers) < 256+96 {
		t.Errorf("%d of 512 routers accounted for, %d returned", len(seen), len(routers))
	}
}

// A failure that passes is no router's fault, also for one that is alone.
func TestPassingFailure(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		s, client := newTestClient(t, Config{}, nil)
		s.answer = func(r *oslo.Request) (any, error) {
			if len(s.calls) == 1 {
				return nil, &oslo.RemoteError{Class: "DBDeadlock"}
			}
			return routersNamed(syncedIDs(t, r)), nil
		}
		routers, bad, err := client.Routers(context.Background(), names(n))
		if err != nil || len(routers) != n || len(bad) > 0 {
			t.Errorf("%d of %d routers, malformed %v, %v", len(routers), n, bad, err)
		}
	}
}

// What says nothing about a router fails the whole call, also when it comes
// instead of the confirmation or while the parts are asked for. The text is
// the same however many routers are asked for, and in whichever order.
func TestNotDivided(t *testing.T) {
	sick, gone := &oslo.RemoteError{Class: "KeyError"}, &oslo.RemoteError{Class: noAgent}
	for name, c := range map[string]struct {
		answers []error // nil: an empty list; the last is the error
	}{
		"no L3 agent":             {[]error{gone}},
		"no server":               {[]error{amqp.ErrUnroutable}},
		"sick server":             {[]error{sick, &oslo.RemoteError{Class: "DBConnectionError"}}},
		"agent gone":              {[]error{sick, gone}},
		"connection lost":         {[]error{sick, amqp.ErrConnectionLost}},
		"no answer":               {[]error{sick, oslo.ErrTimeout}},
		"agent gone later":        {[]error{sick, nil, gone}},
		"connection lost later":   {[]error{sick, nil, amqp.ErrConnectionLost}},
		"no answer to some later": {[]error{sick, nil, oslo.ErrTimeout}},
	} {
		t.Run(name, func(t *testing.T) {
			last := c.answers[len(c.answers)-1]
			backwards := names(8)
			slices.Reverse(backwards)
			var text string
			for _, asked := range [][]string{names(8), backwards, names(1)} {
				s, client := newTestClient(t, Config{}, nil)
				s.answer = func(*oslo.Request) (any, error) {
					return []any{}, c.answers[min(len(s.calls), len(c.answers))-1]
				}
				routers, bad, err := client.Routers(context.Background(), asked)
				var remote *oslo.RemoteError
				same := errors.Is(err, last)
				if errors.As(last, &remote) {
					same = oslo.IsRemote(err, remote.Class)
				}
				if !same || routers != nil || bad != nil || len(s.calls) != len(c.answers) {
					t.Fatalf("%v, %v, %v after %d calls; want %v after %d", routers, bad, err, len(s.calls), last, len(c.answers))
				}
				if text == "" {
					text = err.Error()
				}
				if err.Error() != text {
					t.Errorf("error %q, and for other routers %q", text, err)
				}
				if len(c.answers) > 1 && !isProbe(syncedIDs(t, s.calls[1])) {
					t.Errorf("second call %s, want one for no router", s.calls[1].Args)
				}
			}
		})
	}
}

// Trouble is bounded in time, too: neither is a server that is too slow asked
// for ever less in one question, nor one sick object looked for among slow
// answers without end. The next question goes on where the last one ended.
func TestTroubleIsBoundedInTime(t *testing.T) {
	now := someTime
	cfg := Config{CallTimeout: time.Minute, Now: func() time.Time { return now }}
	s, client := newTestClient(t, cfg, nil)
	most := 16 // how many routers the server can describe in time
	s.answer = func(r *oslo.Request) (any, error) {
		if l := syncedIDs(t, r); len(l) <= most {
			now = now.Add(time.Second)
			return routersNamed(l), nil
		}
		now = now.Add(time.Minute)
		return nil, oslo.ErrTimeout
	}
	for n := 1; ; n++ {
		began := now
		routers, _, err := client.Routers(context.Background(), names(256))
		// The last one, beside its answers, tries a larger size now and then.
		if took := now.Sub(began); err != nil && took > 3*time.Minute {
			t.Fatalf("question %d took %v", n, took)
		}
		if err == nil {
			if len(routers) != 256 || n != 2 {
				t.Errorf("%d routers with question %d", len(routers), n)
			}
			break
		}
		if !errors.Is(err, oslo.ErrTimeout) || n > 2 {
			t.Fatalf("question %d: %v", n, err)
		}
	}

	s, client = newTestClient(t, cfg, nil)
	s.answer = func(r *oslo.Request) (any, error) {
		now = now.Add(50 * time.Second)
		l := syncedIDs(t, r)
		if slices.Contains(l, "r77") {
			return nil, &oslo.RemoteError{Class: "KeyError"}
		}
		if isProbe(l) {
			return []any{}, nil
		}
		return routersNamed(l), nil
	}
	began := now
	routers, bad, err := client.Routers(context.Background(), names(256))
	if took := now.Sub(began); err != nil || took > 6*time.Minute || len(routers)+len(bad) != 256 || len(routers) < 128 {
		t.Errorf("%d routers, %d malformed, %v after %v", len(routers), len(bad), err, took)
	}
}
