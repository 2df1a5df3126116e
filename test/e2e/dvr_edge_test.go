//go:build lab

package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// TestDVRNoExternal: the second host changes from dvr to dvr_no_external. What the daemon did there
// goes with its start, it answers for nothing, and the instances there are served from snat- of the
// dvr_snat host, with the filter; that host's own instance still from its shared namespace.
func TestDVRNoExternal(t *testing.T) {
	w := setupDVR(t, "dvr_snat", "dvr", false)
	const audit = 10 * time.Second
	w.start(w.one, "audit_interval = 10\n")
	d := w.start(w.two, "")
	w.reached(10 * time.Second)

	w.must(d.Stop(w.ctx))
	if stale := w.ours(w.two); !strings.Contains(stale, w.far.Addr.String()) {
		t.Fatalf("nothing of the old mode on %s: the test proves nothing:\n%s", w.two, stale)
	}
	w.must(w.lab.SetAgentModes(w.ctx, "dvr_snat", "dvr_no_external"))
	if !nettools.Exists(w.fip(w.two)) {
		t.Logf("the L3 agent removed %s", w.cloud.FIP())
	}
	w.start(w.two, "")
	if stale := w.ours(w.two); stale != "" { // ready means applied
		t.Errorf("of the mode dvr there is still on %s:\n%s", w.two, stale)
	}
	w.must(w.two.CleanL3(w.ctx))

	qg, err := lab.MACOf(w.ctx, w.cloud.Snat(), w.cloud.GatewayDev)
	w.must(err)
	wire, err := nettools.StartCapture(lab.UpstreamNS, w.two.UpstreamPort())
	w.must(err)
	w.reached(audit + 10*time.Second)
	w.entries(w.cloud.Snat(), w.cloud.GatewayDev, w.far)
	w.served(w.far, qg)
	device, mac := w.fg(w.one)
	w.entries(w.fip(w.one), device, w.own)
	w.served(w.own, mac)
	w.unserved(w.hidden, map[string]string{"fg-": mac, "qg-": qg})
	w.bare(w.two)
	wire.Stop()
	answered := wire.Packets(func(p nettools.Packet) bool {
		return !p.Outgoing && (p.Advertises(w.own.Addr) || p.Advertises(w.far.Addr) || p.Advertises(w.hidden.Addr))
	})
	if len(answered) > 0 {
		t.Errorf("%s answered %d times, first %+v", w.two, len(answered), answered[0])
	}

	// and back: the change is seen by both without a word from the server but the agent's report
	w.must(w.daemons[w.two.Name].Stop(w.ctx))
	w.must(w.lab.SetAgentModes(w.ctx, "dvr_snat", "dvr"))
	w.fg(w.two)
	w.start(w.two, "")
	w.settles(audit+5*time.Second, "nothing published in "+w.cloud.Snat(), func() string { return w.left(w.one, w.far) })
	w.reached(30 * time.Second) // Neutron's L2 agent takes its time with the router's new devices
	_, mac = w.fg(w.two)
	w.served(w.far, mac)
}

// TestDVRHA: a distributed router whose gateway is highly available, on a dvr_snat host. Instances on
// a dvr host are served there; those on a dvr_no_external host from snat-, by the node that keepalived
// made primary. The dvr_snat host's own instances can not be served with this Neutron: on such a host
// the L3 agent gives qrouter- neither a link-local address nor IPv6 forwarding, so that nothing of
// IPv6 passes there; the daemon has to say what it waits for, and must not answer.
func TestDVRHA(t *testing.T) {
	w := setupDVR(t, "dvr_snat", "dvr", true)
	one := w.start(w.one, "audit_interval = 10\n")
	d := w.start(w.two, "")
	_, err := nettools.AwaitReachable(w.within(10*time.Second), lab.UpstreamNS, w.far.Addr)
	w.must(err)
	_, mac := w.fg(w.two)
	w.served(w.far, mac)

	if forwarding, err := nettools.Sysctl("qrouter-"+w.cloud.Router, "ipv6/conf/all/forwarding"); err != nil || forwarding == "1" {
		t.Errorf("forwarding in qrouter- is %q, %v: this Neutron could serve the host's own instance, but it is not tested", forwarding, err)
	}
	line, err := one.AwaitLog(w.within(time.Second), regexp.MustCompile("waiting.*"+w.cloud.FIP()+".*"+w.cloud.RFP()))
	w.must(err)
	t.Log(line)
	device, mac := w.fg(w.one)
	qg, err := lab.MACOf(w.ctx, w.cloud.Snat(), w.cloud.GatewayDev)
	w.must(err)
	w.entries(w.fip(w.one), device)
	w.unserved(w.own, map[string]string{"fg-": mac, "qg-": qg})

	w.must(d.Stop(w.ctx))
	w.must(w.lab.SetAgentModes(w.ctx, "dvr_snat", "dvr_no_external"))
	w.must(w.two.CleanL3(w.ctx))
	w.start(w.two, "")
	w.settles(15*time.Second, "far published in "+w.cloud.Snat(), func() string {
		if w.left(w.one, w.far) == "" {
			return "not yet"
		}
		return ""
	})
	w.entries(w.cloud.Snat(), w.cloud.GatewayDev, w.far)
	_, err = nettools.AwaitReachable(w.within(30*time.Second), lab.UpstreamNS, w.far.Addr)
	w.must(err)
	w.served(w.far, qg)
	w.unserved(w.hidden, map[string]string{"qg-": qg})
	w.bare(w.two)
}
