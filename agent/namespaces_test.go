package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// namespace is what is said of one; the zero value: nothing.
func namespace(d *daemon, name string) agent.Namespace {
	all := d.Namespaces()
	i := slices.IndexFunc(all, func(n agent.Namespace) bool { return n.Name == name })
	if i < 0 {
		return agent.Namespace{}
	}
	return all[i]
}

// told compares all but the time.
func told(t *testing.T, got, want agent.Namespace) {
	t.Helper()
	if since := time.Since(got.At); since < 0 || since > time.Minute {
		t.Errorf("%s was looked at %v ago", got.Name, since)
	}
	got.At = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Each namespace is told of with what is in its way, from the moment on in which a
// router is known to be in it, and no longer than that.
func TestNamespacesAreToldOf(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	first := world(p, p.InstanceAddr, p.UpstreamAddr)
	absent := first.Routers[0]
	absent.ID, absent.External = "r2", []inventory.Attachment{{Namespace: "absent", Device: "qg-1"}}
	awaiting := inventory.Router{ID: "r3", Enabled: true, Awaits: "its device"}
	first.Routers = append(first.Routers, absent, awaiting)
	first.Proxies = append(first.Proxies, inventory.Proxy{ID: "p2", RouterID: "r2", Addr: p.InstanceAddr})
	d := start(t, p.Dir, first, settings{})
	d.awaitReady(t)
	got := namespace(d, "router")
	if !strings.HasPrefix(got.Refused, "1 not published, the first "+p.UpstreamAddr.String()+": ") {
		t.Errorf("refused: %q", got.Refused)
	}
	got.Refused = ""
	told(t, got, agent.Namespace{Name: "router", Looked: true, Routers: 1, Proxies: 2, Failed: 1})
	told(t, namespace(d, "absent"), agent.Namespace{Name: "absent", Looked: true, Routers: 1, Proxies: 1, Pending: 1, Trouble: "namespace does not exist yet"})
	if w := d.Waiting(); len(w) != 1 || w["r3"] != "its device" {
		t.Errorf("waiting: %v", w)
	}
	d.Inventory().ReplaceRouters([]string{"r2", "r3"}, inventory.Snapshot{})
	nettest.Eventually(t, 5*time.Second, "the end of the others", func() bool { return len(d.Namespaces()) == 1 && len(d.Waiting()) == 0 })
}

// A look that hangs holds up nobody who asks.
func TestNamespacesOfAHangingLook(t *testing.T) {
	p := nettest.NewTopology(t)
	hangs, goOn := make(chan struct{}), make(chan struct{})
	kernel := &hooked{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir}), observed: func(string) {
		select {
		case hangs <- struct{}{}:
			<-goOn
		case <-goOn:
		}
	}}
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{kernel: kernel})
	<-hangs
	if diff := cmp.Diff(agent.Namespace{Name: "router"}, namespace(d, "router")); diff != "" {
		t.Errorf("before the first look: %s", diff)
	}
	close(goOn)
	d.awaitReady(t)
	if got := namespace(d, "router"); !got.Looked || got.Proxies != 1 {
		t.Errorf("after it: %+v", got)
	}
}
