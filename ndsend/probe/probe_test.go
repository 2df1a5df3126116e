package probe_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/probe"
	"neutron-ndp-proxy-agent/test/nettest"
)

const child = "PROBE_TEST_NAMESPACE" // of a run of this program that is to be killed

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		enter := func(fn func() error) error { return enterNamed(os.Getenv(child), fn) }
		_, err := probe.Ask(context.Background(), probe.Options{Enter: enter, Device: qg, Addr: target})
		_, _ = os.Stderr.WriteString("not killed in time: " + errText(err))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func errText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

const qg = "qg-1"

var target = netip.MustParseAddr("2001:db8:0:1::5")

// lab is a host with a bridge, on which a router with a proxied address and an upstream
// are.
type lab struct {
	*nettest.Lab
	host, router, upstream *nettest.Namespace
}

func newLab(t *testing.T) lab {
	l := nettest.New(t)
	b := lab{l, l.Namespace("host"), l.Namespace("router"), l.Namespace("upstream")}
	b.host.IP("link", "add", "brq", "type", "bridge")
	b.host.IP("link", "set", "brq", "up")
	b.router.Sysctl("net/ipv6/conf/all/forwarding", "1")
	l.Veth(b.host, "tap", b.router, qg)
	l.Veth(b.host, "phys", b.upstream, "eth0")
	b.host.IP("link", "set", "tap", "master", "brq")
	b.host.IP("link", "set", "phys", "master", "brq")
	b.router.Sysctl("net/ipv6/conf/"+qg+"/proxy_ndp", "1")
	b.router.Sysctl("net/ipv6/neigh/"+qg+"/proxy_delay", "0")
	b.router.IP("-6", "neigh", "add", "proxy", target.String(), "dev", qg)
	b.router.LinkLocal(qg)
	b.upstream.LinkLocal("eth0")
	return b
}

func (b lab) options(device string) probe.Options {
	return probe.Options{Enter: b.router.Enter, Device: device, Addr: target}
}

// ask asks from the host.
func (b lab) ask(t *testing.T, device string) (h probe.Heard, err error) {
	b.host.Do(func() error { h, err = probe.Ask(t.Context(), b.options(device)); return nil })
	return h, err
}

func TestAsk(t *testing.T) {
	b := newLab(t)
	before := b.host.IP("-o", "link")
	h, err := b.ask(t, qg)
	// The kernel by itself answers no unicast solicitation for a proxied address.
	if err != nil || !h.Answered() || len(h.Others()) != 0 || h.Unicast || h.Bridge != "brq" || !slices.Equal(h.MAC, b.router.MAC(qg)) {
		t.Errorf("%+v, %v", h, err)
	}
	b.router.Sysctl("net/ipv6/conf/all/proxy_ndp", "1")
	b.router.AddAddr(qg, "2001:db8:0:1::1/64") // a route
	if h, err = b.ask(t, qg); err != nil || !h.Unicast {
		t.Errorf("with proxy_ndp of all: %+v, %v", h, err)
	}
	// The neighbour cache has forgotten nothing, and nobody was told another address.
	if n := b.upstream.Neighbour("eth0", target); n.State != "" {
		t.Errorf("the upstream learned %+v", n)
	}
	b.router.IP("-6", "neigh", "del", "proxy", target.String(), "dev", qg)
	if h, err = b.ask(t, qg); err != nil || len(h.Answers) != 0 {
		t.Errorf("without an entry: %+v, %v", h, err)
	}
	nettest.Eventually(t, 5*time.Second, "everything to be gone", func() bool { return b.host.IP("-o", "link") == before })
}

// A process that is killed in the middle leaves nothing.
func TestKilled(t *testing.T) {
	b := newLab(t)
	b.router.IP("-6", "neigh", "del", "proxy", target.String(), "dev", qg) // so that it takes its time
	before := b.host.IP("-o", "link")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), child+"="+b.router.Path)
	cmd.Stderr = &out
	b.host.Do(cmd.Start)
	nettest.Eventually(t, 5*time.Second, "the throw-away device", func() bool { return b.host.IP("-o", "link") != before })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || out.Len() > 0 {
		t.Errorf("%v: %s", err, out.String())
	}
	nettest.Eventually(t, 10*time.Second, "everything to be gone", func() bool { return b.host.IP("-o", "link") == before })
}

func TestNoWay(t *testing.T) {
	b := newLab(t)
	b.Veth(b.router, "qg-2", b.upstream, "eth1")
	b.Veth(b.router, "qg-3", b.host, "alone")
	b.router.IP("link", "add", "qg-4", "type", "bridge")
	for device, want := range map[string]string{
		"qg-2": "not in this network namespace", "qg-3": "alone, the other end of qg-3, is no port of a bridge", "qg-4": `a device of type "bridge"`,
	} {
		if _, err := b.ask(t, device); !errors.Is(err, probe.ErrNoWay) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", device, err, want)
		}
	}
	if _, err := b.ask(t, "qg-9"); err == nil || errors.Is(err, probe.ErrNoWay) {
		t.Errorf("without a device: %v", err)
	}
}

func TestWatch(t *testing.T) {
	b := newLab(t)
	watch := func(act func()) probe.Seen {
		t.Helper()
		done := make(chan probe.Seen, 1)
		go func() {
			s, err := probe.Watch(t.Context(), b.options(qg), 700*time.Millisecond)
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		time.Sleep(200 * time.Millisecond)
		if act != nil {
			act()
		}
		return <-done
	}
	if s := watch(nil); s.Asked+s.Answered+s.In+s.Out+len(s.Others) != 0 || !slices.Equal(s.MAC, b.router.MAC(qg)) {
		t.Errorf("nothing happened: %+v", s)
	}
	ask := func() {
		b.upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: b.upstream.LinkLocal("eth0"), Target: target})
	}
	if s := watch(ask); s.Asked == 0 || s.Answered == 0 || len(s.Others) != 0 {
		t.Errorf("asked: %+v", s)
	}
	b.upstream.IP("-6", "route", "add", target.String(), "dev", "eth0")
	if s := watch(func() { b.upstream.Ping(target, 1) }); s.In == 0 {
		t.Errorf("a ping came in: %+v", s)
	}
	advertise := func() {
		sender, err := ndsend.Open(ndsend.Config{Interface: "eth0", Enter: b.upstream.Enter})
		if err != nil {
			t.Error(err)
			return
		}
		defer sender.Close()
		if _, err := sender.Send(t.Context(), []netip.Addr{target}); err != nil {
			t.Error(err)
		}
	}
	if s := watch(advertise); len(s.Others) != 1 || !slices.Equal(s.Others[0], b.upstream.MAC("eth0")) {
		t.Errorf("another one advertised it: %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := probe.Watch(ctx, b.options(qg), time.Hour); err != nil || s.For > time.Second {
		t.Errorf("cancelled: %+v, %v", s, err)
	}
	if _, err := probe.Watch(t.Context(), b.options("qg-9"), time.Second); err == nil {
		t.Error("a device that is not there is watched")
	}
}
