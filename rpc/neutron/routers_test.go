package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

func names(n int) []string {
	var l []string
	for i := range n {
		l = append(l, fmt.Sprintf("r%d", i))
	}
	return l
}

// routersNamed is an answer of sync_routers.
func routersNamed(ids []string) any {
	list := []any{}
	for _, id := range ids {
		list = append(list, map[string]any{"id": id, "admin_state_up": true, "enable_ndp_proxy": true})
	}
	return list
}

func syncedIDs(t *testing.T, r *oslo.Request) []string {
	t.Helper()
	var a syncArgs
	if err := json.Unmarshal(r.Args, &a); err != nil || a.Host != "lab-host1" {
		t.Fatalf("sync_routers(%s): %v", r.Args, err)
	}
	return a.RouterIDs
}

// The chunks shrink until the server answers in time and grow again; nothing
// is asked for twice that was answered, and nothing is left out.
func TestRoutersChunks(t *testing.T) {
	slowAbove := 3
	var sizes []int
	s, client := newTestClient(t, Config{RouterChunk: 16, CallTimeout: 20 * time.Millisecond}, nil)
	s.answer = func(r *oslo.Request) (any, error) {
		l := syncedIDs(t, r)
		sizes = append(sizes, len(l))
		if len(l) > slowAbove {
			return nil, nil
		}
		return routersNamed(l), nil
	}
	want := names(20)
	check := func() {
		t.Helper()
		routers, bad, err := client.Routers(context.Background(), want)
		if err != nil || len(bad) > 0 {
			t.Fatal(err, bad)
		}
		var got []string
		for _, r := range routers {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check()
	if diff := cmp.Diff([]int{16, 8, 4, 2, 2, 2, 2, 4, 2, 2, 2, 2, 4, 2, 2}, sizes); diff != "" {
		t.Errorf("sizes while slow (-want +got):\n%s", diff)
	}
	slowAbove, sizes = 100, nil
	for range 4 {
		check()
	}
	if last := sizes[len(sizes)-2:]; last[0] != 16 || last[1] != 4 {
		t.Errorf("sizes when fast again: %v", sizes)
	}
}

func TestRoutersTooSlowForOne(t *testing.T) {
	_, client := newTestClient(t, Config{CallTimeout: 10 * time.Millisecond}, nil)
	_, _, err := client.Routers(context.Background(), names(4))
	if !errors.Is(err, oslo.ErrTimeout) {
		t.Fatalf("error %v", err)
	}
	_, _, other := client.Routers(context.Background(), []string{"r3", "r0"})
	if other == nil || other.Error() != err.Error() {
		t.Errorf("the same trouble is told as %q and %q", err, other)
	}
}

// Other failures are not a reason to ask for less, and give no half list.
func TestRoutersFailure(t *testing.T) {
	n := 0
	_, client := newTestClient(t, Config{RouterChunk: 2}, func(r *oslo.Request) (any, error) {
		if n++; n > 1 {
			return nil, amqp.ErrUnroutable
		}
		return routersNamed([]string{"r0", "r1"}), nil
	})
	routers, bad, err := client.Routers(context.Background(), names(4))
	if !errors.Is(err, amqp.ErrUnroutable) || routers != nil || bad != nil || n != 2 {
		t.Errorf("%v %v %v after %d calls", routers, bad, err, n)
	}
}
