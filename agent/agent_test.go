package agent_test

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

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
	d.totals(t, "nothing", agent.Totals{})
}

func texts(addrs []netip.Addr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
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
