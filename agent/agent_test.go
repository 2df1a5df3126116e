package agent_test

import (
	stdcmp "cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
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
	mu    sync.Mutex
	addrs map[announcer.Target][]netip.Addr
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
	with  syscall.Errno
}

func (k *troubled) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	if k.looks.Add(1) <= k.fails {
		return dataplane.Observation{}, fmt.Errorf("namespace %s: %w", ns, stdcmp.Or(k.with, syscall.EINTR))
	}
	return k.Dataplane.Observe(ctx, ns, depth)
}

type settings struct {
	scope  func(string) bool
	audit  time.Duration
	when   chan struct{}
	kernel agent.Dataplane
}

func start(t *testing.T, dir string, first inventory.Snapshot, s settings) *daemon {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core)
	kernel := dataplane.New(dataplane.Options{NetnsDir: dir, Logger: log})
	if s.kernel == nil {
		s.kernel = kernel
	}
	if s.audit == 0 {
		s.audit = time.Hour
	}
	if s.scope == nil {
		s.scope = func(string) bool { return true }
	}
	d := &daemon{owed: &owed{addrs: map[announcer.Target][]netip.Addr{}}, logs: logs}
	d.Agent = agent.New(agent.Options{
		Scope: s.scope, Dataplane: s.kernel, Announcer: d.owed, Log: log,
		Watcher: kernel.NewWatcher(dataplane.WatchOptions{Rescan: 500 * time.Millisecond}),
		Workers: 2, Audit: s.audit, RetryMin: 10 * time.Millisecond, RetryMax: time.Second,
		Jitter: func() float64 { return 0.5 },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, source{inv: d.Inventory(), first: first, when: s.when}) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
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

func TestPublishesAndWithdraws(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	if diff := cmp.Diff([]string{p.InstanceAddr.String()}, texts(d.owed.on("router"))); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	other := p.InstanceAddr.Next()
	p.Instance.AddAddr("eth0", other.String()+"/64")
	p.Upstream.Unreachable(other)
	d.Inventory().SetProxy(inventory.Proxy{ID: "p2", RouterID: "r1", Addr: other})
	p.Upstream.Reaches(other, 5*time.Second) // the upstream waits 1 s between solicitations
	d.Inventory().RemoveProxy(inventory.Proxy{ID: "p-" + p.InstanceAddr.String(), RouterID: "r1", Addr: p.InstanceAddr})
	nettest.Eventually(t, 2*time.Second, "the entry to go", func() bool { return !strings.Contains(entries(p), p.InstanceAddr.String()+" ") })
	p.Upstream.FlushNeighbours("eth0")
	p.Upstream.Unreachable(p.InstanceAddr)
	p.Upstream.Reaches(other, time.Second)
	if diff := cmp.Diff([]string{other.String()}, texts(d.owed.on("router"))); diff != "" {
		t.Errorf("still owed (-want +got):\n%s", diff)
	}
	d.Inventory().Replace(inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "everything to go", func() bool { return entries(p) == "" && tables(p) == "" })
	if c := d.Totals(); c != (agent.Totals{}) {
		t.Errorf("totals %+v of nothing", c)
	}
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// The neighbours hold the old link-layer address until they are told.
func TestANewLinkLayerAddressIsAnnounced(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	nettest.Eventually(t, time.Second, "the first announcement", func() bool { return len(d.owed.on("router")) == 1 })
	for n := range 2 {
		p.Router.IP("link", "set", nettest.External, "address", fmt.Sprintf("02:00:00:00:be:0%d", n))
		nettest.Eventually(t, 2*time.Second, "another announcement", func() bool { return len(d.owed.on("router")) == n+2 })
	}
}

// What others left is said once and left alone.
func TestStrangersAreNamed(t *testing.T) {
	p := nettest.NewTopology(t)
	p.Router.IP("-6", "neigh", "add", "proxy", "2001:db8:0:2::99", "dev", nettest.External)
	p.Router.Sysctl("net/ipv6/conf/all/proxy_ndp", "1")
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{audit: 50 * time.Millisecond})
	d.awaitReady(t)
	time.Sleep(200 * time.Millisecond)
	said := d.logs.FilterMessageSnippet("left alone").All()
	if len(said) != 1 {
		t.Fatalf("said %d times", len(said))
	}
	what, _ := said[0].ContextMap()["what"].(string)
	if !strings.Contains(what, "2001:db8:0:2::99") || !strings.Contains(what, "all.proxy_ndp") {
		t.Errorf("said %q", what)
	}
	if !strings.Contains(entries(p), "2001:db8:0:2::99") {
		t.Error("the stranger's entry was removed")
	}
}

// One namespace under two names is not a leftover of itself.
func TestASecondNameOfANamespace(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{audit: 50 * time.Millisecond})
	d.awaitReady(t)
	alias := filepath.Join(p.Dir, "debug")
	if err := os.WriteFile(alias, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(p.Dir, "router"), alias, "none", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond) // several sweeps
	if n := d.logs.FilterMessage("withdrawn").Len(); n != 0 {
		t.Errorf("withdrawn %d times under the other name", n)
	}
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
}

// A restart with everything in place writes and announces nothing, and what
// was deleted meanwhile goes.
func TestRestart(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	second := p.InstanceAddr.Next()
	first := start(t, p.Dir, world(p, p.InstanceAddr, second), settings{})
	first.awaitReady(t)
	first.stop()
	if !strings.Contains(entries(p), second.String()) {
		t.Fatal("stopping the agent withdrew an address")
	}
	p.Router.IP("-6", "neigh", "add", "proxy", "2001:db8:0:9::1", "dev", nettest.Internal)

	again := start(t, p.Dir, world(p, p.InstanceAddr, second), settings{})
	again.awaitReady(t)
	if n := again.owed.on("router"); len(n) != 0 {
		t.Errorf("a plain restart announces %v", n)
	}
	if n := again.logs.FilterMessage("answering").Len(); n != 0 {
		t.Error("a plain restart wrote to the kernel")
	}
	again.stop()

	fewer := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	fewer.awaitReady(t)
	want := "2001:db8:0:9::1 dev qr-1 proxy \n" + p.InstanceAddr.String() + " dev qg-1 proxy proto 110"
	if got := entries(p); !sameLines(got, want) {
		t.Errorf("entries when ready:\n%s\nwant:\n%s", got, want)
	}
	fewer.stop()

	none := start(t, p.Dir, inventory.Snapshot{}, settings{})
	none.awaitReady(t)
	if got := entries(p); !sameLines(got, "2001:db8:0:9::1 dev qr-1 proxy") || tables(p) != "" {
		t.Errorf("a namespace that nobody names any more has %s, tables %s", got, tables(p))
	}
}

func sameLines(a, b string) bool {
	split := func(s string) []string {
		var out []string
		for l := range strings.Lines(s) {
			out = append(out, strings.Join(strings.Fields(l), " "))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(split(a), split(b))
}

// Until the source is in sync, what it does not name may be unknown only.
func TestNothingIsSweptBeforeTheSync(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	first := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	first.awaitReady(t)
	first.stop()
	in := make(chan struct{})
	d := start(t, p.Dir, inventory.Snapshot{}, settings{audit: 20 * time.Millisecond, when: in})
	d.LookAgain()
	time.Sleep(300 * time.Millisecond)
	select {
	case <-d.Ready():
		t.Error("ready before the sync")
	default:
	}
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	close(in)
	d.awaitReady(t)
	p.Upstream.FlushNeighbours("eth0")
	p.Upstream.Unreachable(p.InstanceAddr)
}

// Ready means applied, also when the first tries fail.
func TestReadyIsNotTooEarly(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &troubled{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), fails: 2}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	d.awaitReady(t)
	if k.looks.Load() <= k.fails || !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Errorf("ready after %d looks, with entries %q", k.looks.Load(), entries(p))
	}
	if n := d.logs.FilterMessageSnippet("can't be made").Len(); n != 0 {
		t.Errorf("what passed by itself was called an error %d times", n)
	}
}

// Without the permission to do anything, nothing is ready.
func TestForbiddenIsNotReady(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &troubled{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), fails: 1 << 30, with: syscall.EPERM}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	nettest.Eventually(t, 5*time.Second, "more tries", func() bool { return k.looks.Load() > 6 })
	select {
	case <-d.Ready():
		t.Error("ready")
	default:
	}
	if n := d.logs.FilterMessageSnippet("can't be made").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// One that fails for good is said once and does not keep the rest from being ready.
func TestATroubleThatStays(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &troubled{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), fails: 1 << 30}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	d.awaitReady(t)
	nettest.Eventually(t, 5*time.Second, "more tries", func() bool { return k.looks.Load() > 6 })
	if n := d.logs.FilterMessageSnippet("can't be made").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
	if got := d.Totals(); got.Failed != 1 {
		t.Errorf("totals %+v", got)
	}
}

// A namespace outside of the source's scope belongs to somebody else, who may
// be a daemon of this program.
func TestOtherNamespacesAreLeftAlone(t *testing.T) {
	p := nettest.NewTopology(t)
	first := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	first.awaitReady(t)
	first.stop()
	d := start(t, p.Dir, inventory.Snapshot{}, settings{scope: func(string) bool { return false }, audit: 50 * time.Millisecond})
	d.awaitReady(t)
	time.Sleep(300 * time.Millisecond)
	if !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Error("an entry of another daemon was removed")
	}
}

// What the source could not describe is not swept either.
func TestAHeldNamespaceIsNotSwept(t *testing.T) {
	p := nettest.NewTopology(t)
	first := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	first.awaitReady(t)
	first.stop()
	d := start(t, p.Dir, inventory.Snapshot{Held: map[string][]string{"r1": {"router"}}}, settings{audit: 20 * time.Millisecond})
	d.awaitReady(t)
	time.Sleep(200 * time.Millisecond)
	if !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Error("swept although the source could not tell")
	}
}

func TestDriftIsRepairedByTheAudit(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{audit: 100 * time.Millisecond})
	d.awaitReady(t)
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	nettest.Eventually(t, 2*time.Second, "the entry to come back", func() bool { return strings.Contains(entries(p), p.InstanceAddr.String()) })
	p.Router.Run("nft", "delete", "table", "ip6", dataplane.DefaultTable)
	nettest.Eventually(t, 2*time.Second, "the table to come back", func() bool { return strings.Contains(tables(p), dataplane.DefaultTable) })
	p.Router.Run("nft", "add", "element", "ip6", dataplane.DefaultTable, "published-qg-1", "{ 2001:db8:0:2::99 }")
	nettest.Eventually(t, 2*time.Second, "the stranger to leave the set", func() bool {
		return !strings.Contains(p.Router.Run("nft", "list", "ruleset"), "2001:db8:0:2::99")
	})
	for _, kind := range []dataplane.Kind{dataplane.KindEntry, dataplane.KindFilter} {
		nettest.Eventually(t, 2*time.Second, "words about drift of kind "+string(kind), func() bool {
			return d.logs.FilterMessageSnippet("drift repaired").FilterField(zap.String("kind", string(kind))).Len() > 0
		})
	}
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
}

// Kernel events, not audits: the audit is an hour away.
func TestFollowsTheKernel(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	device := p.Router
	proxyNDP := func() string { return device.ReadSysctl("net/ipv6/conf/" + nettest.External + "/proxy_ndp") }

	device.IP("addr", "del", p.GatewayAddr.String()+"/64", "dev", nettest.External)
	nettest.Eventually(t, 2*time.Second, "silence without the gateway's address", func() bool { return proxyNDP() == "0" })
	if got := d.Totals(); got.Pending != 1 {
		nettest.Eventually(t, time.Second, "one pending proxy", func() bool { return d.Totals().Pending == 1 })
	}
	device.AddAddr(nettest.External, p.GatewayAddr.String()+"/64")
	nettest.Eventually(t, 2*time.Second, "answers with it", func() bool { return proxyNDP() == "1" })

	device.IP("link", "set", nettest.External, "down")
	nettest.Eventually(t, 2*time.Second, "the kernel to drop the entries", func() bool { return proxyNDP() == "0" })
	device.IP("link", "set", nettest.External, "up")
	device.AddAddr(nettest.External, p.GatewayAddr.String()+"/64")
	nettest.Eventually(t, 5*time.Second, "entry and answer after link down and up", func() bool {
		return strings.Contains(entries(p), p.InstanceAddr.String()) && proxyNDP() == "1"
	})
	device.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "0")
	nettest.Eventually(t, 2*time.Second, "a sysctl changed by hand to be set right", func() bool { return proxyNDP() == "1" })
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
}

// The L3 agent makes namespaces in its own time, removes them, and makes them
// again under the same name.
func TestNamespacesComeAndGo(t *testing.T) {
	l := nettest.New(t)
	gateway, instance := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:0:1::5")
	d := start(t, l.Dir, inventory.Snapshot{
		Routers: []inventory.Router{{ID: "r1", Enabled: true,
			External: []inventory.Attachment{{Namespace: "late", Device: nettest.External, Addrs: []netip.Addr{gateway}}},
			Subnets:  []inventory.Subnet{{Prefix: netip.MustParsePrefix("2001:db8:0:1::/64")}}}},
		Proxies: []inventory.Proxy{{ID: "p", RouterID: "r1", Addr: instance}},
	}, settings{})
	d.awaitReady(t)
	if got := d.Totals(); got.Pending != 1 || got.Failed != 0 {
		t.Errorf("totals without the namespace: %+v", got)
	}
	peer := l.Namespace("peer")
	for round := range 3 {
		ns := l.Namespace("late")
		ns.Sysctl("net/ipv6/conf/all/forwarding", "1")
		ns.Sysctl("net/ipv6/conf/default/forwarding", "1")
		l.Veth(ns, nettest.External, peer, fmt.Sprintf("eth%d", round))
		ns.AddAddr(nettest.External, gateway.String()+"/64")
		nettest.Eventually(t, 5*time.Second, "the address to be answered for", func() bool {
			return strings.Contains(ns.IP("-6", "neigh", "show", "proxy"), instance.String()) &&
				ns.ReadSysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp") == "1"
		})
		nettest.Eventually(t, time.Second, "an announcement", func() bool { return len(d.owed.on("late")) == 1 })
		if got := d.Totals(); got.Pending != 0 {
			nettest.Eventually(t, time.Second, "nothing pending", func() bool { return d.Totals().Pending == 0 })
		}
		l.Delete(ns)
		nettest.Eventually(t, 5*time.Second, "the loss to be noticed", func() bool { return d.Totals().Pending == 1 && len(d.owed.on("late")) == 0 })
	}
	if n := d.logs.FilterMessageSnippet("can't be made").Len(); n != 0 {
		t.Errorf("what is normal was called an error %d times: %v", n, d.logs.All())
	}
}
