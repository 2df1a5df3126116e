package agent_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// router is what is told of one, with its addresses.
func router(t *testing.T, d *daemon, id string) agent.Router {
	t.Helper()
	list := d.Routers(agent.Wanted{Routers: []string{id}, Addresses: true})
	if len(list) != 1 {
		t.Fatalf("%s: %+v", id, list)
	}
	return list[0]
}

// sums are the totals by the routers' own words.
func sums(list []agent.Router) agent.Totals {
	t := agent.Totals{Routers: len(list)}
	for _, r := range list {
		if r.Enabled {
			t.Enabled++
		}
		t.Proxies += r.Proxies
		t.Pending += r.Pending
		t.Failed += r.Failed
		t.Elsewhere += r.Elsewhere
		t.Answered += r.Answered
		if !r.Enabled {
			t.Disabled += r.Proxies
		}
	}
	return t
}

// Each address is told of with its state and the reason, whatever router it is of.
func TestEachAddressIsToldOf(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	first := world(p, p.InstanceAddr, p.UpstreamAddr)
	first.Routers[0].Name, first.Routers[0].Kind = "web", inventory.HA
	add := func(id string, change func(r *inventory.Router)) {
		r := first.Routers[0]
		r.ID, r.Name, r.External = id, "", nil
		change(&r)
		first.Routers = append(first.Routers, r)
		first.Proxies = append(first.Proxies, inventory.Proxy{ID: "p-" + id, RouterID: id, PortID: "port-" + id, Addr: p.InstanceAddr})
	}
	attached := func(at inventory.Attachment) func(r *inventory.Router) {
		return func(r *inventory.Router) { r.External = []inventory.Attachment{at} }
	}
	add("absent", attached(inventory.Attachment{Namespace: "absent", Device: "qg-1"}))
	add("awaiting", func(r *inventory.Router) { r.Awaits = "its device" })
	add("moved", attached(inventory.Attachment{Namespace: "fip", Device: "fg-1", Serves: inventory.Here, Inner: &inventory.Inner{Device: "fpr-1", PeerNamespace: "q", PeerDevice: "rfp-1"}}))
	add("edge", attached(inventory.Attachment{Namespace: "snat", Device: "qg-2", Serves: inventory.Edge, Elective: true}))
	add("off", func(r *inventory.Router) { r.Enabled = false })
	add("remote", func(r *inventory.Router) { r.Remote = true })
	add("bare", func(*inventory.Router) {})
	add("unsupported", func(r *inventory.Router) { r.Unsupported = "of another kind" })
	first.Ports = []inventory.Port{{ID: "port-moved", Place: inventory.Elsewhere}, {ID: "port-edge", Place: inventory.Edge}, {ID: "port-awaiting", Place: inventory.Here}}
	d := start(t, p.Dir, first, settings{})
	d.awaitReady(t)
	// One that comes later, as long as nobody knows where its port is.
	fresh := first.Routers[3]
	fresh.ID = "fresh"
	d.Inventory().ReplaceRouters([]string{"fresh"}, inventory.Snapshot{Routers: []inventory.Router{fresh},
		Proxies: []inventory.Proxy{{ID: "p-fresh", RouterID: "fresh", PortID: "port-fresh", Addr: p.InstanceAddr}}})

	web := router(t, d, "r1")
	if web.Name != "web" || web.Kind != inventory.HA || !web.Enabled || web.Answered != 1 || web.Failed != 1 || web.Obstacle != "" || len(web.Attachments) != 1 {
		t.Errorf("%+v", web)
	}
	at := web.Attachments[0]
	if at.Namespace != "router" || at.Device != nettest.External || at.Role != agent.Active || at.Why != "" || at.Answered != 1 || at.Failed != 1 ||
		!strings.Contains(at.Trouble, "outside every internal subnet") || time.Since(at.Looked) > time.Minute {
		t.Errorf("%+v", at)
	}
	type state struct {
		state agent.AddressState
		why   string
	}
	want := map[string]state{
		"r1/" + p.InstanceAddr.String(): {agent.Answered, ""}, "r1/" + p.UpstreamAddr.String(): {agent.Failed, "outside every internal subnet of the router"},
		"absent": {agent.Pending, "namespace does not exist yet"}, "awaiting": {agent.Pending, "its device"},
		"fresh": {agent.Pending, "the server has not said yet on which host its port is"},
		"moved": {agent.Elsewhere, "its port is on another host"}, "edge": {agent.Elsewhere, "the namespace is not on this host"},
		"off":    {agent.Disabled, "NDP proxying is off, or the router is administratively down"},
		"remote": {agent.Elsewhere, "agent_mode is dvr_no_external: other hosts serve all its addresses"},
		"bare":   {agent.Pending, "it has no gateway here"}, "unsupported": {agent.Pending, "of another kind"},
	}
	all := d.Routers(agent.Wanted{Addresses: true})
	for _, r := range all {
		for _, a := range r.Addresses {
			name := r.ID
			if name == "r1" {
				name += "/" + a.Addr.String()
			}
			if got := (state{a.State, a.Why}); got != want[name] {
				t.Errorf("%s: %+v, want %+v", name, got, want[name])
			}
			delete(want, name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told of: %v", want)
	}
	if got, want := sums(all), d.Totals(); got != want {
		t.Errorf("the routers' sums are %+v, the totals %+v", got, want)
	}
	// In part.
	ids := func(w agent.Wanted) (out []string) {
		for _, r := range d.Routers(w) {
			out = append(out, r.ID)
			for _, a := range r.Addresses {
				if w.Addr.IsValid() && a.Addr != w.Addr {
					t.Errorf("%+v: %v", w, a)
				}
			}
		}
		return out
	}
	if got := ids(agent.Wanted{Namespace: "snat"}); !slices.Equal(got, []string{"edge"}) {
		t.Errorf("in a namespace: %v", got)
	}
	if got := ids(agent.Wanted{Addr: p.UpstreamAddr, Addresses: true}); !slices.Equal(got, []string{"r1"}) {
		t.Errorf("with an address: %v", got)
	}
	if got := ids(agent.Wanted{Routers: []string{"nosuch"}}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// Since when something is so: from the look on that found or made it so, and after a
// restart, which changes nothing, nobody knows.
func TestSinceWhen(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	first := world(p, p.InstanceAddr)
	d := start(t, p.Dir, first, settings{audit: 200 * time.Millisecond})
	d.awaitReady(t)
	answered := func() (at time.Time, ok bool) {
		a := router(t, d, "r1").Addresses[0]
		return a.Since, a.State == agent.Answered
	}
	at, ok := answered()
	if since := time.Since(at); !ok || since < 0 || since > 20*time.Second {
		t.Errorf("answered %v since %v", ok, at)
	}
	looked := router(t, d, "r1").Attachments[0].Looked
	nettest.Eventually(t, 5*time.Second, "a later look", func() bool { return router(t, d, "r1").Attachments[0].Looked.After(looked) })
	if again, _ := answered(); again != at {
		t.Errorf("after another look since %v, before %v", again, at)
	}
	// Others that come and go are no reason either, on whichever side of it they are.
	for _, other := range []netip.Addr{p.InstanceAddr.Prev(), p.InstanceAddr.Next()} {
		proxy := inventory.Proxy{ID: "p-" + other.String(), RouterID: "r1", Addr: other}
		d.Inventory().SetProxy(proxy)
		nettest.Eventually(t, 5*time.Second, "another", func() bool { return router(t, d, "r1").Answered == 2 })
		if a := router(t, d, "r1").Addresses; !a[0].Since.Equal(at) && !a[1].Since.Equal(at) || a[0].Since.Equal(a[1].Since) {
			t.Errorf("since %v: %+v", at, a)
		}
		d.Inventory().RemoveProxy(proxy)
		nettest.Eventually(t, 5*time.Second, "its end", func() bool { return router(t, d, "r1").Proxies == 1 })
	}
	// Another node takes over.
	before := time.Now()
	p.Router.Run("ip", "-6", "addr", "del", p.GatewayAddr.String()+"/64", "dev", nettest.External)
	nettest.Eventually(t, 5*time.Second, "standby", func() bool { return router(t, d, "r1").Attachments[0].Role == agent.Standby })
	r := router(t, d, "r1")
	if got := r.Attachments[0]; got.Since.Before(before) || !strings.Contains(got.Why, "does not hold the gateway's address") || got.Pending != 1 || got.Trouble != "" {
		t.Errorf("%+v", got)
	}
	if a := r.Addresses[0]; a.State != agent.Pending || a.Since.Before(before) || a.Why != r.Attachments[0].Why {
		t.Errorf("%+v", a)
	}
	p.Router.Run("ip", "-6", "addr", "add", p.GatewayAddr.String()+"/64", "dev", nettest.External, "nodad")
	nettest.Eventually(t, 5*time.Second, "active again", func() bool { at, ok := answered(); return ok && at.After(before) })
	// Somebody deletes the entry: it was not answered for in between.
	at, _ = answered()
	p.Router.Run("ip", "-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	nettest.Eventually(t, 5*time.Second, "the repair", func() bool {
		again, ok := answered()
		return ok && again.After(at) && namespace(d, "router").Drift[dataplane.KindEntry] == 1
	})
	d.stop()
	d = start(t, p.Dir, first, settings{})
	d.awaitReady(t)
	if at, ok := answered(); !ok || !at.IsZero() {
		t.Errorf("after a restart: answered %v since %v", ok, at)
	}
	if got := router(t, d, "r1").Attachments[0]; got.Role != agent.Active || !got.Since.IsZero() {
		t.Errorf("after a restart: %+v", got)
	}
}

// Something refuses one address; then nothing can be read.
func TestFailuresAreToldOf(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	other := p.InstanceAddr.Next()
	refuse := dataplane.Failure{Device: nettest.External, Addr: other, Op: "set", Err: syscall.EPERM}
	var broken atomic.Bool
	k := &doctored{Dataplane: &unreadable{dataplane.New(dataplane.Options{NetnsDir: p.Dir}), &broken, other}}
	k.apply = func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		r, err := k.Dataplane.Apply(ctx, c)
		r.Failures = append(r.Failures, refuse)
		return r, err
	}
	d := start(t, p.Dir, world(p, p.InstanceAddr, other), settings{kernel: k, audit: 100 * time.Millisecond, retry: time.Minute})
	states := func() string {
		var out []string
		for _, a := range router(t, d, "r1").Addresses {
			out = append(out, fmt.Sprintf("%s %s", a.State, a.Why))
		}
		return strings.Join(out, "; ")
	}
	nettest.Eventually(t, 5*time.Second, "the first sync", func() bool { return len(d.Routers(agent.Wanted{})) == 1 })
	nettest.Eventually(t, 5*time.Second, "one failure", func() bool { return states() == "answered ; failed "+refuse.Error() })
	if got, want := sums(d.Routers(agent.Wanted{})), d.Totals(); got != want || want.Failed != 1 {
		t.Errorf("the routers' sums are %+v, the totals %+v", got, want)
	}
	broken.Store(true)
	d.LookAgain()
	nettest.Eventually(t, 5*time.Second, "all to fail", func() bool {
		r := router(t, d, "r1")
		return r.Failed == 2 && r.Attachments[0].Role == agent.Unknown && strings.Contains(r.Attachments[0].Why, "input/output error")
	})
	if got, want := sums(d.Routers(agent.Wanted{})), d.Totals(); got != want || want.Failed != 2 {
		t.Errorf("the routers' sums are %+v, the totals %+v", got, want)
	}
}

// unreadable fails looks while broken, and never sees the entry of one address.
type unreadable struct {
	agent.Dataplane
	broken *atomic.Bool
	hidden netip.Addr
}

func (k *unreadable) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	if k.broken.Load() {
		return dataplane.Observation{}, fmt.Errorf("namespace %s: %w", ns, syscall.EIO)
	}
	o, err := k.Dataplane.Observe(ctx, ns, depth)
	o.Proxies = slices.DeleteFunc(o.Proxies, func(p dataplane.Proxy) bool { return p.Addr == k.hidden })
	return o, err
}

// Nobody who asks waits: not for a look that hangs in the kernel, nor for one that
// hangs while it writes, nor for a long queue behind them.
func TestAskingWaitsForNobody(t *testing.T) {
	for name, hang := range map[string]func(k *doctored, wait func()){
		"reading": func(k *doctored, wait func()) { k.observe = wait },
		"writing": func(k *doctored, wait func()) {
			k.apply = func(context.Context, dataplane.Changes) (dataplane.Result, error) {
				wait()
				return dataplane.Result{}, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := nettest.NewTopology(t)
			p.OnLink()
			k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir})}
			hangs, release := make(chan struct{}, 8), make(chan struct{})
			hang(k, func() {
				select {
				case hangs <- struct{}{}:
				default:
				}
				<-release
			})
			first := world(p, p.InstanceAddr)
			for n := range 500 {
				r := first.Routers[0]
				r.ID = fmt.Sprintf("more%03d", n)
				r.External = []inventory.Attachment{{Namespace: r.ID, Device: nettest.External}}
				first.Routers = append(first.Routers, r)
			}
			first.Routers[1].External[0].Namespace = "router" // so that both workers can hang in it, one after the other
			d := start(t, p.Dir, first, settings{kernel: k})
			t.Cleanup(func() { close(release) }) // before the agent is stopped
			<-hangs
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20 {
					if got := d.Routers(agent.Wanted{Addresses: true}); len(got) != len(first.Routers) {
						t.Errorf("%d routers", len(got))
					}
					d.Namespaces()
					d.Totals()
					d.Drift()
					d.Waiting()
					d.RouterNames()
				}
			}()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("who asks waits")
			}
			if a := router(t, d, "r1").Addresses[0]; a.State != agent.Pending || a.Why != "the namespace was not looked at yet" {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A big node is told of in a moment, and a part of it in less.
func TestManyRoutersAreToldOf(t *testing.T) {
	a := agent.New(agent.Options{Log: zap.NewNop(), Jitter: func() float64 { return 0 }})
	var s inventory.Snapshot
	base := netip.MustParseAddr("2001:db8::").As16()
	for n := range 10_000 {
		id := fmt.Sprintf("%05d", n)
		s.Routers = append(s.Routers, inventory.Router{ID: id, Enabled: true, External: []inventory.Attachment{{Namespace: "qrouter-" + id, Device: "qg-1"}}})
		for m := range 4 {
			addr := base
			addr[13], addr[14], addr[15] = byte(n>>8), byte(n), byte(m)
			s.Proxies = append(s.Proxies, inventory.Proxy{ID: fmt.Sprint(id, m), RouterID: id, Addr: netip.AddrFrom16(addr)})
		}
	}
	a.Inventory().Replace(s)
	took := func(w agent.Wanted, want int) time.Duration {
		begin := time.Now()
		if got := a.Routers(w); len(got) != want {
			t.Errorf("%+v: %d", w, len(got))
		}
		return time.Since(begin)
	}
	all, one := took(agent.Wanted{}, 10_000), took(agent.Wanted{Routers: []string{"00007"}, Addresses: true}, 1)
	address := took(agent.Wanted{Addr: s.Proxies[4711].Addr, Addresses: true}, 1)
	t.Logf("all %v, one router %v, one address %v", all, one, address)
	if most := 3 * time.Second; cmp.Compare(max(all, address), most) > 0 || one > time.Second {
		t.Errorf("all %v, one router %v, one address %v", all, one, address)
	}
}
