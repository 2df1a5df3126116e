package agent_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

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

// What this run published it takes back, wherever it was.
func TestOutOfScopeButOurs(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{scope: func(string) bool { return false }})
	d.awaitReady(t)
	if entries(p) == "" {
		t.Fatal("nothing published")
	}
	d.Inventory().Replace(inventory.Snapshot{})
	nettest.Eventually(t, 2*time.Second, "everything to go", func() bool { return entries(p) == "" && tables(p) == "" })
}

// While it can't be told what else a namespace is called, nothing goes.
func TestANamespaceThatCannotBeIdentified(t *testing.T) {
	p := nettest.NewTopology(t)
	first := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	first.awaitReady(t)
	first.stop()
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}),
		identify: func(ns string) (dataplane.ID, error) {
			return dataplane.ID{}, fmt.Errorf("namespace %s: %w", ns, syscall.EMFILE)
		}}
	d := start(t, p.Dir, inventory.Snapshot{}, settings{kernel: k, audit: 50 * time.Millisecond})
	time.Sleep(300 * time.Millisecond)
	if entries(p) == "" || d.logs.FilterMessage("withdrawn").Len() > 0 {
		t.Error("removed on a guess")
	}
}

// A router that is deleted takes its namespace along while we look at it.
func TestANamespaceThatGoesWhileItIsChanged(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}),
		apply: func(_ context.Context, c dataplane.Changes) (dataplane.Result, error) {
			return dataplane.Result{}, fmt.Errorf("namespace %s: %w", c.Namespace, dataplane.ErrNamespaceGone)
		}}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	d.awaitReady(t)
	nettest.Eventually(t, 2*time.Second, "one pending proxy", func() bool { return d.Totals() == agent.Totals{Routers: 1, Enabled: 1, Proxies: 1, Pending: 1} })
	if n := d.logs.FilterMessageSnippet("can't be made").Len(); n != 0 {
		t.Errorf("what is normal was called an error %d times", n)
	}
}

// A filter that can't be written fails every address that waits for it.
func TestAFilterThatCannotBeWritten(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}),
		apply: func(context.Context, dataplane.Changes) (dataplane.Result, error) {
			return dataplane.Result{Failures: []dataplane.Failure{{Op: "filter", Err: syscall.ENOMEM}}}, nil
		}}
	d := start(t, p.Dir, world(p, p.InstanceAddr, p.InstanceAddr.Next()), settings{kernel: k})
	nettest.Eventually(t, 2*time.Second, "two failed proxies", func() bool {
		return d.Totals() == agent.Totals{Routers: 1, Enabled: 1, Proxies: 2, Failed: 2}
	})
}

// What one address needs is gone: it is waited for, and nothing else is.
func TestWhatGoesUnderOneAddress(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}),
		apply: func(context.Context, dataplane.Changes) (dataplane.Result, error) {
			gone := fmt.Errorf("fpr-1: %w", dataplane.ErrDeviceGone)
			return dataplane.Result{Failures: []dataplane.Failure{
				{Addr: p.InstanceAddr, Op: "route set", Err: gone}, {Device: nettest.External, Addr: p.InstanceAddr, Op: "entry set", Err: gone},
			}}, nil
		}}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: k})
	d.awaitReady(t)
	d.totals(t, "what is gone", agent.Totals{Routers: 1, Enabled: 1, Proxies: 1, Pending: 1})
	said := d.logs.FilterMessage("waiting").All()
	if len(said) != 1 || !strings.Contains(fmt.Sprint(said[0].ContextMap()["for"]), "route set for "+p.InstanceAddr.String()) {
		t.Errorf("said: %v", d.logs.All())
	}
}

// At the start only the kernel knows what an earlier run published.
func TestStands(t *testing.T) {
	p := nettest.NewTopology(t)
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{})
	d.awaitReady(t)
	d.stop()
	for dir, want := range map[string]bool{p.Dir: true, t.TempDir(): false} {
		a := agent.New(agent.Options{
			Scope: func(string) bool { return true }, Log: zap.NewNop(),
			Dataplane: dataplane.New(dataplane.Options{NetnsDir: dir, Logger: zap.NewNop()}),
		})
		if got := a.Stands(t.Context()); got != want {
			t.Errorf("something stands: %v", got)
		}
		a.Inventory().Replace(world(p, p.InstanceAddr))
		if a.Stands(t.Context()) {
			t.Error("stands, though the inventory knows of it")
		}
	}
}
