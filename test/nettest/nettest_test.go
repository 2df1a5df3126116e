package nettest_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/test/nettest"
)

// The topology forwards, and without a route, an answer or a listener things
// fail: tests built on it can fail.
func TestTopology(t *testing.T) {
	p := nettest.NewTopology(t)
	p.Upstream.Unreachable(p.InstanceAddr)
	p.ViaGateway()
	p.Upstream.Reaches(p.InstanceAddr, 2*time.Second)
	if got := p.Upstream.Neighbour("eth0", p.GatewayAddr); got.State == "" || got.MAC.String() != p.Router.MAC(nettest.External).String() {
		t.Errorf("neighbour cache has %+v for the gateway", got)
	}

	to := netip.AddrPortFrom(p.InstanceAddr, 7)
	p.Instance.UDPEcho(to)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if f := p.Upstream.UDPFlow(ctx, to, 5*time.Millisecond); f.Sent == 0 || f.Received != f.Sent {
		t.Errorf("flow %+v", f)
	}

	source := p.Upstream.LinkLocal("eth0")
	a, ok := p.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: source, Target: p.GatewayAddr})
	if !ok || a.Advertisement.TargetAddress != p.GatewayAddr {
		t.Errorf("multicast solicitation of the gateway: %+v, %v", a, ok)
	}
	mac := p.Router.MAC(nettest.External)
	if _, ok = p.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: source, Target: p.GatewayAddr, Unicast: mac}); !ok {
		t.Error("unicast solicitation of the gateway is not answered")
	}
	if _, ok = p.Upstream.Solicit(nettest.Solicitation{Device: "eth0", Source: source, Target: p.InstanceAddr, Within: 50 * time.Millisecond}); ok {
		t.Error("a solicitation for the instance is answered by somebody")
	}
}

func TestLabTakesItselfDown(t *testing.T) {
	var dir string
	t.Run("inner", func(t *testing.T) {
		l := nettest.New(t)
		dir = l.Dir
		l.Namespace("a")
		b := l.Namespace("b")
		l.Delete(b)
		if names, err := netns.List(dir); err != nil || len(names) != 1 {
			t.Errorf("names %v, %v", names, err)
		}
	})
	if dir == "" {
		t.Skip("needs root")
	}
	if _, err := os.Stat(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}
