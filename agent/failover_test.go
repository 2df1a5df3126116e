package agent_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// node is the router's namespace of one node of an HA router.
type node struct {
	*nettest.Topology
	linkLocal netip.Addr
}

// standby makes the router a backup as keepalived and the L3 agent do: the
// device is up, without any address, and does not forward.
func standby(t *testing.T) node {
	p := nettest.NewTopology(t)
	p.OnLink()
	n := node{Topology: p, linkLocal: p.Router.LinkLocal(nettest.External)}
	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/addr_gen_mode", "1") // no address of the kernel's own
	n.lose()
	return n
}

func (n node) lose() {
	n.Router.IP("-6", "address", "flush", "dev", nettest.External)
	n.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/forwarding", "0")
}

// gain adds the addresses in keepalived's order, and returns the moment before
// the gateway's one.
func (n node) gain(t *testing.T) (at time.Time) {
	t.Helper()
	n.Router.Do(func() error {
		link, err := netlink.LinkByName(nettest.External)
		if err != nil {
			return err
		}
		for _, a := range []netip.Addr{n.linkLocal, n.GatewayAddr} {
			at = time.Now()
			if err := netlink.AddrAdd(link, &netlink.Addr{
				IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return at
}

func (n node) answers() bool {
	return n.Router.ReadSysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp") == "1"
}

// advertised returns the unsolicited advertisements for an address, in order.
func advertised(c *nettest.Capture, addr netip.Addr) []nettest.Frame {
	return c.Frames(func(f nettest.Frame) bool {
		target, solicited, ok := f.Advertises()
		return ok && !solicited && target == addr
	})
}

// The backup has everything programmed and says nothing; once keepalived brings
// the gateway's address, each address is announced once, at once, although the
// L3 agent switches forwarding on only seconds later.
func TestFailover(t *testing.T) {
	n := standby(t)
	second := n.InstanceAddr.Next()
	d := start(t, n.Dir, world(n.Topology, n.InstanceAddr, second), settings{send: true})
	d.awaitReady(t)
	d.totals(t, "a backup", agent.Totals{Routers: 1, Enabled: 1, Proxies: 2, Pending: 2})
	if !strings.Contains(entries(n.Topology), second.String()) || n.answers() {
		t.Errorf("a backup should have entries and not answer: %q, answers %v", entries(n.Topology), n.answers())
	}
	c := n.Upstream.Capture("eth0")
	n.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/ignore_routes_with_linkdown", "1") // any event
	var took []time.Duration
	for round := range 8 {
		if round > 0 {
			n.lose()
		}
		nettest.Eventually(t, 2*time.Second, "silence without the address", func() bool { return !n.answers() })
		time.Sleep(100 * time.Millisecond)
		if got := len(advertised(c, n.InstanceAddr)); got != round {
			t.Fatalf("round %d: a backup has advertised: %d, want %d", round, got, round)
		}
		at := n.gain(t)
		nettest.Eventually(t, 2*time.Second, "the advertisements", func() bool {
			return len(advertised(c, n.InstanceAddr)) > round && len(advertised(c, second)) > round
		})
		took = append(took, advertised(c, n.InstanceAddr)[round].At.Sub(at))
		if !n.answers() {
			t.Error("advertised, but does not answer")
		}
		nettest.Eventually(t, time.Second, "the word that forwarding is off", func() bool {
			return d.Totals().Pending == 2
		})
		n.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/forwarding", "1")
		nettest.Eventually(t, time.Second, "nothing pending", func() bool { return d.Totals().Pending == 0 })
		n.Upstream.FlushNeighbours("eth0")
		n.Upstream.Reaches(n.InstanceAddr, 3*time.Second)
	}
	for _, a := range []netip.Addr{n.InstanceAddr, second} {
		if got := len(advertised(c, a)); got != len(took) {
			t.Errorf("%s was advertised %d times in %d failovers", a, got, len(took))
		}
	}
	t.Logf("from the address to the first advertisement: %v", took)
	slices.Sort(took)
	if best := took[0]; best > 20*time.Millisecond {
		t.Errorf("the fastest of %d failovers took %v to be announced", len(took), best)
	}
}

// A namespace in back-off is looked at as soon as something happens in it.
func TestAFailoverIsNotBehindABackoff(t *testing.T) {
	n := standby(t)
	k := &troubled{Dataplane: dataplane.New(dataplane.Options{NetnsDir: n.Dir}), fails: 1 << 30, with: syscall.ENOBUFS}
	d := start(t, n.Dir, world(n.Topology, n.InstanceAddr), settings{kernel: k, send: true, retry: time.Hour})
	nettest.Eventually(t, 5*time.Second, "failures", func() bool { return d.Totals().Failed == 1 })
	time.Sleep(300 * time.Millisecond) // whatever events there were are over
	k.recover()
	c := n.Upstream.Capture("eth0")
	at := n.gain(t)
	nettest.Eventually(t, 2*time.Second, "the advertisement", func() bool { return len(advertised(c, n.InstanceAddr)) == 1 })
	t.Logf("from the address to the advertisement: %v", advertised(c, n.InstanceAddr)[0].At.Sub(at))
}

// An address that is being checked for duplicates does not make a primary; one
// that is checked again does not end one.
func TestTentativeAddresses(t *testing.T) {
	n := standby(t)
	d := start(t, n.Dir, world(n.Topology, n.InstanceAddr), settings{send: true})
	d.awaitReady(t)
	c := n.Upstream.Capture("eth0")
	key := "net/ipv6/conf/" + nettest.External + "/"
	n.Router.Sysctl(key+"dad_transmits", "3")
	n.Router.Sysctl(key+"accept_dad", "1")
	n.Router.IP("address", "add", n.linkLocal.String()+"/64", "dev", nettest.External, "nodad")
	n.Router.IP("address", "add", n.GatewayAddr.String()+"/64", "dev", nettest.External)
	time.Sleep(500 * time.Millisecond)
	if !strings.Contains(n.Router.IP("-6", "address", "show", "dev", nettest.External), "tentative") {
		t.Skip("duplicate address detection was over before this test could look")
	}
	if n.answers() || len(advertised(c, n.InstanceAddr)) != 0 {
		t.Errorf("answers %v and advertised %d times for a tentative address", n.answers(), len(advertised(c, n.InstanceAddr)))
	}
	nettest.Eventually(t, 10*time.Second, "the end of the check", func() bool { return len(advertised(c, n.InstanceAddr)) == 1 && n.answers() })

	// The carrier comes back: the address is there, and checked again.
	n.Upstream.IP("link", "set", "eth0", "down")
	nettest.Eventually(t, 2*time.Second, "silence without a carrier", func() bool { return !n.answers() })
	n.Upstream.IP("link", "set", "eth0", "up")
	nettest.Eventually(t, 10*time.Second, "answers again", n.answers)
}

const carrierWait = 200 * time.Millisecond

// After a cut of the host's own link, nothing has changed in the namespaces, but
// the switches may have: a primary tells again, a backup does not.
func TestACarrierOfTheHost(t *testing.T) {
	n := standby(t)
	carrier := make(chan struct{}, 1)
	d := start(t, n.Dir, world(n.Topology, n.InstanceAddr), settings{send: true, carrier: carrier})
	d.awaitReady(t)
	c := n.Upstream.Capture("eth0")
	carrier <- struct{}{}
	time.Sleep(2 * carrierWait)
	if got := len(advertised(c, n.InstanceAddr)); got != 0 {
		t.Fatalf("a backup has advertised %d times", got)
	}
	n.gain(t)
	nettest.Eventually(t, 2*time.Second, "the failover", func() bool { return len(advertised(c, n.InstanceAddr)) == 1 })
	// The wait starts anew while the link comes and goes.
	for range 5 {
		carrier <- struct{}{}
		time.Sleep(carrierWait / 4)
	}
	if got := len(advertised(c, n.InstanceAddr)); got != 1 {
		t.Fatalf("advertised %d times before the nodes can have agreed", got)
	}
	nettest.Eventually(t, 2*time.Second, "another advertisement", func() bool { return len(advertised(c, n.InstanceAddr)) == 2 })
	n.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/ignore_routes_with_linkdown", "1") // any event
	time.Sleep(200 * time.Millisecond)
	if got := len(advertised(c, n.InstanceAddr)); got != 2 {
		t.Errorf("advertised %d times, want 2", got)
	}
}
