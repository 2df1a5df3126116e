package dataplane

import (
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// What the upstream asks and what it gets is what is counted.
func TestDiscovery(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	p.Router.Sysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp", "1")
	p.Router.Sysctl("net/ipv6/neigh/"+nettest.External+"/proxy_delay", "0")
	p.Router.IP("-6", "neigh", "add", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	d := New(Options{NetnsDir: p.Dir})
	read := func() Discovery {
		t.Helper()
		got, err := d.Discovery(t.Context(), "router", []string{nettest.External, "absent0", "../../dev", ".."})
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		return got[nettest.External]
	}
	wire := p.Upstream.Capture("eth0")
	before := read()
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
	after := read()
	asked, counted := after.Solicitations-before.Solicitations, after.Advertisements-before.Advertisements
	if asked == 0 || counted == 0 {
		t.Errorf("%d solicitations, %d advertisements", asked, counted)
	}
	nettest.Eventually(t, 5*time.Second, "the upstream to have seen as many", func() bool { // whoever captures may be late
		return uint64(len(wire.Frames(func(f nettest.Frame) bool {
			_, _, is := f.Advertises()
			return is && !f.Outgoing
		}))) == counted
	})
	if _, err := d.Discovery(t.Context(), "nosuch", nil); Classify(err) != ClassGone {
		t.Errorf("of a namespace that is not there: %v", err)
	}
}

func FuzzParseDiscovery(f *testing.F) {
	f.Add("ifIndex                         \t3\nIcmp6InNeighborSolicits         \t17\nIcmp6OutNeighborAdvertisements  \t5\n")
	f.Add("Icmp6InNeighborSolicits x\nIcmp6OutNeighborAdvertisements 1")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDiscovery(text)
		if err != nil && d != (Discovery{}) {
			t.Errorf("%v with %v", d, err)
		}
	})
}

func TestParseDiscovery(t *testing.T) {
	got, err := parseDiscovery("ifIndex                         \t3\nIcmp6InNeighborSolicits         \t17\nIcmp6OutNeighborAdvertisements  \t5\n")
	if want := (Discovery{17, 5}); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseDiscovery("Icmp6InNeighborSolicits 1\n"); err == nil {
		t.Error("half a list is taken")
	}
}
