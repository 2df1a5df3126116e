package agent_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/test/nettest"
)

// halting holds looks up.
type halting struct {
	agent.Dataplane
	mu       sync.Mutex
	hold     chan struct{} // closed: go on; nil: not held
	observed chan struct{}
}

func (h *halting) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	o, err := h.Dataplane.Observe(ctx, ns, depth)
	h.mu.Lock()
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		select {
		case h.observed <- struct{}{}:
		default:
		}
		<-hold
	}
	return o, err
}

func (h *halting) set(hold chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = hold
}

// A look that was under way saw what was before the order: it does not count.
func TestReconcileIsOfNow(t *testing.T) {
	p := nettest.NewTopology(t)
	h := &halting{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), observed: make(chan struct{}, 1)}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: h})
	d.awaitReady(t)
	hold := make(chan struct{})
	h.set(hold)
	d.LookAgain()
	<-h.observed
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r, err := d.Reconcile(short, agent.Selection{}, nil)
	if err != nil || len(r.Looks) != 1 || r.Looks[0].Looked {
		t.Errorf("while a look hangs: %+v %v", r, err)
	}
	done := make(chan agent.Reconciled, 1)
	go func() { r, _ := d.Reconcile(t.Context(), agent.Selection{Router: "r1"}, nil); done <- r }()
	time.Sleep(50 * time.Millisecond)
	h.set(nil)
	close(hold)
	r = <-done
	if len(r.Looks) != 1 || !r.Looks[0].Looked || r.Looks[0].Error || !slices.Contains(r.Looks[0].Lines, "+  publish "+p.InstanceAddr.String()) {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Error("called done before it was")
	}
}

// What the source tells when it is asked is made true as well, in namespaces that nobody
// knew of before; without an answer what is known is.
func TestReconcileAsksTheSource(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, inventory.Snapshot{}, settings{})
	d.awaitReady(t)
	r, err := d.Reconcile(t.Context(), agent.Selection{}, func(context.Context) error {
		d.Inventory().Replace(world(p, p.InstanceAddr))
		return nil
	})
	if err != nil || r.Unsynced != nil || len(r.Looks) != 1 || !r.Looks[0].Looked || !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Errorf("%+v %v", r, err)
	}
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	gone := errors.New("no broker")
	// The look that the kernel's event asks for may have been there first.
	r, err = d.Reconcile(t.Context(), agent.Selection{Namespaces: []string{"router"}}, func(context.Context) error { return gone })
	if err != nil || !errors.Is(r.Unsynced, gone) || len(r.Looks) != 1 || !strings.Contains(entries(p), p.InstanceAddr.String()) {
		t.Errorf("%+v %v", r, err)
	}
	// What is left of a router that went goes; what fails is said.
	d.Inventory().Replace(inventory.Snapshot{})
	if r, err = d.Reconcile(t.Context(), agent.Selection{}, nil); err != nil || entries(p) != "" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := d.Reconcile(t.Context(), agent.Selection{Namespaces: []string{"router"}}, nil); !errors.Is(err, agent.ErrNotHere) {
		t.Errorf("nobody's: %v", err)
	}
}

func TestReconcileTellsFailures(t *testing.T) {
	p := nettest.NewTopology(t)
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	k := &doctored{Dataplane: kernel}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k, retry: time.Hour})
	d.awaitReady(t)
	d.stop()
	k.apply = func(context.Context, dataplane.Changes) (dataplane.Result, error) {
		return dataplane.Result{Failures: []dataplane.Failure{{Device: "qg-1", Op: "entry +", Err: errors.New("no room")}}}, nil
	}
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	d = start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k, retry: time.Hour})
	nettest.Eventually(t, 5*time.Second, "the first look", func() bool { return d.Totals().Routers == 1 })
	r, err := d.Reconcile(t.Context(), agent.Selection{}, nil)
	if err != nil || len(r.Looks) != 1 || !r.Looks[0].Looked || !r.Looks[0].Error || len(r.Looks[0].Failed) != 1 || !strings.Contains(r.Looks[0].Failed[0], "no room") {
		t.Errorf("%+v %v", r, err)
	}
}

// tellingOwed is an announcer that sends when it is told to.
type tellingOwed struct {
	*owed
	mu    sync.Mutex
	wait  []func(sent bool)
	asked []netip.Addr
}

func (o *tellingOwed) OweTold(_ context.Context, _ announcer.Target, told func(netip.Addr, bool), addrs ...netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range addrs {
		o.asked = append(o.asked, a)
		o.wait = append(o.wait, func(sent bool) { told(a, sent) })
	}
}

func (o *tellingOwed) Trouble(announcer.Target) error { return errors.New("no carrier") }

func (o *tellingOwed) settle(sent bool) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, told := range o.wait {
		told(sent)
	}
	n, o.wait = len(o.wait), nil
	return n
}

// Only what is answered for is announced, each address with its fate.
func TestAnnounce(t *testing.T) {
	p := nettest.NewTopology(t)
	outside := netip.MustParseAddr("2001:db8:9::1")
	second := p.InstanceAddr.Next()
	engine := &tellingOwed{owed: newOwed()}
	first := world(p, p.InstanceAddr, second, outside)
	first.Routers = append(first.Routers, inventory.Router{ID: "off"})
	first.Proxies = append(first.Proxies, inventory.Proxy{ID: "x", RouterID: "off", Addr: netip.MustParseAddr("2001:db8::ff")})
	var resign atomic.Bool // the gateway's address goes just before the next look
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), observe: func() {
		if resign.CompareAndSwap(true, false) {
			p.Router.IP("-6", "addr", "del", p.GatewayAddr.String()+"/64", "dev", nettest.External)
		}
	}}
	d := start(t, p.Dir, first, settings{announcer: engine, kernel: k})
	d.awaitReady(t)
	announce := func(wait time.Duration, router string, addr netip.Addr) []agent.Fate {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		got, err := d.Announce(ctx, router, addr)
		if err != nil {
			t.Errorf("%s%v: %v", router, addr, err)
		}
		return got
	}
	if got := announce(500*time.Millisecond, "", p.InstanceAddr); len(got) != 1 || got[0].Addr != p.InstanceAddr || got[0].Sent || !got[0].Owed || got[0].Why != "no carrier" || got[0].Device != nettest.External {
		t.Errorf("owed: %+v", got)
	}
	engine.settle(false)
	for _, sent := range []bool{true, false} {
		// As long as it is waited for: several looks may find it answered for, what was
		// taken back is owed anew.
		announced, settled := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(settled)
			for {
				engine.settle(sent)
				select {
				case <-announced:
					return
				case <-time.After(time.Millisecond):
				}
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		got, err := d.Announce(ctx, "", second)
		cancel()
		close(announced)
		if err != nil || len(got) != 1 || got[0].Sent != sent || got[0].Owed || (got[0].Why == "") != sent {
			t.Errorf("told %v: %+v %v", sent, got, err)
		}
		<-settled
	}
	got := announce(500*time.Millisecond, "r1", netip.Addr{})
	if len(got) != 3 || !got[0].Owed || !got[1].Owed || got[2].Addr != outside || got[2].Owed || !strings.Contains(got[2].Why, "subnet") {
		t.Errorf("a router: %+v", got)
	}
	engine.mu.Lock()
	engine.asked = nil
	engine.mu.Unlock()
	resign.Store(true)
	if got := announce(10*time.Second, "", p.InstanceAddr); len(got) != 1 || got[0].Owed || got[0].Sent || !strings.Contains(got[0].Why, "gateway") || len(engine.asked) > 0 {
		t.Errorf("standby: %+v, owed %v", got, engine.asked)
	}
	for _, c := range []struct {
		router string
		addr   netip.Addr
		want   error
	}{
		{"nobody", netip.Addr{}, agent.ErrNotHere}, {"off", netip.Addr{}, agent.ErrNotEnabled},
		{"", netip.MustParseAddr("2001:db8::ff"), agent.ErrNotEnabled}, {"", netip.MustParseAddr("2001:db8::1234"), agent.ErrNotPublished},
	} {
		if _, err := d.Announce(t.Context(), c.router, c.addr); !errors.Is(err, c.want) {
			t.Errorf("%s%v: %v", c.router, c.addr, err)
		}
	}
}

// While an order waits for one address, looks announce the others no more than once.
func TestAnnounceOnce(t *testing.T) {
	p := nettest.NewTopology(t)
	second := p.InstanceAddr.Next()
	engine := &tellingOwed{owed: newOwed()}
	var deep atomic.Int32
	d := start(t, p.Dir, world(p, p.InstanceAddr, second), settings{announcer: engine, looked: func(l agent.Look) {
		if l.Deep {
			deep.Add(1)
		}
	}})
	d.awaitReady(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan []agent.Fate, 1)
	go func() {
		got, err := d.Announce(ctx, "r1", netip.Addr{})
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	asked := func() int {
		engine.mu.Lock()
		defer engine.mu.Unlock()
		return len(engine.asked)
	}
	nettest.Eventually(t, 5*time.Second, "the first look", func() bool { return asked() > 0 })
	engine.mu.Lock()
	engine.wait[0](true)
	engine.wait = engine.wait[1:]
	engine.mu.Unlock()
	for range 3 {
		before := deep.Load()
		d.LookAgain()
		nettest.Eventually(t, 5*time.Second, "another look", func() bool { return deep.Load() > before })
	}
	if n := asked(); n != 2 {
		t.Errorf("%d were owed for an order of 2 addresses", n)
	}
	engine.settle(true)
	if got := <-done; len(got) != 2 || !got[0].Sent || !got[1].Sent || got[0].Owed || got[1].Owed {
		t.Errorf("%+v", got)
	}
}

// One that only records, as with announce = false, has nothing to tell.
func TestAnnounceIsOff(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	if _, err := d.Announce(t.Context(), "", p.InstanceAddr); !errors.Is(err, agent.ErrSilent) {
		t.Error(err)
	}
}

// What can be no namespace is refused, and not looked at again and again.
func TestReconcileOfNoNamespace(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	for _, name := range []string{"a/b", "..", strings.Repeat("n", 300)} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		r, err := d.Reconcile(ctx, agent.Selection{Namespaces: []string{name}}, nil)
		cancel()
		if !errors.Is(err, agent.ErrNotHere) {
			t.Errorf("%.10s: %+v %v", name, r, err)
		}
	}
	nettest.Eventually(t, 5*time.Second, "nothing is tried again", func() bool {
		waiting, running, retrying := d.Queue()
		return waiting+running+retrying == 0
	})
}

// A look that could not do its work is told of as that, also where no outcome is kept.
func TestReconcileTellsWhatWasNotDone(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir})}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	d.awaitReady(t)
	d.stop()
	k.identify = func(string) (dataplane.ID, error) { return dataplane.ID{}, syscall.EIO }
	d = start(t, p.Dir, inventory.Snapshot{}, settings{kernel: k})
	nettest.Eventually(t, 5*time.Second, "the first sync", func() bool { return d.Inventory().Synced() })
	r, err := d.Reconcile(t.Context(), agent.Selection{}, nil)
	if err != nil || len(r.Looks) != 1 || !r.Looks[0].Looked || !r.Looks[0].Error || r.Looks[0].Trouble == "" {
		t.Errorf("%+v %v", r, err)
	}
}
