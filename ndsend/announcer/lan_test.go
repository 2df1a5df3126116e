package announcer

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// lan is an upstream router and two nodes on a switch that learns. Both nodes
// are ready to forward what comes for the published address to its instance.
type lan struct {
	t                *testing.T
	upstream, bridge *nstest.Namespace
	a, b             *node
	published        netip.Addr
}

// node is one with a proxy entry and a route for the published address. It is
// as silent as the backup of a highly available router: answer makes it speak.
type node struct {
	*nstest.Namespace
	lan      *lan
	mac      string
	port     int           // of the switch, its index
	instance *nstest.Trace // what it forwards
}

func newLAN(t *testing.T, macA, macB string) *lan {
	t.Helper()
	l := &lan{
		t: t, upstream: nstest.New(t), bridge: nstest.New(t),
		published: netip.MustParseAddr("2001:db8:0:1::5"),
	}
	// The ports of the switch speak no IPv6 of their own.
	l.bridge.Sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	l.bridge.IP("link", "add", "br0", "up", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
	nstest.LinkDown(t, l.upstream, "up0", l.bridge, "pu")
	l.plug("pu")
	l.upstream.Sysctl("net/ipv6/conf/all/forwarding", "1")
	l.upstream.Sysctl("net/ipv6/conf/up0/accept_dad", "0")
	l.upstream.IP("link", "set", "up0", "up")
	l.upstream.IP("address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
	l.upstream.IP("-6", "route", "add", "2001:db8:0:1::/64", "dev", "up0")
	l.a, l.b = l.newNode("pa", macA), l.newNode("pb", macB)
	return l
}

func (l *lan) plug(port string) {
	l.t.Helper()
	l.bridge.IP("link", "set", port, "master", "br0", "up")
}

func (l *lan) newNode(port, mac string) *node {
	l.t.Helper()
	n := &node{Namespace: nstest.New(l.t), lan: l, mac: mac}
	// The reports of the groups that each proxy entry joins would move the
	// switch's entry too; the daemon's own table drops those of a backup.
	n.Exec("nft", "add table ip6 t; add chain ip6 t o { type filter hook output priority 0; }; add rule ip6 t o icmpv6 type mld2-listener-report drop")
	nstest.LinkDown(l.t, n.Namespace, "qg-1", l.bridge, port)
	l.plug(port)
	n.Sysctl("net/ipv6/conf/all/forwarding", "1")
	n.IP("link", "set", "qg-1", "address", mac, "addrgenmode", "none")
	n.IP("link", "set", "qg-1", "up")
	n.Sysctl("net/ipv6/neigh/qg-1/proxy_delay", "0")
	n.IP("-6", "neigh", "add", "proxy", l.published.String(), "dev", "qg-1")
	// Nobody has the instance's link-layer address: its packets end here.
	n.IP("link", "add", "tap0", "type", "veth", "peer", "name", "instance0")
	n.IP("link", "set", "instance0", "up")
	n.IP("link", "set", "tap0", "up")
	n.IP("neigh", "add", l.published.String(), "lladdr", "fa:16:3e:00:00:99", "dev", "tap0", "nud", "permanent")
	n.IP("-6", "route", "add", l.published.String(), "dev", "tap0")
	n.instance = n.Trace("tap0")
	n.port = l.bridge.Index(port)
	return n
}

// answer makes the node answer solicitations and able to advertise, without a
// frame that would move anything.
func (n *node) answer() {
	n.lan.t.Helper()
	n.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "1")
	n.IP("address", "add", "fe80::"+n.mac[15:]+"/64", "dev", "qg-1", "nodad")
}

// wantForwarded waits until the node has forwarded these packets of the stream.
func (n *node) wantForwarded(numbers []uint64) {
	n.lan.t.Helper()
	missing := make(map[uint64]bool)
	for _, number := range numbers {
		missing[number] = true
	}
	forwarded := func(event nstest.Event) bool {
		if event.Out && event.UDP(n.lan.published) != nil {
			delete(missing, n.lan.number(event.Frame))
		}
		return len(missing) == 0
	}
	if len(missing) > 0 && !n.instance.Until(forwarded) {
		n.lan.t.Fatalf("%d of %d packets to %s were lost", len(missing), len(numbers), n.mac)
	}
	n.instance.WantWhole()
}

// stream sends a numbered packet from the upstream router to the published
// address every two milliseconds until it is stopped.
func (l *lan) stream() (stop func()) {
	datagrams := l.upstream.Datagrams()
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for number := uint64(0); ; number++ {
			datagrams.Send(l.published, binary.BigEndian.AppendUint64(nil, number))
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}
