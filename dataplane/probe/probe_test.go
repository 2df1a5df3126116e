package probe_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/probe"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The kernel of the tests has what all other tests here use, and the probe leaves
// nothing: not in the namespace that it is called from, and none behind.
func TestRun(t *testing.T) {
	needRoot(t)
	before := surroundings(t)
	results := probe.Run(context.Background(), probe.Options{Protocol: 110, Table: "neutron_ndp_proxy", Rules: true})
	if len(results) != 6 {
		t.Errorf("%d results", len(results))
	}
	for _, r := range results {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Feature, r.Err)
		}
	}
	if after := surroundings(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// surroundings is this thread's own namespace, and how many there are.
func surroundings(t *testing.T) string {
	t.Helper()
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	text := own
	for _, c := range [][]string{{"ip", "-6", "neigh", "show", "proxy"}, {"ip", "-6", "rule"}, {"nft", "list", "tables"}, {"sysctl", "net.ipv6.conf.lo.proxy_ndp", "net.ipv6.neigh.lo.proxy_delay"}} {
		out, err := exec.Command(c[0], c[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", c, err, out)
		}
		text += "\n" + string(out)
	}
	return text
}

// A cancelled context ends each of them, and each says so.
func TestEachForItself(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	failed := 0
	for _, r := range probe.Run(ctx, probe.Options{Protocol: 110, Table: "t", Rules: true}) {
		if errors.Is(r.Err, context.Canceled) {
			failed++
		}
	}
	if failed != 4 {
		t.Errorf("%d features failed, want sysctls, neighbours, filter, rules", failed)
	}
}

func TestHasChain(t *testing.T) {
	needRoot(t)
	lab := nettest.New(t)
	ns := lab.Namespace("router")
	for _, c := range []struct{ add, chain string }{{"", "neutron-l3-agent-NDP"}, {"add table ip6 filter", "neutron-l3-agent-NDP"}, {"add chain ip6 filter other", "neutron-l3-agent-NDP"}} {
		if c.add != "" {
			ns.Run("nft", c.add)
		}
		if there, err := probe.HasChain(context.Background(), filepath.Dir(ns.Path), filepath.Base(ns.Path), "filter", c.chain); there || err != nil {
			t.Errorf("after %q: %t, %v", c.add, there, err)
		}
	}
	ns.Run("nft", "add chain ip6 filter neutron-l3-agent-NDP")
	if there, err := probe.HasChain(context.Background(), filepath.Dir(ns.Path), filepath.Base(ns.Path), "filter", "neutron-l3-agent-NDP"); !there || err != nil {
		t.Errorf("with the chain: %t, %v", there, err)
	}
	if _, err := probe.HasChain(context.Background(), filepath.Dir(ns.Path), "none", "filter", "x"); !errors.Is(err, netns.ErrGone) {
		t.Errorf("no namespace: %v", err)
	}
}

// Without the capability there is one result.
func TestDenied(t *testing.T) {
	if os.Getenv("PROBE_DENIED") != "" {
		results := probe.Run(context.Background(), probe.Options{Protocol: 110, Table: "t"})
		if len(results) != 1 || !probe.Denied(results[0]) || !errors.Is(results[0].Err, unix.EPERM) || !strings.Contains(results[0].Err.Error(), "unshare") {
			t.Fatalf("%+v", results)
		}
		return
	}
	needRoot(t)
	setpriv := exec.Command("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--reuid=0", "/proc/self/exe")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	setpriv.Args[len(setpriv.Args)-1] = self
	setpriv.Args = append(setpriv.Args, "-test.run=^TestDenied$", "-test.v")
	setpriv.Env = append(os.Environ(), "PROBE_DENIED=1")
	if out, err := setpriv.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestDenied") {
		t.Errorf("%v\n%s", err, out)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}
