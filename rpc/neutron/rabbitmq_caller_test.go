//go:build rabbitmq

package neutron_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// A caller asks, hears nothing, and leaves the broker as it was.
func TestCaller(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	heartbeat := time.Now().UTC().Truncate(time.Second)
	want := neutron.Reported{ID: "agent-1", Host: testHost, Type: neutron.L3AgentType, Binary: "neutron-l3-agent", AdminUp: true,
		Heartbeat: heartbeat, Mode: neutron.ModeDVRSNAT, Extensions: []string{"ndp_proxy"}}
	s.SetAgent(want)
	var before map[string]any
	broker.API(t, "GET", "/api/definitions/"+vhost, nil, &before)
	cfg := brokerConfig(vhost)
	c, err := neutron.NewCaller(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	plugins, err := c.ServicePlugins(ctx)
	if err != nil || !cmp.Equal(plugins, []string{"CORE", "L3_ROUTER_NAT", "NDPPROXY"}) {
		t.Errorf("plugins %v, %v", plugins, err)
	}
	reports, bad, err := c.Reports(ctx, []string{testHost, "elsewhere"})
	must(t, err)
	if diff := cmp.Diff([]neutron.Reported{want}, reports); diff != "" || len(bad) > 0 {
		t.Errorf("reports, malformed %v (-want +got):\n%s", bad, diff)
	}
	for name := range broker.Queues(t, vhost) {
		if strings.HasPrefix(name, neutron.DefaultBinary) {
			t.Errorf("a caller made the queue %s", name)
		}
	}
	cancel()
	must(t, <-done)
	var after map[string]any
	broker.API(t, "GET", "/api/definitions/"+vhost, nil, &after)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("exchanges, queues and bindings (-before +after):\n%s", diff)
	}
	queues := broker.Queues(t, vhost)
	replies := 0
	for name := range queues {
		if strings.HasPrefix(name, "reply_") {
			replies++
		}
	}
	if replies != 1 { // the stand-in's own
		t.Errorf("queues that are left: %v", queues)
	}
}
