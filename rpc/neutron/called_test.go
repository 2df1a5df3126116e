package neutron

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// Each call is told of, once, by a name of the list and with its error; on the wire
// it has the server's name.
func TestCallsAreCounted(t *testing.T) {
	refused := errors.New("refused")
	var told []string
	s, c := newTestClient(t, Config{Called: func(m Method, took time.Duration, err error) {
		if took < 0 {
			t.Errorf("%s took %v", m, took)
		}
		told = append(told, fmt.Sprint(m, " ", Classify(err)))
	}}, func(r *oslo.Request) (any, error) {
		switch r.Method {
		case "get_router_ids":
			return nil, refused
		case "report_state":
			return "alive", nil
		}
		return []any{}, nil
	})
	ctx := context.Background()
	if _, err := c.RouterIDs(ctx); !errors.Is(err, refused) {
		t.Error(err)
	}
	ids := []string{"id"}
	_, _, routers := c.Routers(ctx, ids)
	_, _, proxies := c.NDPProxies(ctx, ids)
	_, _, ports := c.Ports(ctx, ids)
	_, _, agents := c.L3Agents(ctx, ids)
	_, report := c.ReportState(ctx, AgentState{})
	if err := errors.Join(routers, proxies, ports, agents, report); err != nil {
		t.Error(err)
	}
	want := []string{"get_router_ids other", "sync_routers ", "bulk_pull:NDPProxy ", "bulk_pull:Port ", "bulk_pull:Agent ", "report_state "}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	var wire []string
	for _, r := range s.calls {
		wire = append(wire, r.Method)
	}
	if diff := cmp.Diff([]string{"get_router_ids", "sync_routers", "bulk_pull", "bulk_pull", "bulk_pull", "report_state"}, wire); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
	if len(Methods()) != len(told) {
		t.Errorf("%d methods are listed, %d were called", len(Methods()), len(told))
	}
}

func TestClassify(t *testing.T) {
	for want, err := range map[Class]error{
		"": nil, ClassTimeout: oslo.ErrTimeout, ClassDisconnected: amqp.ErrConnectionLost, ClassBlocked: amqp.ErrBlocked,
		ClassUnroutable: amqp.ErrUnroutable, ClassRemote: &oslo.RemoteError{Class: "X"}, ClassOther: context.Canceled,
		// Sent, perhaps, and not answered for a reason that is known.
		ClassRefused: fmt.Errorf("%w: %w", oslo.ErrTimeout, amqp.ErrUnconfirmed),
	} {
		if err != nil {
			err = fmt.Errorf("call x: %w", err)
		}
		if got := Classify(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
