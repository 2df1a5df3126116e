package neutron_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// cloud is a server in memory.
type cloud struct {
	events chan rpc.Event

	mu       sync.Mutex
	routers  map[string]rpc.Router
	proxies  map[string]rpc.NDPProxy
	ports    map[string]rpc.BoundPort
	modes    map[string]string // of L3 agents, by host
	bad      []rpc.Malformed   // of the next Routers
	badProxy []rpc.Malformed   // of the next NDPProxies
	badPort  []rpc.Malformed   // of the next Ports
	badAgent []rpc.Malformed   // of the next L3Agents
	fail     error
	// failRouters is the error of Routers alone, failIDs that of RouterIDs.
	failRouters, failIDs error
	// failPorts is the error of Ports alone, failAgents that of L3Agents,
	// failProbe that of Reprobe.
	failPorts, failAgents, failProbe error
	failRenew                        error
	renewed                          int
	sickPorts                        []string // Ports fails if asked for one of them
	calls                            []string
	questions                        []string          // ids that Routers was asked for
	unlisted                         map[string]bool   // routers that RouterIDs does not list though Routers describes them
	listed                           []string          // routers that RouterIDs lists though there are none
	idsToo                           bool              // slow runs for RouterIDs, too
	stands                           bool              // an earlier run left something
	slow                             func(call string) // runs after the data was read, before the answer
}

func newCloud() *cloud {
	return &cloud{events: make(chan rpc.Event), routers: map[string]rpc.Router{}, proxies: map[string]rpc.NDPProxy{},
		ports: map[string]rpc.BoundPort{}, modes: map[string]string{}}
}

func (c *cloud) Events() <-chan rpc.Event { return c.events }

func (c *cloud) call(name string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf("%s(%d)", name, n))
	return c.fail
}

func (c *cloud) answer(name string) {
	c.mu.Lock()
	slow := c.slow
	c.mu.Unlock()
	if slow != nil {
		slow(name)
	}
}

func (c *cloud) RouterIDs(context.Context) ([]string, error) {
	if err := c.call("ids", 0); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.idsToo {
		defer c.answer("ids")
	}
	defer c.mu.Unlock()
	if c.failIDs != nil {
		return nil, c.failIDs
	}
	var ids []string
	for id := range c.routers {
		if !c.unlisted[id] {
			ids = append(ids, id)
		}
	}
	ids = append(ids, c.listed...)
	for _, m := range c.bad {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

func (c *cloud) Routers(_ context.Context, ids []string) (out []rpc.Router, bad []rpc.Malformed, err error) {
	if err := c.call("routers", len(ids)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	c.questions = append(c.questions, ids...)
	if err := c.failRouters; err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	for _, id := range ids {
		if r, ok := c.routers[id]; ok {
			out = append(out, r)
		}
	}
	bad = c.bad
	c.mu.Unlock()
	c.answer("routers")
	return out, bad, nil
}

func (c *cloud) NDPProxies(_ context.Context, ids []string) (out []rpc.NDPProxy, bad []rpc.Malformed, err error) {
	if err := c.call("proxies", len(ids)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	for _, p := range c.proxies {
		if slices.Contains(ids, p.RouterID) {
			out = append(out, p)
		}
	}
	bad = c.badProxy
	c.mu.Unlock()
	c.answer("proxies")
	return out, bad, nil
}

func (c *cloud) Ports(_ context.Context, ids []string) (out []rpc.BoundPort, bad []rpc.Malformed, err error) {
	if err := c.call("ports", len(ids)); err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	err = c.failPorts
	if c.sick(ids) {
		err = errSick
	}
	if err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	for _, id := range ids {
		unread := slices.ContainsFunc(c.badPort, func(m rpc.Malformed) bool { return m.ID == id })
		if p, ok := c.ports[id]; ok && !unread {
			out = append(out, p)
		}
	}
	bad = c.badPort
	c.mu.Unlock()
	c.answer("ports")
	return out, bad, nil
}

func (c *cloud) L3Agents(_ context.Context, hosts []string) (out []rpc.Agent, bad []rpc.Malformed, err error) {
	if err := c.call("agents", len(hosts)); err != nil {
		return nil, nil, err
	}
	defer c.answer("agents")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failAgents != nil {
		return nil, nil, c.failAgents
	}
	for _, h := range hosts {
		unread := slices.ContainsFunc(c.badAgent, func(m rpc.Malformed) bool { return m.ID == h || m.ID == "#0" })
		if mode, ok := c.modes[h]; ok && !unread {
			out = append(out, rpc.Agent{Host: h, Type: rpc.L3AgentType, Mode: mode})
		}
	}
	return out, c.badAgent, nil
}

func (c *cloud) Reprobe(context.Context) error {
	if err := c.call("probe", 0); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failProbe
}

func (c *cloud) Renew(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewed++
	return c.failRenew
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cloud) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func router(id string) rpc.Router {
	return rpc.Router{
		ID: id, AdminStateUp: true, EnableNDPProxy: true,
		Gateway: &rpc.Port{ID: "1b796465-2eaf-4049-960c-6a9b4c1d7be9", ScopeV6: "scope",
			FixedIPs: []rpc.FixedIP{{Addr: netip.MustParseAddr("192.0.2.2")}, {Addr: netip.MustParseAddr("2001:db8::2")}}},
		Interfaces: []rpc.Port{{
			ScopeV6:  "scope",
			FixedIPs: []rpc.FixedIP{{Addr: netip.MustParseAddr("2001:db8:0:1::1")}},
			Subnets:  []rpc.Subnet{{CIDR: netip.MustParsePrefix("2001:db8:0:1::/64")}, {CIDR: netip.MustParsePrefix("192.0.2.0/24")}},
		}},
	}
}

func proxy(id, routerID string, n int) rpc.NDPProxy {
	return rpc.NDPProxy{ID: id, RouterID: routerID, PortID: "port", Addr: netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", n))}
}

type setup struct {
	*cloud
	inv    *inventory.Inventory
	logs   *observer.ObservedLogs
	source *neutron.Source
}

// here is the host that the sources of the tests run on.
const here = "here"

// running runs a source beside a legacy L3 agent in a synctest bubble,
// subscribed and in sync.
func running(t *testing.T, fn func(s setup)) {
	t.Helper()
	runningAs(t, "", func(setup) {}, fn)
}

// runningAs does the same beside an agent of a mode, and prepares the cloud.
func runningAs(t *testing.T, mode string, prepare, fn func(s setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		s := setup{cloud: newCloud(), inv: inventory.New(func([]string) {}), logs: logs}
		s.routers[rid] = router(rid)
		s.proxies["p1"] = proxy("p1", rid, 1)
		prepare(s)
		src := neutron.New(neutron.Options{
			Server: s.cloud, Inventory: s.inv, Log: zap.New(core), Host: here, Mode: mode,
			Stands: func(context.Context) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.stands },
			Audit:  time.Minute, AuditRouters: 2, FullSync: time.Hour,
			RetryMin: time.Second, RetryMax: 30 * time.Second, Jitter: func() float64 { return 0.99 },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx) }()
		s.events <- rpc.Subscribed{}
		synctest.Wait()
		s.source = src
		fn(s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (s setup) published(t *testing.T) []string {
	t.Helper()
	e, ok := s.inv.Router(rid)
	if !ok {
		return nil
	}
	var out []string
	for _, p := range e.Proxies {
		out = append(out, p.ID)
	}
	return out
}

func (s setup) want(t *testing.T, what string, ids ...string) {
	t.Helper()
	if diff := cmp.Diff(ids, s.published(t)); diff != "" {
		t.Errorf("%s: proxies (-want +got):\n%s", what, diff)
	}
}
