package neutron

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// No routers and no agent look the same to get_router_ids; sync_routers tells.
func TestNoRouterIDs(t *testing.T) {
	unknown := &oslo.RemoteError{Class: "AgentNotFoundByTypeHost", Message: "Agent with host=lab-host1 could not be found."}
	for name, c := range map[string]struct {
		confirmed error // what sync_routers answers; nil: an empty list
		want      []string
	}{
		"no routers":    {nil, nil},
		"unknown host":  {unknown, []string{`no L3 agent is known for host "lab-host1"`, "`host` in neutron.conf", unknown.Message}},
		"another error": {&oslo.RemoteError{Class: "DBConnectionError"}, []string{`host "lab-host1"`, "could not be confirmed", "DBConnectionError"}},
		"no server":     {amqp.ErrUnroutable, []string{"could not be confirmed"}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			_, client := newTestClient(t, Config{}, func(r *oslo.Request) (any, error) {
				if r.Method == "get_router_ids" {
					return []string{}, nil
				}
				asked = syncedIDs(t, r)
				return []any{}, c.confirmed
			})
			ids, err := client.RouterIDs(context.Background())
			if diff := cmp.Diff([]string{"00000000-0000-0000-0000-000000000000"}, asked); diff != "" {
				t.Errorf("asked to confirm (-want +got):\n%s", diff)
			}
			var remote *oslo.RemoteError
			if errors.As(c.confirmed, &remote) {
				if !oslo.IsRemote(err, remote.Class) || ids != nil {
					t.Fatalf("%v, %v; want the error %v", ids, err, c.confirmed)
				}
			} else if !errors.Is(err, c.confirmed) || len(ids) != 0 {
				t.Fatalf("%v, %v; want the error %v", ids, err, c.confirmed)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %s", err, want)
				}
			}
		})
	}
}

// A list that is not empty needs no confirmation.
func TestRouterIDsAreOneCall(t *testing.T) {
	s, client := newTestClient(t, Config{}, func(*oslo.Request) (any, error) { return []string{"a", "b"}, nil })
	if ids, err := client.RouterIDs(context.Background()); err != nil || len(ids) != 2 || len(s.calls) != 1 {
		t.Errorf("%v, %v after %d calls", ids, err, len(s.calls))
	}
}
