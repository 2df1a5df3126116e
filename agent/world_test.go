package agent_test

import (
	stdcmp "cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source gives one snapshot at the start and then does what the test says.
type source struct {
	inv   *inventory.Inventory
	first inventory.Snapshot
	when  chan struct{} // nil: at once
}

func (s source) Run(ctx context.Context) error {
	select {
	case <-s.start():
		s.inv.Replace(s.first)
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

func (s source) start() chan struct{} {
	if s.when != nil {
		return s.when
	}
	now := make(chan struct{})
	close(now)
	return now
}

// owed records what was to be announced.
type owed struct {
	mu               sync.Mutex
	addrs, refreshed map[announcer.Target][]netip.Addr
}

func newOwed() *owed {
	return &owed{addrs: map[announcer.Target][]netip.Addr{}, refreshed: map[announcer.Target][]netip.Addr{}}
}

func (o *owed) Owe(t announcer.Target, addrs ...netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addrs[t] = append(o.addrs[t], addrs...)
}

func (o *owed) Retain(t announcer.Target, addrs ...netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addrs[t] = slices.DeleteFunc(o.addrs[t], func(a netip.Addr) bool { return !slices.Contains(addrs, a) })
}

func (o *owed) Drop(t announcer.Target) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.addrs, t)
}

func (o *owed) Kick(announcer.Target) {}

func (o *owed) Refresh(t announcer.Target, addrs ...netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refreshed[t] = append(o.refreshed[t], addrs...)
}

// Owing: nothing that is recorded is ever sent.
func (o *owed) Owing(ns string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for t, addrs := range o.addrs {
		if t.Namespace == ns && len(addrs) > 0 {
			return true
		}
	}
	return false
}

func (o *owed) on(ns string) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.addrs[announcer.Target{Namespace: ns, Device: nettest.External}])
}

// daemon is an agent on a real kernel.
type daemon struct {
	*agent.Agent
	owed *owed
	logs *observer.ObservedLogs
	stop func()
}

// troubled fails the first looks.
type troubled struct {
	agent.Dataplane
	looks atomic.Int32
	fails int32
	well  atomic.Bool
	with  syscall.Errno
}

// recover ends the failures.
func (k *troubled) recover() { k.well.Store(true) }

// doctored does as it is told instead of what it should.
type doctored struct {
	agent.Dataplane
	identify func(ns string) (dataplane.ID, error)
	observe  func()
	apply    func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error)
}

func (k *doctored) Identify(ns string) (dataplane.ID, error) {
	if k.identify != nil {
		return k.identify(ns)
	}
	return k.Dataplane.Identify(ns)
}

func (k *doctored) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	if k.observe != nil {
		k.observe()
	}
	return k.Dataplane.Observe(ctx, ns, depth)
}

func (k *doctored) Apply(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
	if k.apply != nil {
		return k.apply(ctx, c)
	}
	return k.Dataplane.Apply(ctx, c)
}

func (k *troubled) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	if k.looks.Add(1) <= k.fails && !k.well.Load() {
		return dataplane.Observation{}, fmt.Errorf("namespace %s: %w", ns, stdcmp.Or(k.with, syscall.EINTR))
	}
	return k.Dataplane.Observe(ctx, ns, depth)
}

type settings struct {
	scope  func(string) bool
	audit  time.Duration
	when   chan struct{}
	kernel agent.Dataplane
	plan   plan.Options
	// carrier is the host's.
	carrier chan struct{}
	// send advertises with the real engine instead of recording what is owed;
	// copies as often as that, 0 once.
	send   bool
	copies int
	pace   float64
	// engine advertises instead of either.
	engine *announcer.Announcer
	// announcer is used instead of all of these.
	announcer agent.Announcer
	// refresh and debts are the agent's.
	refresh time.Duration
	debts   string
	// retry is the first back-off; 0: a short one.
	retry  time.Duration
	looked func(agent.Look)
	pulse  *pulse.Monitor
	// twice: an address is served in two namespaces, which no source asks for, and
	// counts in each.
	twice bool
}

func start(t *testing.T, dir string, first inventory.Snapshot, s settings) *daemon {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core)
	kernel := dataplane.New(dataplane.Options{NetnsDir: dir, Logger: log})
	genuine := s.kernel == nil
	if s.kernel == nil {
		s.kernel = kernel
	}
	if s.audit == 0 {
		s.audit = time.Hour
	}
	if s.scope == nil {
		s.scope = func(string) bool { return true }
	}
	if s.retry == 0 {
		s.retry = 10 * time.Millisecond
	}
	d := &daemon{owed: newOwed(), logs: logs}
	var announces agent.Announcer = d.owed
	if s.send {
		engine := announcer.New(t.Context(), announcer.Options{
			Logger: log, Enter: kernel.Enter, Count: max(1, s.copies), Rate: s.pace,
			Gone:    func(err error) bool { return dataplane.Classify(err) == dataplane.ClassGone },
			Settled: func(t announcer.Target) { d.Settled(t.Namespace) },
		})
		s.engine = engine
	}
	if s.engine != nil {
		announces = s.engine
		t.Cleanup(s.engine.Close)
	}
	if s.announcer != nil {
		announces = s.announcer
	}
	d.Agent = agent.New(agent.Options{
		Scope: s.scope, Dataplane: s.kernel, Announcer: announces, Log: log, Plan: s.plan, Carrier: s.carrier, CarrierWait: carrierWait,
		Refresh: s.refresh, Debts: s.debts, Pulse: s.pulse, Looked: s.looked,
		Watcher: kernel.NewWatcher(dataplane.WatchOptions{Rescan: 500 * time.Millisecond}),
		Workers: 2, Audit: s.audit, RetryMin: s.retry, RetryMax: max(time.Second, s.retry),
		Jitter: func() float64 { return 0.5 },
	})
	// Not the test's own context: that one ends before the clean-up, which looks first.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, source{inv: d.Inventory(), first: first, when: s.when}) }()
	d.stop = sync.OnceFunc(func() {
		if !t.Failed() && genuine && !s.twice { // others may hang looks
			d.addUp(t)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
		if s.engine != nil {
			s.engine.Close()
		}
	})
	t.Cleanup(d.stop)
	return d
}

// addUp compares what is told of each router with the totals, once both have settled,
// unless something was never looked at: it is in no total.
func (d *daemon) addUp(t *testing.T) {
	t.Helper()
	var got, want agent.Totals
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		routers := d.Routers(agent.Wanted{Addresses: true})
		unseen := func(r agent.Router) bool {
			return slices.ContainsFunc(r.Attachments, func(at agent.Attachment) bool { return at.Looked.IsZero() }) ||
				slices.ContainsFunc(r.Addresses, func(a agent.Address) bool { return strings.Contains(a.Why, "since it was added") })
		}
		got, want = sums(routers), d.Totals()
		if got == want || slices.ContainsFunc(routers, unseen) {
			return
		}
	}
	t.Errorf("by its routers the agent has %+v, in total %+v: %+v", got, want, d.Namespaces())
}

// totals waits until the sums are as they should be: they are of the last look, which
// counts after it has written.
func (d *daemon) totals(t *testing.T, of string, want agent.Totals) {
	t.Helper()
	got := d.Totals()
	for until := time.Now().Add(2 * time.Second); got != want && time.Now().Before(until); got = d.Totals() {
		time.Sleep(10 * time.Millisecond)
	}
	if got != want {
		t.Errorf("%s: totals %+v, want %+v", of, got, want)
	}
}

func (d *daemon) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-d.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready within 10 s")
	}
}

// world is the topology and what Neutron would say of it.
func world(p *nettest.Topology, published ...netip.Addr) inventory.Snapshot {
	s := inventory.Snapshot{Routers: []inventory.Router{{
		ID: "r1", Enabled: true,
		External: []inventory.Attachment{{Namespace: "router", Device: nettest.External, Addrs: []netip.Addr{p.GatewayAddr}}},
		Subnets:  []inventory.Subnet{{Prefix: p.InternalNet, RouterAddrs: []netip.Addr{p.InternalAddr}}},
	}}}
	for _, a := range published {
		s.Proxies = append(s.Proxies, inventory.Proxy{ID: "p-" + a.String(), RouterID: "r1", Addr: a})
	}
	return s
}

func entries(p *nettest.Topology) string {
	return strings.TrimSpace(p.Router.Run("ip", "-6", "neigh", "show", "proxy"))
}

func tables(p *nettest.Topology) string {
	return strings.TrimSpace(p.Router.Run("nft", "list", "tables"))
}
