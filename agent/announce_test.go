package agent_test

import (
	"context"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/test/nettest"
)

// remembered are the namespaces of which a directory says that something is owed.
func remembered(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// A series interrupted by a restart is told by the next run, though it finds
// everything in place; once all has left, a restart says nothing.
func TestWhatIsOwedOutlastsARestart(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	debts := t.TempDir()
	s := settings{send: true, copies: 2, debts: debts}
	first := start(t, p.Dir, world(p, p.InstanceAddr), s)
	c := p.Upstream.Capture("eth0")
	first.awaitReady(t)
	nettest.Eventually(t, time.Second, "the first copy", func() bool { return len(advertised(c, p.InstanceAddr)) == 1 })
	if got := remembered(t, debts); len(got) != 1 || got[0] != "router" {
		t.Errorf("remembered %q after the first of two copies, want the router's namespace", got)
	}
	first.stop()

	second := start(t, p.Dir, world(p, p.InstanceAddr), s)
	second.awaitReady(t)
	nettest.Eventually(t, 5*time.Second, "the series of the second run", func() bool { return len(remembered(t, debts)) == 0 })
	nettest.Eventually(t, time.Second, "two copies of the second run's own", func() bool { return len(advertised(c, p.InstanceAddr)) >= 3 })
	second.stop()
	time.Sleep(100 * time.Millisecond) // the capture may lag
	told := len(advertised(c, p.InstanceAddr))

	third := start(t, p.Dir, world(p, p.InstanceAddr), s)
	third.awaitReady(t)
	time.Sleep(300 * time.Millisecond)
	if got := len(advertised(c, p.InstanceAddr)) - told; got != 0 {
		t.Errorf("%d advertisements after a plain restart", got)
	}
	if got := remembered(t, debts); len(got) != 0 {
		t.Errorf("remembered %q", got)
	}
}

// Killed between programming and announcing: the next run finds the kernel as
// it should be, and announces.
func TestKilledBeforeAnnouncing(t *testing.T) {
	p := nettest.NewTopology(t)
	debts := t.TempDir()
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	var applied atomic.Bool
	stuck := &doctored{Dataplane: kernel, apply: func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		if _, err := kernel.Apply(ctx, c); err != nil {
			return dataplane.Result{}, err
		}
		applied.Store(true)
		<-ctx.Done()
		return dataplane.Result{}, ctx.Err()
	}}
	first := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true, kernel: stuck, debts: debts})
	nettest.Eventually(t, 5*time.Second, "the write", applied.Load)
	c := p.Upstream.Capture("eth0")
	first.stop()

	second := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true, debts: debts})
	second.awaitReady(t)
	nettest.Eventually(t, 2*time.Second, "the advertisement", func() bool { return len(advertised(c, p.InstanceAddr)) == 1 })
	nettest.Eventually(t, 2*time.Second, "nothing remembered", func() bool { return len(remembered(t, debts)) == 0 })
	if said := second.logs.FilterMessage("answering").Len(); said != 0 {
		t.Errorf("the second run wrote: this test shows nothing")
	}
}

// What is remembered of a namespace that is nobody's any more is forgotten.
func TestStrangeDebts(t *testing.T) {
	p := nettest.NewTopology(t)
	debts := t.TempDir()
	for _, ns := range []string{"router", "elsewhere"} {
		if err := os.WriteFile(debts+"/"+ns, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := start(t, p.Dir, world(p), settings{send: true, debts: debts})
	d.awaitReady(t)
	nettest.Eventually(t, 2*time.Second, "nothing remembered", func() bool { return len(remembered(t, debts)) == 0 })
}

// A carrier that went and came back between two looks: nothing else changed, but
// whatever is behind the link may have learned otherwise.
func TestAShortLossOfCarrier(t *testing.T) {
	p := nettest.NewTopology(t)
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	var flaps atomic.Uint32
	blinking := &observed{Dataplane: kernel, change: func(o *dataplane.Observation) {
		for i := range o.Interfaces {
			if o.Interfaces[i].Name == nettest.External {
				o.Interfaces[i].CarrierUps += flaps.Load()
			}
		}
	}}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: blinking})
	d.awaitReady(t)
	for n := range 3 {
		nettest.Eventually(t, 2*time.Second, "an announcement", func() bool { return len(d.owed.on("router")) == n+1 })
		d.LookAgain()
		time.Sleep(100 * time.Millisecond)
		if got := len(d.owed.on("router")); got != n+1 {
			t.Fatalf("%d announcements, want %d: nothing changed", got, n+1)
		}
		flaps.Add(1)
		d.LookAgain()
	}
}

// observed shows something else than there is.
type observed struct {
	*dataplane.Dataplane
	change func(*dataplane.Observation)
}

func (k *observed) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	o, err := k.Dataplane.Observe(ctx, ns, depth)
	k.change(&o)
	return o, err
}

// The kernel does count, and a real loss is told of, however short it was.
func TestCarrierBack(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true})
	d.awaitReady(t)
	c := p.Upstream.Capture("eth0")
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	ups := func() uint32 {
		o, err := kernel.Observe(t.Context(), "router", dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		i, _ := o.Interface(nettest.External)
		return i.CarrierUps
	}
	before := ups()
	p.Upstream.Run("sh", "-c", "ip link set eth0 down; ip link set eth0 up")
	nettest.Eventually(t, 5*time.Second, "an advertisement", func() bool { return len(advertised(c, p.InstanceAddr)) > 0 })
	if got := ups(); got != before+1 {
		t.Errorf("the kernel counts %d carriers, want %d", got, before+1)
	}
}

// The link is down for ten seconds in the middle of an announcement: when it is
// up again each address is told of once, at once, and also the one that was
// published meanwhile.
func TestTenSecondsWithoutALink(t *testing.T) {
	p := nettest.NewTopology(t)
	second := p.InstanceAddr.Next()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true})
	d.awaitReady(t)
	c := p.Upstream.Capture("eth0")
	p.Upstream.IP("link", "set", "eth0", "down")
	nettest.Eventually(t, 2*time.Second, "silence without a carrier", func() bool {
		return p.Router.ReadSysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp") == "0"
	})
	before := len(advertised(c, p.InstanceAddr))
	d.Inventory().Replace(world(p, p.InstanceAddr, second))
	time.Sleep(10 * time.Second)
	p.Upstream.IP("link", "set", "eth0", "up")
	up := time.Now()
	for _, a := range []netip.Addr{p.InstanceAddr, second} {
		nettest.Eventually(t, 5*time.Second, "the advertisement", func() bool { return len(advertised(c, a)) > 0 })
	}
	t.Logf("told %v after the link came up", time.Since(up))
	time.Sleep(2 * time.Second)
	if one, two := len(advertised(c, p.InstanceAddr)), len(advertised(c, second)); one != before+1 || two != 1 {
		t.Errorf("told %d and %d times, want %d and once", one, two, before+1)
	}
}

func TestTheOperatorAsks(t *testing.T) {
	n := standby(t)
	second := n.InstanceAddr.Next()
	d := start(t, n.Dir, world(n.Topology, n.InstanceAddr, second), settings{send: true})
	d.awaitReady(t)
	c := n.Upstream.Capture("eth0")
	d.AnnounceAll()
	time.Sleep(200 * time.Millisecond)
	if got := len(advertised(c, n.InstanceAddr)); got != 0 {
		t.Errorf("a backup has advertised %d times", got)
	}
	n.gain(t)
	for round := 1; round <= 3; round++ {
		for _, a := range []netip.Addr{n.InstanceAddr, second} {
			nettest.Eventually(t, 2*time.Second, "the advertisement", func() bool { return len(advertised(c, a)) == round })
		}
		d.AnnounceAll()
	}
}

// The kernel refuses to answer: nobody is told that it would, whoever asks.
func TestWhatIsNotAnsweredIsNotAnnounced(t *testing.T) {
	p := nettest.NewTopology(t)
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	broken := &doctored{Dataplane: kernel, apply: func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		for i := range c.Devices {
			c.Devices[i].Answer, c.Devices[i].Answers = dataplane.Keep, false
		}
		return kernel.Apply(ctx, c)
	}}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true, kernel: broken})
	nettest.Eventually(t, 5*time.Second, "the entry", func() bool { return entries(p) != "" })
	c := p.Upstream.Capture("eth0")
	d.AnnounceAll()
	time.Sleep(500 * time.Millisecond)
	if got := len(advertised(c, p.InstanceAddr)); got != 0 {
		t.Errorf("%d advertisements of an address that nobody answers for", got)
	}
}

// No copy leaves for an address that the kernel is being told to withdraw.
func TestNoCopyWhileItIsWithdrawn(t *testing.T) {
	p := nettest.NewTopology(t)
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	var lingers atomic.Bool
	slow := &doctored{Dataplane: kernel, apply: func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		result, err := kernel.Apply(ctx, c)
		if lingers.Load() {
			time.Sleep(3 * time.Second)
		}
		return result, err
	}}
	c := p.Upstream.Capture("eth0")
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true, copies: 3, kernel: slow})
	d.awaitReady(t)
	nettest.Eventually(t, 2*time.Second, "the first copy", func() bool { return len(advertised(c, p.InstanceAddr)) == 1 })
	lingers.Store(true)
	d.Inventory().Replace(world(p))
	nettest.Eventually(t, 2*time.Second, "the entry to go", func() bool { return entries(p) == "" })
	time.Sleep(3 * time.Second)
	if got := len(advertised(c, p.InstanceAddr)); got != 1 {
		t.Errorf("%d copies, want the one before", got)
	}
}

// A refresh is a single copy of what is answered for, time and again.
func TestRefreshes(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{send: true, refresh: 100 * time.Millisecond, copies: 3})
	d.awaitReady(t)
	time.Sleep(3 * time.Second) // the series of the start is over
	c := p.Upstream.Capture("eth0")
	time.Sleep(time.Second)
	if got := len(advertised(c, p.InstanceAddr)); got < 7 || got > 12 {
		t.Errorf("%d advertisements in a second, want about ten", got)
	}
}

// Sending that hangs keeps nobody from being answered for, and programming that
// hangs keeps nobody from being announced.
func TestAnnouncingAndProgrammingDoNotWaitForEachOther(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	kernel := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	hangs := make(chan struct{})
	engine := announcer.New(t.Context(), announcer.Options{
		Send: func(ctx context.Context, _ announcer.Target, _ []netip.Addr) ([]netip.Addr, error) {
			close(hangs)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	second := p.InstanceAddr.Next()
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{engine: engine, kernel: kernel})
	d.awaitReady(t)
	<-hangs
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	d.Inventory().Replace(world(p, second))
	nettest.Eventually(t, 2*time.Second, "the other address instead", func() bool {
		return !p.Upstream.Ping(p.InstanceAddr, 1)
	})

	q := nettest.NewTopology(t)
	free := dataplane.New(dataplane.Options{NetnsDir: q.Dir})
	var first atomic.Bool
	blocked := &doctored{Dataplane: free, apply: func(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
		if first.CompareAndSwap(false, true) {
			return free.Apply(ctx, c)
		}
		<-ctx.Done()
		return dataplane.Result{}, ctx.Err()
	}}
	c := q.Upstream.Capture("eth0")
	e := start(t, q.Dir, world(q, q.InstanceAddr), settings{send: true, copies: 3, kernel: blocked})
	e.awaitReady(t)
	e.Inventory().Replace(world(q, q.InstanceAddr, q.InstanceAddr.Next())) // never written
	nettest.Eventually(t, 5*time.Second, "all copies", func() bool { return len(advertised(c, q.InstanceAddr)) == 3 })
}
