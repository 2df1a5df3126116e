//go:build lab

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/ndp"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// handoverLimit bounds how long both hosts, or neither, may answer while a port moves.
const handoverLimit = 100 * time.Millisecond

// testDVRMoves: the port of an instance is bound to the other host and back, by both means that
// Neutron has, and with the news of it lost.
func testDVRMoves(w *dvr) {
	i := w.far
	// with another one published on either host its way back outlives the move: an instance that is not
	// yet at its new place then answers from the old one
	_, err := w.cloud.Publish(w.ctx, w.hidden)
	w.must(err)
	w.finally(func(ctx context.Context) error { return w.cloud.Unpublish(ctx, w.hidden) })
	w.Logf("to %s by PUT binding:host_id", w.one)
	w.move(i, w.one, handoverLimit, func(to *lab.Node) error { return i.Rebind(w.ctx, to) })
	w.Logf("back to %s by PUT binding:host_id", w.two)
	w.move(i, w.two, handoverLimit, func(to *lab.Node) error { return i.Rebind(w.ctx, to) })
	w.Logf("to %s as at the end of a live migration: a second binding is activated", w.one)
	w.must(i.AddBinding(w.ctx, w.one))
	w.move(i, w.one, handoverLimit, func(to *lab.Node) error { return i.Activate(w.ctx, to) })
	w.must(i.RemoveBinding(w.ctx, w.two))

	// the old host's daemon is away during the move; until it is back, both answer
	old := w.daemons[w.one.Name]
	w.Logf("back to %s while the daemon of %s is stopped", w.two, w.one)
	w.must(old.Stop(w.ctx))
	w.move(i, w.two, 0, func(to *lab.Node) error { return i.Rebind(w.ctx, to) })
	if w.left(w.one, i) == "" {
		w.Error("the stopped daemon's host has nothing to withdraw: the test proves nothing")
	}
	w.start(w.one, "")
	if left := w.left(w.one, i); left != "" { // ready means applied
		w.Errorf("%s after the daemon's start:\n%s", w.one, left)
	}

	// nobody hears of it
	const audit = 8 * time.Second
	w.restart(fmt.Sprintf("audit_interval = %d\n", int(audit.Seconds())))
	for _, to := range []*lab.Node{w.one, w.two} {
		w.Logf("to %s, unheard of", to)
		deafened, err := w.deafen() // again: each audit binds the queues anew
		w.must(err)
		if deafened < 2 {
			w.Errorf("%d queues of daemons were bound to exchanges of ports, want both", deafened)
		}
		w.move(i, to, audit+2*time.Second, func(to *lab.Node) error { return i.Rebind(w.ctx, to) })
	}
	w.restart("")
	w.reached(5 * time.Second)
}

// deafen unbinds the daemons' queues from the exchanges of ports and returns how many were bound.
func (w *dvr) deafen() (int, error) {
	out, err := w.lab.RabbitMQ(w.ctx, "list_bindings", "--no-table-headers", "source_name", "destination_name", "routing_key")
	if err != nil {
		return 0, err
	}
	found := 0
	for line := range strings.Lines(out) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(words) != 3 || !strings.HasPrefix(words[0], "neutron-vo-Port-") || !strings.HasPrefix(words[1], "neutron-ndp-proxy-agent.") {
			continue
		}
		found++
		if err := lab.Unbind(words[1], words[0], words[2]); err != nil {
			return 0, err
		}
	}
	return found, nil
}

// watch sees everything on the upstream link that concerns one address while it moves.
type watch struct {
	*dvr
	addr  netip.Addr
	wire  map[string]*nettools.Capture // by host: the upstream router's port that leads there
	link  *nettools.Capture            // the upstream router's own side
	inner map[string]*nettools.Capture // by host: fpr-, the shared namespace's way to the router
	probe *nettools.Prober
	pings []*nettools.Pinger
}

const probeInterval = 5 * time.Millisecond

func (w *dvr) watch(i *lab.Instance) *watch {
	w.Helper()
	o := &watch{dvr: w, addr: i.Addr, wire: map[string]*nettools.Capture{}, inner: map[string]*nettools.Capture{}}
	var err error
	for _, n := range w.nodes() {
		o.inner[n.Name], err = nettools.StartCapture(w.fip(n), w.cloud.FPR())
		w.must(err)
		o.wire[n.Name], err = nettools.StartCapture(lab.UpstreamNS, n.UpstreamPort())
		w.must(err)
	}
	o.link, err = nettools.StartCapture(lab.UpstreamNS, lab.UpstreamDev)
	w.must(err)
	_, old := w.fg(i.Node)
	mac, err := net.ParseMAC(old)
	w.must(err)
	// somebody else asks on the link all the time: the upstream router's own cache knows nothing of it
	o.probe, err = nettools.StartProbe(nettools.ProbeConfig{
		Namespace: lab.UpstreamNS, Device: lab.UpstreamDev,
		Source: netip.MustParseAddr("fe80::dead:beef"), SourceMAC: net.HardwareAddr{2, 0, 0, 0xde, 0xad, 1},
		Router: mac, Targets: []netip.Addr{i.Addr}, Interval: probeInterval,
	})
	w.must(err)
	for _, ns := range []string{lab.UpstreamNS, lab.BehindNS} {
		p, err := nettools.StartPing(nettools.PingConfig{Namespace: ns, Target: i.Addr})
		w.must(err)
		o.pings = append(o.pings, p)
	}
	w.must(o.pings[0].AwaitSent(w.ctx, 30))
	return o
}

func (o *watch) stop() {
	o.Helper()
	for _, p := range o.pings {
		o.Log(p.Stop())
	}
	if _, err := o.probe.Stop(); err != nil {
		o.Error(err)
	}
	for _, c := range o.wire {
		c.Stop()
	}
	for _, c := range o.inner {
		c.Stop()
	}
	o.link.Stop()
}

// lost counts the pings that the upstream router sent and no host passed on to its router, and the
// replies that a router gave to its host and the upstream router did not get. What is lost further in,
// Neutron's L2 agents lose while they connect and disconnect the instance.
func (o *watch) lost() (in, out int) {
	count := func(c *nettools.Capture, outgoing bool, kind uint8) int {
		return len(c.Packets(func(p nettools.Packet) bool {
			return p.Outgoing == outgoing && p.Type == kind && (p.Dst == o.addr || p.Src == o.addr)
		}))
	}
	in, out = count(o.link, true, 128), -count(o.link, false, 129)
	for _, c := range o.inner {
		in -= count(c, true, 128)
		out += count(c, false, 129)
	}
	return in, out
}

// answers are the advertisements for the address that came from a host.
func (o *watch) answers(n *lab.Node) []nettools.Packet {
	return o.wire[n.Name].Packets(func(p nettools.Packet) bool { return !p.Outgoing && p.Advertises(o.addr) })
}

// move does what happens when an instance goes to another host: it appears there, Neutron is told,
// it ends on the old one. With a limit both hosts or neither may answer for no longer; limit 0 says
// that the old host cannot know.
func (w *dvr) move(i *lab.Instance, to *lab.Node, limit time.Duration, rebind func(to *lab.Node) error) {
	w.Helper()
	from := i.Node
	twin := i.Twin(to)
	w.must(twin.Plug(w.ctx))
	o := w.watch(i)
	stopped := false
	defer func() {
		if !stopped {
			o.stop()
		}
	}()
	began := time.Now()
	w.must(rebind(to))
	asked := time.Since(began)
	patience := 10 * time.Second
	if _, err := o.wire[to.Name].Await(w.within(patience), "an answer of "+to.Name, func(p nettools.Packet) bool {
		return !p.Outgoing && p.Advertises(i.Addr)
	}); err != nil {
		w.logDVR()
		w.Fatal(err)
	}
	w.must(twin.AwaitActive(w.ctx))
	up := time.Since(began)
	w.must(i.Unplug(w.ctx))
	for _, ns := range []string{lab.UpstreamNS, lab.BehindNS} {
		o.connected(twin, ns)
	}
	*i = *twin
	if limit > 0 {
		w.settles(limit+3*time.Second, "nothing for "+i.Addr.String()+" on "+from.Name, func() string { return w.left(from, i) })
	}
	w.must(o.pings[0].AwaitSent(w.ctx, 100))
	o.stop()
	stopped = true
	w.Logf("the request took %v; the port was ACTIVE on %s after %v", asked.Round(time.Millisecond), to, up.Round(time.Millisecond))
	o.judge(began, from, to, limit)
	_, mac := w.fg(to)
	if limit > 0 {
		w.served(i, mac)
	}
}

// connected waits until an instance answers at its new place. Neutron's L2 agents and
// the switch connect the port in their own time, 2 to 5 s mostly and more than 12
// once; now and then they never do, although the agent says that it has. If the new
// host brings the pings to its router all the same, that is not its fault, and the
// instance is plugged once more. What the hosts lose is judged apart.
func (o *watch) connected(twin *lab.Instance, ns string) {
	o.Helper()
	const usually = 15 * time.Second
	_, err := nettools.AwaitReachable(o.within(usually), ns, twin.Addr)
	if err == nil {
		return
	}
	since := time.Now().Add(-2 * time.Second)
	passed := o.inner[twin.Node.Name].Packets(func(p nettools.Packet) bool {
		return p.Outgoing && p.Type == 128 && p.Dst == o.addr && p.At.After(since)
	})
	if len(passed) < 10 {
		o.logDVR()
		o.Fatalf("%v, and %s passed on %d pings in the last 2 s", err, twin.Node, len(passed))
	}
	o.Logf("%v, though %s passed on %d pings in the last 2 s: the switch does not bring them to the instance, which is plugged again",
		err, twin.Node, len(passed))
	o.must(twin.Plug(o.ctx))
	_, err = nettools.AwaitReachable(o.within(2*usually), ns, twin.Addr)
	o.must(err)
}

// judge compares who answered when.
func (o *watch) judge(began time.Time, from, to *lab.Node, limit time.Duration) {
	o.Helper()
	old, fresh := o.answers(from), o.answers(to)
	if len(old) == 0 || len(fresh) == 0 {
		o.Errorf("%d answers of %s, %d of %s: nothing to judge", len(old), from, len(fresh), to)
		return
	}
	_, mac := o.fg(to)
	last, first := old[len(old)-1].At, fresh[0].At
	announced := slices.IndexFunc(fresh, nettools.Packet.Unsolicited)
	solicited := slices.IndexFunc(fresh, func(p nettools.Packet) bool { return !p.Unsolicited() })
	requests := o.link.Packets(func(p nettools.Packet) bool { return p.Type == 128 && p.Dst == o.addr })
	turned := slices.IndexFunc(requests, func(p nettools.Packet) bool { return p.DstMAC.String() == mac })
	after := func(at time.Time) time.Duration { return at.Sub(began).Round(100 * time.Microsecond) }
	o.Logf("%s answered %d times, the last %v after the request; %s %d times, the first after %v", from, len(old), after(last), to, len(fresh), after(first))
	if first.After(last) {
		o.Logf("gap %v: nobody answered", first.Sub(last))
	} else {
		o.Logf("overlap %v: both answered", last.Sub(first))
	}
	if announced < 0 {
		o.Errorf("%s did not announce the address", to)
	} else {
		p := fresh[announced]
		na, _ := p.Message.(*ndp.NeighborAdvertisement)
		o.Logf("announced after %v, %v after the first sign of the new host; override %v", after(p.At), p.At.Sub(first), na.Override)
		if !na.Override || p.SrcMAC.String() != mac {
			o.Errorf("announced with override %v by %s, want by %s", na.Override, p.SrcMAC, mac)
		}
	}
	if solicited < 0 {
		o.Errorf("%s did not answer a solicitation", to)
	}
	if turned < 0 {
		o.Errorf("the upstream router never sent to %s", mac)
	} else {
		o.Logf("the upstream router's packets turned to the new host after %v, %v after the old one's last answer", after(requests[turned].At), requests[turned].At.Sub(last))
	}
	n, ok, err := nettools.NeighbourOf(o.ctx, lab.UpstreamNS, lab.UpstreamDev, o.addr)
	if err != nil || !ok || (n.MAC != mac && limit > 0) {
		o.Errorf("the upstream router knows %v %v, want %s (%v)", ok, n, mac, err)
	}
	in, out := o.lost()
	o.Logf("lost by the hosts: %d pings in, %d replies out (two pings every 10 ms)", in, out)
	if most := 2 * int(limit/(10*time.Millisecond)); limit > 0 && in+out > most {
		o.Errorf("the hosts lost %d packets, at most %d allowed", in+out, most)
	}
	if d := last.Sub(first).Abs(); limit > 0 && d > limit {
		o.Errorf("handover of %v, at most %v allowed", d, limit)
	}
	if limit > 0 && limit <= handoverLimit && turned >= 0 && requests[turned].At.Sub(last) > limit {
		o.Errorf("the upstream router's packets went to a host that had withdrawn for %v", requests[turned].At.Sub(last))
	}
}
