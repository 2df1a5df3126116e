//go:build rabbitmq

package neutron_test

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// Everything an agent asks, answered by a server over a real broker.
func TestCalls(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	router := neutron.Router{
		ID: "router-1", Name: "r", AdminStateUp: true, EnableNDPProxy: true, HA: true, HAState: "active", GatewayHost: testHost, Revision: 3,
		Gateway: &neutron.Port{ID: "gw", NetworkID: "ext", MAC: "fa:16:3e:00:00:01", HostID: testHost, ScopeV6: "scope",
			DeviceOwner: "network:router_gateway",
			FixedIPs:    []neutron.FixedIP{{SubnetID: "s1", Addr: netip.MustParseAddr("2001:db8::7"), PrefixLen: 64}},
			Subnets: []neutron.Subnet{{ID: "s1", CIDR: netip.MustParsePrefix("2001:db8::/64"),
				GatewayIP: netip.MustParseAddr("2001:db8::1")}}},
		Interfaces: []neutron.Port{{ID: "in", NetworkID: "int", MAC: "fa:16:3e:00:00:02", ScopeV6: "scope",
			FixedIPs: []neutron.FixedIP{{SubnetID: "s2", Addr: netip.MustParseAddr("2001:db8:1::1"), PrefixLen: 64}},
			Subnets:  []neutron.Subnet{{ID: "s2", CIDR: netip.MustParsePrefix("2001:db8:1::/64")}}}},
	}
	s.SetRouter(testHost, router)
	s.SetRouter("elsewhere", neutron.Router{ID: "router-2", AdminStateUp: true})
	bad := rawRouter(t)
	bad["id"], bad["_interfaces"] = "router-3", "nonsense"
	s.SetRawRouter(testHost, "router-3", bad)
	s.SetRawRouter(testHost, "captured", rawRouter(t))
	s.SetProxy(proxyNo(0))
	other := proxyNo(1)
	other.RouterID = "router-2"
	s.SetProxy(other)

	c, _ := runClient(t, brokerConfig(vhost))
	ctx := context.Background()
	ids, err := c.RouterIDs(ctx)
	must(t, err)
	if diff := cmp.Diff([]string{"router-1", "router-3", "captured"}, ids); diff != "" {
		t.Errorf("router ids (-want +got):\n%s", diff)
	}
	routers, malformed, err := c.Routers(ctx, []string{"router-1", "router-2", "router-3", "captured"})
	must(t, err)
	addrs := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if len(routers) != 2 || len(malformed) != 1 || malformed[0].ID != "router-3" {
		t.Fatalf("routers %+v, malformed %+v", routers, malformed)
	}
	if diff := cmp.Diff(router, routers[0], addrs); diff != "" {
		t.Errorf("router (-want +got):\n%s", diff)
	}
	proxies, malformed, err := c.NDPProxies(ctx, []string{"router-1", "router-3"})
	must(t, err)
	if diff := cmp.Diff([]neutron.NDPProxy{proxyNo(0)}, proxies, addrs); diff != "" || len(malformed) > 0 {
		t.Errorf("proxies, malformed %v (-want +got):\n%s", malformed, diff)
	}
	for _, want := range []string{neutron.ReportNew, neutron.ReportAlive} {
		got, err := c.ReportState(ctx, neutron.AgentState{Configurations: map[string]any{"extensions": []string{"ndp_proxy"}}})
		if err != nil || got != want {
			t.Errorf("report: %q, %v; want %q", got, err, want)
		}
	}
	if r := s.Reports(); len(r) != 2 || r[0]["agent_type"] != "NDP proxy agent" || r[0]["resource_versions"] != nil {
		t.Errorf("reports %v", r)
	}
	if calls := s.Calls("sync_routers"); len(calls) != 1 || !nearly(calls[0].Expiration, 5000) || calls[0].Version != "1.0" {
		t.Errorf("sync_routers: %+v", calls)
	}
}

// A server's failure, silence and absence are told apart, in time.
func TestCallFailures(t *testing.T) {
	vhost, url := broker.VHost(t)
	cfg := brokerConfig(vhost)
	cfg.CallTimeout = time.Second
	c, _ := runClient(t, cfg)
	ctx := context.Background()
	timed := func(limit time.Duration) error {
		t.Helper()
		began := time.Now()
		_, err := c.RouterIDs(ctx)
		if d := time.Since(began); d > limit {
			t.Errorf("ended after %v: %v", d, err)
		}
		if err == nil || !strings.Contains(err.Error(), "get_router_ids on q-l3-plugin") {
			t.Errorf("the call is not named: %v", err)
		}
		return err
	}
	await[neutron.Subscribed](t, c)
	if err := timed(time.Second); !errors.Is(err, amqp.ErrUnroutable) {
		t.Errorf("no server: %v", err)
	}
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.SetL3Agent(testHost, true)
	s.Fail("get_router_ids", "DBConnectionError", "the database is away", 1)
	var remote *oslo.RemoteError
	if err := timed(time.Second); !errors.As(err, &remote) || remote.Class != "DBConnectionError" ||
		remote.Message != "the database is away" || !oslo.IsRemote(err, "DBConnectionError") {
		t.Errorf("failure: %v", err)
	}
	s.Slow("get_router_ids", 1500*time.Millisecond)
	if err := timed(1300 * time.Millisecond); !errors.Is(err, oslo.ErrTimeout) {
		t.Errorf("slow server: %v", err)
	}
	eventually(t, "late reply counted", func() bool { return c.Status().StrayReplies == 1 })
	s.Slow("get_router_ids", 0)
	s.Mute("get_router_ids", true)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.RouterIDs(short); !errors.Is(err, oslo.ErrTimeout) || time.Since(began) > time.Second {
		t.Errorf("silent server: %v after %v", err, time.Since(began))
	}
	s.Mute("get_router_ids", false)
	if _, err := c.RouterIDs(ctx); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// A server that is too slow for many routers at once is asked for fewer.
func TestSlowSync(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	var ids []string
	for i := range 8 {
		id := proxyNo(i).ID
		ids = append(ids, id)
		s.SetRouter(testHost, neutron.Router{ID: id, AdminStateUp: true})
	}
	cfg := brokerConfig(vhost)
	cfg.CallTimeout, cfg.RouterChunk = 400*time.Millisecond, 8
	c, _ := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	s.Mute("sync_routers", true)
	done := make(chan error, 1)
	go func() {
		routers, _, err := c.Routers(context.Background(), ids)
		if err == nil && len(routers) != 8 {
			err = errors.New("routers missing")
		}
		done <- err
	}()
	eventually(t, "a second try", func() bool { return len(s.Calls("sync_routers")) == 2 })
	s.Mute("sync_routers", false)
	must(t, <-done)
	if n := len(s.Calls("sync_routers")); n < 4 || n > 6 {
		t.Errorf("%d calls", n)
	}
}

// Many calls at once each get their own answer.
func TestConcurrentCalls(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	for i := range 20 {
		s.SetRouter(testHost, neutron.Router{ID: proxyNo(i).ID, AdminStateUp: true})
	}
	c, _ := runClient(t, brokerConfig(vhost))
	errs := make(chan error, 20)
	for i := range 20 {
		go func() {
			id := proxyNo(i).ID
			r, _, err := c.Routers(context.Background(), []string{id})
			if err == nil && (len(r) != 1 || r[0].ID != id) {
				err = errors.New("somebody else's answer")
			}
			errs <- err
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A host without an L3 agent is no host without routers.
func TestUnknownHost(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.SetRouter("elsewhere", neutron.Router{ID: "router-1", AdminStateUp: true})
	c, _ := runClient(t, brokerConfig(vhost))
	ids, err := c.RouterIDs(context.Background())
	if !oslo.IsRemote(err, "AgentNotFoundByTypeHost") || !strings.Contains(err.Error(), testHost) {
		t.Errorf("%v, %v", ids, err)
	}
	s.SetL3Agent(testHost, true)
	if ids, err = c.RouterIDs(context.Background()); err != nil || len(ids) != 0 {
		t.Errorf("with an L3 agent: %v, %v", ids, err)
	}
}

// nearly reports whether an expiration is what is left, after some
// milliseconds, of the given ones.
func nearly(expiration string, ms int) bool {
	got, err := strconv.Atoi(expiration)
	return err == nil && got <= ms && got > ms-1000
}
