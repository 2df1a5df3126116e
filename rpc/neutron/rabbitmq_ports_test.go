//go:build rabbitmq

package neutron_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

const (
	wantedPort = "0504f9e3-b21d-463e-8d4b-7ea0ac2e88a1"
	otherPort  = "59ae0db7-2281-4baa-9c77-80bf6e76865b"
)

// portExchanges are the exchanges of Port pushes that exist.
func portExchanges(t *testing.T, vhost string) (names []string) {
	t.Helper()
	for name := range broker.Exchanges(t, vhost) {
		if strings.HasPrefix(name, "neutron-vo-Port-") {
			names = append(names, name)
		}
	}
	return names
}

// portClient runs a client that wants one port, and a server that has it.
func portClient(t *testing.T, o neutrontest.Options, declared ...string) (string, *neutrontest.Server, *neutron.Client) {
	t.Helper()
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, o)
	s.SetPort(neutron.BoundPort{ID: wantedPort, NetworkID: "n", DeviceOwner: "compute:nova", Host: "h1", Revision: 1})
	must(t, s.DeclarePortFanouts(declared...))
	cfg := brokerConfig(vhost)
	cfg.WantPort = func(id string) bool { return id == wantedPort }
	c, _ := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	return vhost, s, c
}

func pull(t *testing.T, c *neutron.Client, host string) {
	t.Helper()
	ports, bad, err := c.Ports(context.Background(), []string{wantedPort, otherPort})
	if err != nil || len(bad) != 0 || len(ports) != 1 || ports[0].Host != host {
		t.Fatalf("%+v, %v, %v; want host %s", ports, bad, err, host)
	}
}

// moved expects the next event to be the move of the port.
func moved(t *testing.T, c *neutron.Client, host string, revision int) {
	t.Helper()
	e, before := await[neutron.PortsPushed](t, c)
	want := []neutron.BoundPort{{ID: wantedPort, NetworkID: "n", DeviceOwner: "compute:nova", Host: host, Revision: revision}}
	if diff := cmp.Diff(want, e.Ports); diff != "" || e.Kind != neutron.Updated || len(e.Malformed)+len(before) != 0 {
		t.Errorf("%+v after %s (-want +got):\n%s", e, kinds(before), diff)
	}
}

// Ports that somebody here wants are events, others are dropped; a deleted one
// has but its id.
func TestPortPushes(t *testing.T) {
	_, s, c := portClient(t, neutrontest.Options{}, "1.7")
	for range 5 {
		must(t, s.PushPort(neutron.Updated, neutron.BoundPort{ID: otherPort, Host: "h1"}))
	}
	must(t, s.MovePort(wantedPort, "h2"))
	moved(t, c, "h2", 2)
	pull(t, c, "h2")
	must(t, s.DeletePort(wantedPort))
	e, _ := await[neutron.PortsPushed](t, c)
	if diff := cmp.Diff([]neutron.BoundPort{{ID: wantedPort}}, e.Ports); diff != "" || e.Kind != neutron.Deleted {
		t.Errorf("%+v", e)
	}
	if st := c.Status(); st.Unwanted != 5 || st.Events != 2 {
		t.Errorf("status %+v", st)
	}
}

// No exchange of ports exists: none is made, and everything else works. One
// that appears later, made by whoever, is bound when asked for.
func TestPortExchangesAppear(t *testing.T) {
	vhost, s, c := portClient(t, neutrontest.Options{})
	ctx := context.Background()
	must(t, s.RouterDeleted("a"))
	await[neutron.RouterDeleted](t, c)
	for range 2 {
		must(t, c.Reprobe(ctx))
		pull(t, c, "h1")
	}
	if x := portExchanges(t, vhost); len(x) != 0 {
		t.Errorf("exchanges were made: %v", x)
	}
	must(t, s.DeclarePortFanouts("1.7"))
	if err := s.MovePort(wantedPort, "h2"); !errors.Is(err, neutrontest.ErrUnrouted) {
		t.Errorf("before it was asked for: %v", err)
	}
	for range 2 {
		must(t, c.Reprobe(ctx))
	}
	pull(t, c, "h2")
	must(t, s.MovePort(wantedPort, "h3"))
	moved(t, c, "h3", 3)
	if st := c.Status(); st.Losses != 0 || st.Events != 2 {
		t.Errorf("status %+v", st)
	}
}

// An exchange that is deleted under us is nobody's trouble, and the next one of
// its name is ours again.
func TestPortExchangesVanish(t *testing.T) {
	vhost, s, c := portClient(t, neutrontest.Options{}, "1.7")
	ctx := context.Background()
	pull(t, c, "h1")
	must(t, s.DeletePortFanouts("1.7"))
	must(t, c.Reprobe(ctx))
	must(t, s.RouterDeleted("a"))
	if _, before := await[neutron.RouterDeleted](t, c); len(before) != 0 {
		t.Errorf("events %s", kinds(before))
	}
	if x := portExchanges(t, vhost); len(x) != 0 {
		t.Errorf("exchanges were made: %v", x)
	}
	must(t, s.DeclarePortFanouts("1.7"))
	must(t, c.Reprobe(ctx))
	must(t, s.MovePort(wantedPort, "h2"))
	moved(t, c, "h2", 2)
}

// Servers of two releases, or L2 agents of two: everything comes twice, and is
// two events that say the same.
func TestPortsAtSeveralVersions(t *testing.T) {
	_, s, c := portClient(t, neutrontest.Options{PortVersion: "1.10"}, "1.7", "1.10")
	must(t, s.PushPort(neutron.Updated, neutron.BoundPort{ID: wantedPort, NetworkID: "n", DeviceOwner: "compute:nova", Host: "h2", Revision: 7}, "1.7", "1.10"))
	moved(t, c, "h2", 7)
	moved(t, c, "h2", 7)
}

// A release that we know nothing of tells its version with the first answer.
func TestPortsOfALaterRelease(t *testing.T) {
	_, s, c := portClient(t, neutrontest.Options{PortVersion: "1.23"}, "1.23")
	ctx := context.Background()
	pull(t, c, "h1")
	must(t, c.Reprobe(ctx))
	must(t, s.MovePort(wantedPort, "h2"))
	moved(t, c, "h2", 2)
	// From then on it is asked for at each set-up.
	must(t, broker.Stop())
	await[neutron.Disconnected](t, c)
	must(t, broker.Run())
	eventually(t, "the exchange", func() bool { return s.DeclarePortFanouts("1.23") == nil })
	await[neutron.Subscribed](t, c)
	must(t, c.Reprobe(ctx)) // the server may have been later than we
	must(t, s.MovePort(wantedPort, "h3"))
	moved(t, c, "h3", 3)
}

// Nobody wants ports any more: our queue leaves their exchanges.
func TestPortsSwitchedOff(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	must(t, s.DeclarePortFanouts("1.7", "1.8"))
	cfg := brokerConfig(vhost)
	cfg.WantPort = func(string) bool { return true }
	c, stop := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	must(t, s.PushPort(neutron.Updated, neutron.BoundPort{ID: wantedPort}))
	await[neutron.PortsPushed](t, c)
	stop()

	cfg.WantPort = nil
	c, _ = runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	must(t, c.Reprobe(context.Background()))
	must(t, s.DeclarePortFanouts("1.7")) // it went with us
	if err := s.PushPort(neutron.Updated, neutron.BoundPort{ID: wantedPort}); !errors.Is(err, neutrontest.ErrUnrouted) {
		t.Errorf("a Port push still finds a queue: %v", err)
	}
	must(t, s.Push(neutron.Created, proxyNo(1)))
	if _, before := await[neutron.ProxiesPushed](t, c); len(before) != 0 {
		t.Errorf("events %s", kinds(before))
	}
	time.Sleep(50 * time.Millisecond)
	if n := len(s.Calls("bulk_pull")); n != 0 {
		t.Errorf("%d pulls", n)
	}
}

func TestAgentModesByHost(t *testing.T) {
	_, s, c := portClient(t, neutrontest.Options{})
	s.SetAgentMode("h1", neutron.ModeDVR)
	s.SetAgentMode("h2", neutron.ModeDVRNoExternal)
	agents, bad, err := c.L3Agents(context.Background(), []string{"h1", "h2", "h3"})
	want := []neutron.Agent{{Host: "h1", Type: neutron.L3AgentType, Mode: neutron.ModeDVR},
		{Host: "h2", Type: neutron.L3AgentType, Mode: neutron.ModeDVRNoExternal}}
	if diff := cmp.Diff(want, agents); diff != "" || err != nil || len(bad) != 0 {
		t.Errorf("%v, %v (-want +got):\n%s", bad, err, diff)
	}
}
