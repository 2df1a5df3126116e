package explain_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	qg, qr = "qg-1", "qr-1"
	bridge = "brq-1"
	most   = 3
)

var (
	published  = netip.MustParseAddr("2001:db8:0:1::5")
	internal   = netip.MustParsePrefix("2001:db8:0:1::/64")
	routerAddr = netip.MustParseAddr("2001:db8:0:1::1")
	gateway    = netip.MustParseAddr("2001:db8::2")
	upstream   = netip.MustParseAddr("2001:db8::1")
)

// gate stands before the kernel: while it is shut nothing is written, as if the
// kernel refused it.
type gate struct {
	*dataplane.Dataplane
	mu   sync.Mutex
	with error
}

func (g *gate) shut(with error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.with = with
}

func (g *gate) Apply(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
	g.mu.Lock()
	with := g.with
	g.mu.Unlock()
	if with != nil {
		return dataplane.Result{}, fmt.Errorf("namespace %s: %w", c.Namespace, with)
	}
	return g.Dataplane.Apply(ctx, c)
}

// stage is an agent in a namespace of its own making, and what it is told.
type stage struct {
	*nettest.Lab
	t *testing.T
	// outside is the upstream's namespace, router has the external device, host is
	// where the address is published.
	outside, router, vm *nettest.Namespace
	// far is the router's own namespace, if it is not in that of the device.
	far *nettest.Namespace
	// host has the bridge between them; nil: there is none.
	host   *nettest.Namespace
	kernel *gate
	loop   *agent.Agent
	said   inventory.Snapshot
	device string
	probes bool // --probe

	mu     sync.Mutex
	stuck  []string
	broker *admin.Broker
	server []explain.ServerProxy
	silent error // of the server
}

// explainer is for a loop.
func (s *stage) explainer(loop *agent.Agent, engine *announcer.Announcer) *explain.Explainer {
	o := explain.Options{
		Host: "net1", Source: "neutron", NetnsDir: s.Dir, Audit: time.Minute, Most: most,
		Loop: loop, Kernel: s.kernel.Dataplane, Scope: func(string) bool { return true },
		Overdue: func() []string { s.mu.Lock(); defer s.mu.Unlock(); return s.stuck },
		Broker:  func() *admin.Broker { s.mu.Lock(); defer s.mu.Unlock(); b := *s.broker; return &b },
		Ask: func(context.Context, netip.Addr) ([]explain.ServerProxy, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.server, s.silent
		},
	}
	if engine != nil {
		o.Debt = engine.Debt
	}
	return explain.New(o)
}

// source tells nothing: the test writes the inventory.
type source struct{}

func (source) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// play runs an agent that has been told everything.
func (s *stage) play() (x *explain.Explainer) {
	s.t.Helper()
	log := zap.NewNop()
	s.kernel = &gate{Dataplane: dataplane.New(dataplane.Options{NetnsDir: s.Dir, Logger: log})}
	s.broker = &admin.Broker{Connected: true, Subscribed: true, Endpoint: "rabbit1:5672"}
	engine := announcer.New(s.t.Context(), announcer.Options{
		Logger: log, Enter: s.kernel.Enter, Count: 1, Rate: announcer.Unpaced, MaxBackoff: 100 * time.Millisecond,
		Gone: func(err error) bool { return dataplane.Classify(err) == dataplane.ClassGone },
	})
	s.loop = agent.New(agent.Options{
		Scope: func(string) bool { return true }, Dataplane: s.kernel, Announcer: engine, Log: log,
		Plan:    plan.Options{Most: most},
		Watcher: s.kernel.NewWatcher(dataplane.WatchOptions{Rescan: 200 * time.Millisecond}),
		Workers: 2, Audit: time.Hour, RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Jitter: func() float64 { return 0.5 },
	})
	s.loop.Inventory().Replace(s.said)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loop.Run(ctx, source{}) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the agent ended with %v", err)
		}
		engine.Close()
	})
	return s.explainer(s.loop, engine)
}

// tell changes what the agent was told.
func (s *stage) tell(change func(*inventory.Snapshot)) {
	said := s.said
	said.Routers = append([]inventory.Router(nil), s.said.Routers...)
	said.Routers[0].External = append([]inventory.Attachment(nil), s.said.Routers[0].External...)
	said.Proxies = append([]inventory.Proxy(nil), s.said.Proxies...)
	said.Ports = append([]inventory.Port(nil), s.said.Ports...)
	if change != nil {
		change(&said)
	}
	s.loop.Inventory().Replace(said)
}

func (s *stage) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// withdrawn waits until nothing is published.
func (s *stage) withdrawn() {
	s.t.Helper()
	nettest.Eventually(s.t, 5*time.Second, "the address to be withdrawn", func() bool {
		return !strings.Contains(s.router.IP("-6", "neigh", "show", "proxy"), published.String())
	})
}

// centralised is a legacy router:
//
//	upstream eth0 ── qg-1 qrouter-1 qr-1 ── eth0 instance
func centralised(t *testing.T) *stage { return stageOn(nettest.New(t), t, nil) }

// bridged is the same with a host's bridge between upstream and router, as the
// linuxbridge agent makes it.
func bridged(t *testing.T) *stage {
	l := nettest.New(t)
	return stageOn(l, t, l.Namespace("host"))
}

func stageOn(l *nettest.Lab, t *testing.T, host *nettest.Namespace) *stage {
	s := &stage{Lab: l, t: t, device: qg, outside: l.Namespace("upstream"), router: l.Namespace("qrouter-1"), vm: l.Namespace("instance"), host: host}
	forwards(s.outside)
	forwards(s.router)
	s.plug()
	l.Veth(s.router, qr, s.vm, "eth0")
	s.router.AddAddr(qr, routerAddr.String()+"/64")
	s.vm.AddAddr("eth0", published.String()+"/64")
	s.vm.IP("-6", "route", "add", "default", "via", routerAddr.String())
	s.said = inventory.Snapshot{
		Routers: []inventory.Router{{
			ID: "router-1", Enabled: true, Scope: "scope",
			External: []inventory.Attachment{{Namespace: "qrouter-1", Device: qg, Addrs: []netip.Addr{gateway}}},
			Subnets:  []inventory.Subnet{{Prefix: internal, Scope: "scope", RouterAddrs: []netip.Addr{routerAddr}}},
		}},
		Proxies: []inventory.Proxy{{ID: "proxy-1", RouterID: "router-1", PortID: "port-1", Addr: published}},
	}
	s.server = []explain.ServerProxy{{ID: "proxy-1", Router: "router-1", Port: "port-1", PortHost: "compute1", GatewayHost: "net1"}}
	return s
}

func forwards(n *nettest.Namespace) {
	n.Sysctl("net/ipv6/conf/all/forwarding", "1")
	n.Sysctl("net/ipv6/conf/default/forwarding", "1")
}

// plug makes the external device (again).
func (s *stage) plug() {
	if s.host == nil {
		s.Veth(s.outside, "eth0", s.router, s.device)
	} else {
		s.Veth(s.outside, "eth0", s.host, "uplink")
		s.Veth(s.host, "tap1", s.router, s.device)
		s.host.IP("link", "add", bridge, "type", "bridge")
		for _, d := range []string{"uplink", "tap1"} {
			s.host.IP("link", "set", d, "master", bridge)
		}
		s.host.IP("link", "set", bridge, "up")
	}
	for n, mac := range map[*nettest.Namespace]string{s.outside: "02:00:00:00:00:01", s.router: "02:00:00:00:00:02"} {
		device := "eth0"
		if n == s.router {
			device = s.device
		}
		n.IP("link", "set", device, "down")
		n.IP("link", "set", device, "address", mac)
		n.IP("link", "set", device, "up")
	}
	s.outside.AddAddr("eth0", upstream.String()+"/64")
	s.outside.IP("-6", "route", "replace", internal.String(), "dev", "eth0")
	s.dress()
	s.outside.LinkLocal("eth0")
}

// dress gives the external device what going down takes from it.
func (s *stage) dress() {
	s.router.IP("-6", "address", "replace", gateway.String()+"/64", "dev", s.device, "nodad")
	s.router.LinkLocal(s.device)
	_, _ = s.router.Try("ip", "-6", "route", "add", "default", "via", upstream.String(), "dev", s.device) // it may be there
}

// hide takes the name of a namespace away; what it returns gives it back.
func (s *stage) hide(n *nettest.Namespace) (back func()) {
	s.t.Helper()
	f, err := os.Open(n.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(unix.Unmount(n.Path, unix.MNT_DETACH), os.Remove(n.Path)); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		defer func() { _ = f.Close() }()
		err := os.WriteFile(n.Path, nil, 0o600)
		if err = errors.Join(err, unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), n.Path, "bind", unix.MS_BIND, "")); err != nil {
			s.t.Fatal(err)
		}
	}
}

// refuses is what the kernel says while the gate is shut.
func refuses(errno syscall.Errno, what string) error { return fmt.Errorf("%s: %w", what, errno) }
