package agent_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// A restart while the full sync does not get through: one of the routers that
// share a namespace was updated, and so is known. The others are not, and keep
// what they have until the sync says otherwise.
func TestOneOfTwoRoutersBeforeTheSync(t *testing.T) {
	c := newCompute(t, "a", "b")
	a, b := c.routers["a"], c.routers["b"]
	first := start(t, c.Dir, c.says("a", "b"), settings{})
	first.awaitReady(t)
	c.behind.Reaches(b.addr, 5*time.Second)
	first.stop()
	sync := make(chan struct{})
	d := start(t, c.Dir, c.says("a"), settings{when: sync})
	d.Inventory().ReplaceRouters([]string{"a"}, c.says("a"))
	nettest.Eventually(t, 2*time.Second, "a look", func() bool { return d.Totals().Routers == 1 })
	time.Sleep(500 * time.Millisecond)
	if d.Inventory().Synced() || d.logs.FilterMessage("withdrawn").Len() > 0 {
		t.Errorf("in sync, or withdrawn before: %v", d.logs.All())
	}
	c.behind.Reaches(b.addr, time.Second)
	c.behind.Reaches(a.addr, time.Second)
	// What is known to be unwanted goes even so.
	d.Inventory().RemoveProxy(c.says("a").Proxies[0])
	nettest.Eventually(t, 2*time.Second, "a to go", func() bool { return !strings.Contains(c.ours(), a.addr.String()) })
	c.behind.Reaches(b.addr, time.Second)
	close(sync)
	nettest.Eventually(t, 5*time.Second, "b to go", func() bool { return !strings.Contains(c.ours(), b.addr.String()) })
}

// hooked calls before the real Observe returns, and may fail Interfaces.
type hooked struct {
	agent.Dataplane
	observed   func(ns string)
	interfaces func(ns string) error
}

func (h *hooked) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	o, err := h.Dataplane.Observe(ctx, ns, depth)
	if h.observed != nil {
		h.observed(ns)
	}
	return o, err
}

func (h *hooked) Interfaces(ctx context.Context, ns string) ([]dataplane.Interface, error) {
	if h.interfaces != nil {
		if err := h.interfaces(ns); err != nil {
			return nil, err
		}
	}
	return h.Dataplane.Interfaces(ctx, ns)
}

// What is known of a namespace does not change within a look: a router that can
// be read from now on does not make the others' entries all there is.
func TestARouterIsReadDuringALook(t *testing.T) {
	c := newCompute(t, "a", "b")
	first := start(t, c.Dir, c.says("a", "b"), settings{})
	first.awaitReady(t)
	first.stop()
	without := c.says("a")
	without.Held = map[string][]string{"b": {"qrouter-b", "fip"}}
	k := &hooked{Dataplane: dataplane.New(dataplane.Options{NetnsDir: c.Dir})}
	var inv atomic.Pointer[inventory.Inventory]
	var once sync.Once
	k.observed = func(ns string) {
		if i := inv.Load(); ns == "fip" && i != nil {
			once.Do(func() { i.ReplaceRouters([]string{"b"}, c.says("b")) })
		}
	}
	d := start(t, c.Dir, without, settings{kernel: k})
	d.awaitReady(t)
	if !strings.Contains(c.ours(), c.routers["b"].addr.String()) {
		t.Fatal("not even held")
	}
	inv.Store(d.Inventory())
	d.LookAgain()
	nettest.Eventually(t, 2*time.Second, "both routers", func() bool { return d.Totals().Routers == 2 })
	time.Sleep(300 * time.Millisecond)
	for _, e := range d.logs.FilterMessage("withdrawn").All() {
		t.Errorf("%s %v", e.Message, e.ContextMap())
	}
}

// What upstream's extension leaves when a port moves away, where nothing else is
// published: an entry, a route, and the switch of the device.
func TestUpstreamsLeftoversWhereNothingIsPublished(t *testing.T) {
	for name, exclusive := range map[string]bool{"reported": false, "removed": true} {
		t.Run(name, func(t *testing.T) {
			c := newCompute(t, "a")
			a := c.routers["a"]
			via := a.router.LinkLocal("rfp-a").String()
			c.fip.IP("-6", "neigh", "add", "proxy", a.addr.String(), "dev", fg)
			c.fip.IP("-6", "route", "add", a.addr.String()+"/128", "via", via, "dev", "fpr-a", "proto", "static")
			c.fip.Sysctl("net/ipv6/conf/"+fg+"/proxy_ndp", "1")
			s := c.says("a")
			s.Ports = nil // until the server has said where the port is, all stays
			d := start(t, c.Dir, s, settings{plan: plan.Options{Exclusive: exclusive}})
			d.awaitReady(t)
			c.upstream.Reaches(a.addr, 2*time.Second)
			left := func() (bool, bool, bool) {
				return strings.Contains(c.fip.IP("-6", "neigh", "show", "proxy"), a.addr.String()),
					c.fip.IP("-6", "route", "show", a.addr.String()+"/128") != "",
					c.fip.ReadSysctl("net/ipv6/conf/"+fg+"/proxy_ndp") == "1"
			}
			d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Elsewhere})
			if !exclusive {
				time.Sleep(300 * time.Millisecond)
				if entry, route, answers := left(); !entry || !route || !answers {
					t.Errorf("touched without the option: entry left %v, route %v, proxy_ndp %v", entry, route, answers)
				}
				said := d.logs.FilterMessage("found beside ours, and left alone").All()
				if len(said) != 1 {
					t.Fatalf("said %d times: %v", len(said), d.logs.All())
				}
				what, _ := said[0].ContextMap()["what"].(string)
				for _, part := range []string{"1 proxy entries on fg-1, which answers for them", "1 host routes"} {
					if !strings.Contains(what, part) {
						t.Errorf("%q does not say %q", what, part)
					}
				}
				return
			}
			nettest.Eventually(t, 2*time.Second, "all three to go", func() bool {
				entry, route, answers := left()
				return !entry && !route && !answers
			})
			c.upstream.FlushNeighbours("eth0")
			c.upstream.Unreachable(a.addr)
			if c.ours() != "" {
				t.Errorf("a trace of ours where nothing is published: %s", c.ours())
			}
			d.totals(t, "a port that is elsewhere", agent.Totals{Routers: 1, Enabled: 1, Proxies: 1, Elsewhere: 1})
			// It comes here after all.
			d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Here})
			c.behind.Reaches(a.addr, 5*time.Second)
		})
	}
}

// A router whose own namespace can't be read keeps what it has; the others of
// the shared one come and go as ever, and the trouble has a name.
func TestAPeerNamespaceThatCannotBeRead(t *testing.T) {
	c := newCompute(t, "a", "b")
	a, b := c.routers["a"], c.routers["b"]
	k := &hooked{Dataplane: dataplane.New(dataplane.Options{NetnsDir: c.Dir})}
	var broken atomic.Bool
	k.interfaces = func(ns string) error {
		if ns == "qrouter-b" && broken.Load() {
			return fmt.Errorf("namespace %s: %w", ns, syscall.EACCES)
		}
		return nil
	}
	d := start(t, c.Dir, c.says("a", "b"), settings{kernel: k})
	d.awaitReady(t)
	c.behind.Reaches(b.addr, 5*time.Second)
	broken.Store(true)
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Elsewhere})
	nettest.Eventually(t, 2*time.Second, "a to go", func() bool { return !strings.Contains(c.ours(), a.addr.String()) })
	c.behind.Reaches(b.addr, time.Second)
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Here})
	c.behind.Reaches(a.addr, 5*time.Second)
	c.behind.Reaches(b.addr, time.Second)
	complaints := d.logs.FilterMessageSnippet("can't be made what it should be").All()
	if len(complaints) != 1 || !strings.Contains(fmt.Sprint(complaints[0].ContextMap()["error"]), "qrouter-b") {
		t.Errorf("complaints: %v", complaints)
	}
	broken.Store(false)
	nettest.Eventually(t, 5*time.Second, "an end of the trouble", func() bool { return d.logs.FilterMessage("as it should be").Len() == 1 })
}

// A restart where the places of ports come last: what stands is held, and what
// does not is not made; each is decided when its place is known.
func TestUnknownPlacesAfterARestart(t *testing.T) {
	c := newCompute(t, "a", "b")
	a, b := c.routers["a"], c.routers["b"]
	first := start(t, c.Dir, c.says("a"), settings{})
	first.awaitReady(t)
	c.behind.Reaches(a.addr, 5*time.Second)
	first.stop()
	s := c.says("a", "b")
	ports := s.Ports
	s.Ports = nil
	d := start(t, c.Dir, inventory.Snapshot{}, settings{when: make(chan struct{}), audit: 50 * time.Millisecond})
	check := func(when string) {
		t.Helper()
		nettest.Eventually(t, 2*time.Second, "b pending "+when, func() bool {
			return d.Totals() == agent.Totals{Routers: 2, Enabled: 2, Proxies: 2, Pending: 1, Answered: 1}
		})
		time.Sleep(300 * time.Millisecond)
		if d.logs.FilterMessage("withdrawn").Len()+d.logs.FilterMessage("answering").Len() > 0 {
			t.Fatalf("%s, without knowing: %v", when, d.logs.All())
		}
		c.behind.Reaches(a.addr, time.Second)
	}
	d.Inventory().ReplaceRouters([]string{"a", "b"}, s)
	check("before the sync")
	d.Inventory().Replace(s)
	check("after it")
	select {
	case <-d.Ready():
		t.Error("ready before the places are known")
	default:
	}
	d.Inventory().SetPorts(ports)
	d.awaitReady(t)
	c.behind.Reaches(b.addr, 5*time.Second)
	c.behind.Reaches(a.addr, 5*time.Second)
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Elsewhere})
	nettest.Eventually(t, 2*time.Second, "a to go", func() bool { return !strings.Contains(c.ours(), a.addr.String()) })
}

// A router that is known, and elsewhere, can't be read now: it keeps nothing of
// a router that is gone, whether or not others are in the namespace.
func TestAKnownRouterThatCannotBeRead(t *testing.T) {
	c := newCompute(t, "a")
	s := c.says("a")
	x := s.Routers[0]
	x.ID = "x"
	x.External = []inventory.Attachment{{Namespace: "other", Device: "fg-2", Serves: inventory.Here, Inner: &inventory.Inner{Device: "fpr-x", PeerNamespace: "qrouter-x", PeerDevice: "rfp-x"}}}
	s.Routers = append(s.Routers, x)
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	c.upstream.Reaches(c.routers["a"].addr, 5*time.Second)
	d.Inventory().ReplaceRouters([]string{"x"}, inventory.Snapshot{Held: map[string][]string{"x": {"qrouter-x", "snat-x", "fip"}}})
	d.Inventory().ReplaceRouters([]string{"a"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "everything of ours to go", func() bool { return c.ours() == "" })
	c.upstream.FlushNeighbours("eth0")
	c.upstream.Unreachable(c.routers["a"].addr)
}

// While a router was never read, what this run knew of another one goes with it
// even so; what an earlier run left there stays.
func TestAnUnreadRouterKeepsNothingOfOthers(t *testing.T) {
	c := newCompute(t, "a", "b", "x")
	a, b, x := c.routers["a"], c.routers["b"], c.routers["x"]
	first := start(t, c.Dir, c.says("a", "b", "x"), settings{})
	first.awaitReady(t)
	first.stop()
	s := c.says("a", "b")
	s.Held = map[string][]string{"x": {"qrouter-x", "snat-x", "fip"}}
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	for _, r := range []*branch{a, b} { // the second is the last one that is known
		c.behind.Reaches(r.addr, 5*time.Second)
		d.Inventory().ReplaceRouters([]string{r.id}, inventory.Snapshot{})
		nettest.Eventually(t, 2*time.Second, r.id+" to go", func() bool {
			return !strings.Contains(c.ours(), r.addr.String()) && !strings.Contains(c.ours(), "fpr-"+r.id)
		})
		c.upstream.FlushNeighbours("eth0")
		c.upstream.Unreachable(r.addr)
		c.behind.Reaches(x.addr, 5*time.Second)
	}
	d.Inventory().ReplaceRouters([]string{"x"}, inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "everything of ours to go", func() bool { return c.ours() == "" })
}

// The snat- namespace of an HA router may be on other hosts only.
func TestAnElectiveNamespaceThatIsNotHere(t *testing.T) {
	for elective, want := range map[bool]agent.Totals{
		true:  {Routers: 1, Enabled: 1, Proxies: 1, Elsewhere: 1},
		false: {Routers: 1, Enabled: 1, Proxies: 1, Pending: 1},
	} {
		c := newCompute(t, "a")
		s := c.says("a")
		s.Routers[0].External = append(s.Routers[0].External, inventory.Attachment{Namespace: "snat-a", Device: "qg-1", Serves: inventory.Edge, Elective: elective})
		s.Ports[0].Place = inventory.Edge
		d := start(t, c.Dir, s, settings{})
		d.awaitReady(t)
		d.totals(t, fmt.Sprintf("elective %v", elective), want)
		if said := d.logs.FilterMessage("waiting").Len() > 0; said == elective {
			t.Errorf("elective %v: said to be waited for: %v", elective, said)
		}
		d.stop()
	}
}

// A router that has no attachment yet has no namespace that could say so.
func TestWhatARouterWaitsForIsSaidOnce(t *testing.T) {
	c := newCompute(t, "a")
	s := c.says("a")
	s.Routers[0].External, s.Routers[0].Awaits = nil, "its port"
	d := start(t, c.Dir, s, settings{})
	d.awaitReady(t)
	d.Inventory().Replace(s)
	d.Inventory().SetPort(inventory.Port{ID: "port-a", Place: inventory.Elsewhere})
	said := d.logs.FilterMessage("router is waiting").All()
	if len(said) != 1 || said[0].ContextMap()["router"] != "a" || said[0].ContextMap()["for"] != "its port" {
		t.Errorf("said: %v", said)
	}
	d.Inventory().Replace(c.says("a"))
	c.behind.Reaches(c.routers["a"].addr, 5*time.Second)
	d.Inventory().Replace(s)
	if n := d.logs.FilterMessage("router is waiting").Len(); n != 2 {
		t.Errorf("said %d times after it was gone and came again", n)
	}
}
