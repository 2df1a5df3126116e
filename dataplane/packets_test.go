package dataplane_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// The whole of it, seen from the upstream router: a published address is
// answered for and let through, any other of the subnet is neither, also when
// the upstream has a route via the gateway and needs no answer.
func TestPublishedPassesAndTheRestDoesNot(t *testing.T) {
	p := nettest.NewTopology(t)
	d := newDataplane(t, p.Dir)
	other := addr("2001:db8:0:2::11")
	p.Instance.AddAddr("eth0", other.String()+"/64")
	p.OnLink()
	p.Upstream.Unreachable(p.InstanceAddr)

	res := converge(t, d, published(p, p.InstanceAddr))
	if got := res.Answerable[nettest.External]; len(got) != 1 || got[0] != p.InstanceAddr {
		t.Errorf("answerable: %v", res.Answerable)
	}
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	p.Upstream.Unreachable(other)

	p.ViaGateway()
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
	p.Upstream.Unreachable(other)
	p.Router.Reaches(other, time.Second) // it is there; only the way from outside is shut
	p.Instance.Run("ping", "-6", "-n", "-c", "1", "-W", "1", "-I", p.InstanceAddr.String(), p.UpstreamAddr.String())

	// Both published: the other one opens, the first one stays.
	converge(t, d, published(p, p.InstanceAddr, other))
	p.Upstream.Reaches(other, time.Second)
	p.Upstream.Reaches(p.InstanceAddr, time.Second)

	// Withdrawn: shut again.
	res = converge(t, d, published(p, other))
	if got := res.Withdrawn[nettest.External]; len(got) != 1 || got[0] != p.InstanceAddr {
		t.Errorf("withdrawn: %v", res.Withdrawn)
	}
	p.Upstream.Unreachable(p.InstanceAddr)

	// Nothing wanted: nothing of ours is left, and nothing is filtered.
	converge(t, d, dataplane.State{Namespace: p.Router.Name})
	if owned, err := d.Owned(t.Context(), p.Router.Name); err != nil || owned {
		t.Errorf("owned after clean-up: %v, %v", owned, err)
	}
	if out := p.Router.Run("nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind:\n%s", out)
	}
	p.Upstream.Reaches(p.InstanceAddr, time.Second)
}

// Answers: multicast at once with proxy_delay 0, unicast by the rule alone with
// conf.all.proxy_ndp 0, and by nothing else.
func TestSolicitationsAreAnswered(t *testing.T) {
	p := nettest.NewTopology(t)
	d := newDataplane(t, p.Dir)
	want := published(p, p.InstanceAddr)
	converge(t, d, want)
	if got := p.Router.ReadSysctl("net/ipv6/conf/all/proxy_ndp"); got != "0" {
		t.Fatalf("conf.all.proxy_ndp is %s", got)
	}
	source, mac := p.Upstream.LinkLocal("eth0"), p.Router.MAC(nettest.External)
	ask := func(s nettest.Solicitation) (nettest.Answer, bool) {
		s.Device, s.Source = "eth0", source
		if !s.Target.IsValid() {
			s.Target = p.InstanceAddr
		}
		return p.Upstream.Solicit(s)
	}
	for _, unicast := range []bool{false, true} {
		s := nettest.Solicitation{}
		if unicast {
			s.Unicast = mac
		}
		a, ok := ask(s)
		if !ok {
			t.Fatalf("solicitation (unicast %v) is not answered", unicast)
		}
		if a.After > 20*time.Millisecond {
			t.Errorf("solicitation (unicast %v) is answered after %s", unicast, a.After)
		}
		na := a.Advertisement
		if !na.Solicited || na.Override || na.Router || a.From != p.Router.LinkLocal(nettest.External) {
			t.Errorf("answer (unicast %v) from %s: %+v", unicast, a.From, na)
		}
	}
	silence := map[string]nettest.Solicitation{
		"unicast with hop limit 64": {Unicast: mac, HopLimit: 64, Within: 50 * time.Millisecond},
		"unpublished, multicast":    {Target: addr("2001:db8:0:2::99"), Within: 50 * time.Millisecond},
		"unpublished, unicast":      {Target: addr("2001:db8:0:2::99"), Unicast: mac, Within: 50 * time.Millisecond},
	}
	for name, s := range silence {
		if a, ok := ask(s); ok {
			t.Errorf("%s is answered: %+v", name, a)
		}
	}
	// Without the rule the unicast one is lost: the test above can fail.
	want.Devices[0].LinkLocal = netip.Addr{}
	converge(t, d, want)
	if _, ok := ask(nettest.Solicitation{Unicast: mac, Within: 50 * time.Millisecond}); ok {
		t.Error("a unicast solicitation is answered without the rule")
	}
	if _, ok := ask(nettest.Solicitation{}); !ok {
		t.Error("a multicast solicitation is not answered without the rule")
	}
	// Not answering is one sysctl; the rest stays programmed.
	want.Devices[0].Answer = false
	res := converge(t, d, want)
	if res.Writes != 1 || len(res.Withdrawn[nettest.External]) != 1 {
		t.Errorf("switching off: %+v", res)
	}
	if _, ok := ask(nettest.Solicitation{Within: 50 * time.Millisecond}); ok {
		t.Error("answered while switched off")
	}
	want.Devices[0].Answer = true
	res = converge(t, d, want)
	if res.Writes != 1 || len(res.Answerable[nettest.External]) != 1 {
		t.Errorf("switching on: %+v", res)
	}
}

// Neighbour unreachability detection of a Linux upstream succeeds again and
// again with the rule, and never without it. Over UDP: ping confirms entries by
// itself.
func TestUnreachabilityDetection(t *testing.T) {
	for name, rule := range map[string]bool{"with the rule": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := nettest.NewTopology(t)
			want := published(p, p.InstanceAddr)
			if !rule {
				want.Devices[0].LinkLocal = netip.Addr{}
			}
			converge(t, newDataplane(t, p.Dir), want)
			flow, states := watchDetection(t, p)
			if states["PROBE"] < 2 {
				t.Fatalf("hardly probed, so nothing was tested: %v", states)
			}
			if rule && (states["FAILED"] > 0 || flow.Received != flow.Sent) {
				t.Errorf("the upstream gave the entry up: %v, flow %+v", states, flow)
			}
			if !rule && states["FAILED"] == 0 {
				t.Errorf("unicast solicitations are answered by something else: %v", states)
			}
		})
	}
}

// watchDetection sends UDP for some cycles of about a second (instead of 35)
// and counts the states that the upstream's entry goes through.
func watchDetection(t *testing.T, p *nettest.Topology) (nettest.Flow, map[string]int) {
	t.Helper()
	p.OnLink()
	p.Upstream.Sysctl("net/ipv6/neigh/eth0/base_reachable_time_ms", "500")
	p.Upstream.Sysctl("net/ipv6/neigh/eth0/delay_first_probe_time", "1")
	p.Upstream.Sysctl("net/ipv6/neigh/eth0/retrans_time_ms", "100")
	to := netip.AddrPortFrom(p.InstanceAddr, 7)
	p.Instance.UDPEcho(to)
	log, err := os.Create(filepath.Join(t.TempDir(), "monitor.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p.Upstream.StartTo(log, "ip", "-6", "monitor", "neigh")
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	flow := p.Upstream.UDPFlow(ctx, to, 10*time.Millisecond)
	seen, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for line := range strings.Lines(string(seen)) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == p.InstanceAddr.String() {
			states[fields[len(fields)-1]]++
		}
	}
	return flow, states
}
