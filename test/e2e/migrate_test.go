//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/docs"
	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// migration is a rebuild world in which the L3 agent runs upstream's extension.
type migration struct {
	*rebuild
	stale netip.Addr // an entry that upstream has left behind
}

// TestMigrate: from upstream's in-agent extension to the daemon in the order of docs/migrate.md, and
// back. At every step of it the datagrams to the published address come back, and none reaches its
// unpublished neighbour.
func TestMigrate(t *testing.T) {
	w := outer(t)
	host, err := w.lab.Node(lab.Host)
	w.must(err)
	w.cloud, err = w.lab.EnsureCloud(w.ctx, w.api)
	w.must(err)
	w.inst, err = w.cloud.EnsureInstance(w.ctx, lab.InstanceName, netip.Addr{})
	w.must(err)
	hidden, err := w.cloud.EnsureInstance(w.ctx, "hidden", netip.Addr{})
	w.must(err)
	w.must(w.cloud.PublishOnly(w.ctx, w.inst))
	w.wipeKernel()
	m := &migration{rebuild: &rebuild{world: w, host: host, hidden: hidden}}
	w.finally(func(ctx context.Context) error {
		if err := host.SetExtensions(); err != nil {
			return err
		}
		mark, err := host.MarkLog("l3-agent")
		if err != nil {
			return err
		}
		if err := host.RestartL3(ctx); err != nil {
			return err
		}
		// What it builds anew may cost a packet, which would be the next test's.
		return mark.Await(ctx, regexp.MustCompile("Finished a router update for "+w.cloud.Router))
	})
	m.count()
	m.open()
	m.extension(true)
	m.leaveStale()

	for _, step := range []struct {
		name string
		do   func(m *migration)
	}{
		{"the daemon refuses to start", (*migration).refusesToStart},
		{"there", (*migration).there},
		{"the stale entry", (*migration).cleanUp},
		{"back", (*migration).back},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			inner := *m.rebuild
			inner.world = w.in(t)
			sub := *m
			sub.rebuild = &inner
			step.do(&sub)
		}) {
			return // each begins where the one before has ended
		}
	}
}

// extension switches upstream's extension on or off as an operator does, and waits until the restarted
// L3 agent has its filter, or has taken it away.
func (m *migration) extension(on bool) {
	m.Helper()
	var names []string
	if on {
		names = []string{lab.UpstreamExtension}
	}
	m.must(m.host.SetExtensions(names...))
	m.must(m.host.RestartL3(m.ctx))
	m.await(agentTime, fmt.Sprintf("upstream's filter there: %v", on), func() bool { return m.theirs() == on })
}

// theirs tells whether upstream's filter is there for the published address.
func (m *migration) theirs() bool {
	m.Helper()
	out, err := nettools.Exec(m.ctx, m.cloud.Namespace, "ip6tables", "-w", "-S")
	m.must(err)
	return strings.Contains(string(out), "-A neutron-l3-agent-NDP -d "+m.inst.Addr.String()+"/128")
}

// leaveStale makes upstream leave an entry behind: it does whenever a published port is deleted.
func (m *migration) leaveStale() {
	m.Helper()
	i, err := m.cloud.EnsureInstance(m.ctx, "stale", netip.Addr{})
	m.must(err)
	_, err = m.cloud.Publish(m.ctx, i)
	m.must(err)
	m.await(agentTime, "upstream's entry for "+i.Addr.String(), func() bool { return m.hasEntry(i.Addr) })
	m.must(i.DeletePort(m.ctx))
	m.stale = i.Addr
}

func (m *migration) hasEntry(a netip.Addr) bool {
	m.Helper()
	return slices.ContainsFunc(m.kernel().Entries, func(e nettools.ProxyEntry) bool { return e.Addr == a })
}

// refusesToStart: two programs on the same entries, unless told to.
func (m *migration) refusesToStart() {
	m.reachable(5 * time.Second) // by upstream's work
	// what upstream's has in common with ours
	m.settled(5*time.Second, m.host, footprint{m.cloud.Namespace: {"ipv6/conf/" + m.cloud.GatewayDev + "/proxy_ndp = 1"}})
	before := m.kernel().String()
	d := m.lab.StartDaemon(m.T, lab.DaemonConfig{})
	code, err := d.ExitCode(m.within(10 * time.Second))
	m.must(err)
	if code != 2 {
		m.Errorf("exit code %d, want 2: nothing for systemd to try again", code)
	}
	var said []string
	for line := range strings.Lines(d.Log()) {
		if strings.Contains(line, "ndp_proxy") {
			said = append(said, line)
		}
	}
	for _, word := range []string{"extensions", "beside_extension", "l3_agent.ini", "migrate.md"} {
		if len(said) != 1 || !strings.Contains(said[0], word) {
			m.Errorf("want one line that names %s, got:\n%s", word, d.Log())
		}
	}
	m.Logf("refusal: %s", d.Log())
	if after := m.kernel().String(); after != before {
		m.Errorf("a daemon that did not start changed something:\n%s\nbefore:\n%s", after, before)
	}
}

// open: the probe can tell an open way from a closed one. Here nobody filters; the same was seen when
// upstream's extension is switched off with nobody in its place: it takes its rules along.
func (m *migration) open() {
	m.Helper()
	watch := m.watch()
	m.await(agentTime, "a probe that gets through", func() bool { return watch.through() > 0 })
	m.Logf("with neither: %v", watch.end())
}

// there: the order of docs/migrate.md.
func (m *migration) there() {
	want := m.published()
	var d *lab.Daemon
	m.watching("1. the daemon starts beside the extension", 0, func() {
		d = m.daemon(lab.DaemonConfig{Ours: "beside_extension = true\n"})
		m.settled(5*time.Second, m.host, want) // 2. it has everything
	})
	m.statusIsWell()
	if !m.theirs() {
		m.Error("upstream's filter is gone before its extension is")
	}
	m.watching("3. the extension goes", agentRestart, func() {
		m.extension(false)
		m.settled(5*time.Second, m.host, want)
	})
	m.watching("4. the option goes", 0, func() {
		m.must(d.Stop(m.ctx))
		d = m.daemon(lab.DaemonConfig{})
		m.settled(5*time.Second, m.host, want)
	})
	m.works(5*time.Second, want)
	m.statusIsWell()

	// what upstream has left and nobody publishes is told once, and stays
	told := d.Lines(regexp.MustCompile(regexp.QuoteMeta(m.stale.String())))
	if len(told) != 1 || !strings.Contains(told[0], "left alone") {
		m.Errorf("want one line about the stale entry %s, got:\n%s", m.stale, strings.Join(told, "\n"))
	}
	if !m.hasEntry(m.stale) {
		m.Errorf("the stale entry %s was removed unasked", m.stale)
	}
	m.proves(m.blocks(m.stale))
}

// cleanUp: with the option the stale entry goes, and nothing else.
func (m *migration) cleanUp() {
	m.watching("with remove_foreign_entries", 0, func() {
		d := m.daemon(lab.DaemonConfig{Ours: "remove_foreign_entries = true\n"})
		m.settled(5*time.Second, m.host, m.published())
		if m.hasEntry(m.stale) {
			m.Errorf("the stale entry %s is still there", m.stale)
		}
		if told := d.Lines(regexp.MustCompile(regexp.QuoteMeta(m.stale.String()))); len(told) == 0 {
			m.Errorf("nothing is said of the removal of %s:\n%s", m.stale, d.Log())
		}
	})
}

// back: the order of docs/migrate.md. The daemon's table goes on to drop what upstream publishes after it,
// until the page's last lines have removed it.
func (m *migration) back() {
	var d *lab.Daemon
	m.watching("1. the daemon starts beside the extension", 0, func() {
		d = m.daemon(lab.DaemonConfig{Ours: "beside_extension = true\n"})
		m.settled(5*time.Second, m.host, m.published())
	})
	m.watching("2. the extension comes back", agentRestart, func() { m.extension(true) })
	m.watching("3. the daemon stops", 0, func() { m.must(d.Stop(m.ctx)) })

	later, err := m.cloud.EnsureInstance(m.ctx, "later", netip.Addr{})
	m.must(err)
	m.finally(func(ctx context.Context) error { return m.cloud.Unpublish(ctx, later) })
	_, err = m.cloud.Publish(m.ctx, later)
	m.must(err)
	m.await(agentTime, "upstream's entry for "+later.Addr.String(), func() bool { return m.hasEntry(later.Addr) })
	m.proves(m.silent(later.Addr)) // our table

	m.watching("4. what the extension uses is handed over", 0, func() {
		lines, err := docs.Recipe("../..", "docs/migrate.md", "back")
		m.must(err)
		lines = strings.NewReplacer("qrouter-<id>", m.cloud.Namespace, "qg-<port>", m.cloud.GatewayDev).Replace(lines)
		out, err := exec.CommandContext(m.ctx, "sh", "-eu", "-c", lines).CombinedOutput()
		if err != nil {
			m.Fatalf("%v: %s\n%s", err, out, lines)
		}
		_, err = nettools.AwaitReachable(m.within(5*time.Second), lab.UpstreamNS, later.Addr)
		m.must(err)
		m.proves(m.passes(later))
	})
	m.watching("5. the rest is taken away", 0, func() { m.cleanup() })
	// what upstream's has in common with ours, and what it leaves alone
	m.settled(5*time.Second, m.host, footprint{m.cloud.Namespace: {
		"ipv6/conf/" + m.cloud.GatewayDev + "/proxy_ndp = 1", "ipv6/neigh/" + m.cloud.GatewayDev + "/proxy_delay = 0",
	}})
	m.must(m.cloud.Unpublish(m.ctx, later))
	m.await(agentTime, "upstream's end of "+later.Addr.String(), func() bool { return !m.hasEntry(later.Addr) })
	m.must(m.cloud.Unpublish(m.ctx, m.inst))
	m.await(agentTime, "upstream's end of "+m.inst.Addr.String()+", which we had made", func() bool { return !m.hasEntry(m.inst.Addr) })
	m.must(m.cloud.PublishOnly(m.ctx, m.inst))
}

// agentRestart is what the L3 agent's own rewriting of its rules may cost when it starts, with or
// without us: with neither daemon nor extension one datagram in two of five restarts was lost; with the
// extension coming back one or two. None of them is lost by our filter, see [stages].
const agentRestart = 5

// watching does something under watch and requires that at most so many datagrams to the published
// address were lost, and that nothing reached the unpublished one.
func (m *migration) watching(what string, lost int, do func()) {
	m.Helper()
	watch := m.watch()
	do()
	r := watch.end()
	m.Logf("%s: %v", what, r)
	if len(r.flow.Lost) > lost {
		m.Errorf("%s: %d datagrams to the published address were lost, at most %d may be", what, len(r.flow.Lost), lost)
	}
	if r.ours != 0 {
		m.Errorf("%s: %d datagrams came to our filter and not through it", what, r.ours)
	}
	if r.through > 0 {
		m.Errorf("%s: %d of %d probes reached the unpublished address, the first after %v", what, r.through, r.probes, r.first)
	}
	if m.Failed() {
		m.logKernel()
	}
}

// watched is what was seen while something else was done.
type watched struct {
	flow    nettools.FlowReport // UDP to the published address
	ours    int                 // datagrams of it, and answers, that our filter took
	others  int                 // and those that somebody after it took
	probes  int                 // sent to the unpublished one
	through int                 // that its instance got
	first   time.Duration       // of them, after the beginning
	err     error               // what could not be put back
}

func (r watched) String() string {
	return fmt.Sprintf("published: %v, at our filter %d, behind it %d; unpublished: %d probes, %d got through",
		r.flow, r.ours, r.others, r.probes, r.through)
}

// watcher sends to both addresses every 10 ms until its end.
type watcher struct {
	through func() int
	end     func() watched
}

// watch begins to send: UDP to the published address, pings to the unpublished one by way of the
// gateway address, which only a filter can stop. What reaches the instance is counted there: an answer
// that is lost does not hide an open way.
func (m *migration) watch() watcher {
	m.Helper()
	// Upstream's extension does not answer its neighbour's unicast solicitations, so it loses datagrams
	// whenever the upstream router verifies the address, 15 s after it was resolved at the earliest.
	m.must(nettools.Forget(m.ctx, lab.UpstreamNS, lab.UpstreamDev, m.inst.Addr))
	began := time.Now()
	before := m.stages()
	server, err := nettools.StartEcho(m.inst.Namespace, m.inst.Addr)
	m.must(err)
	undo, err := m.cloud.RouteVia(m.ctx, m.hidden.Addr, m.cloud.Gateway)
	m.must(err)
	inside, err := nettools.StartCapture(m.hidden.Namespace, "eth0")
	m.must(err)
	p, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: m.hidden.Addr})
	m.must(err)
	ctx, cancel := context.WithCancel(m.ctx)
	var report nettools.FlowReport
	var running sync.WaitGroup
	running.Go(func() {
		// its error is the end of ctx
		report, _ = nettools.Flow(ctx, lab.UpstreamNS, server.Addr(), int(4*time.Minute/(10*time.Millisecond)), 10*time.Millisecond)
	})
	through := func() []nettools.Packet {
		return inside.Packets(func(p nettools.Packet) bool { return p.Type == 128 && p.Dst == m.hidden.Addr && !p.Outgoing })
	}
	var once sync.Once
	var r watched
	end := func() watched {
		once.Do(func() {
			cancel()
			running.Wait()
			r = watched{flow: report, probes: len(p.Stop().Pings)}
			after := m.stages()
			r.ours = after.reached - before.reached - (after.passed - before.passed)
			r.others = after.passed - before.passed - (after.left - before.left)
			inside.Stop()
			got := through()
			if r.through = len(got); r.through > 0 {
				r.first = got[0].At.Sub(began)
			}
			r.err = errors.Join(server.Close(), undo(context.WithoutCancel(m.ctx)))
		})
		return r
	}
	m.finally(func(context.Context) error { return end().err }) // also when the test ends before
	return watcher{through: func() int { return len(through()) }, end: end}
}
