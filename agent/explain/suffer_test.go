package explain_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/test/nettest"
)

// Each breakage is named with its cause and what to do, and is gone when it is
// mended. What is said is the table in docs/explain.md.
func TestBreakages(t *testing.T) {
	rows := []row{notRunning(t), neverSynced(t)}
	s := centralised(t)
	rows = append(rows, s.suffer(s.play(), centralisedBreakages())...)
	d := distributed(t)
	rows = append(rows, d.suffer(d.play(), distributedBreakages())...)
	b := bridged(t)
	b.probes = true
	rows = append(rows, b.suffer(b.play(), outsideBreakages())...)
	if len(rows) < 20 {
		t.Errorf("%d breakages", len(rows))
	}
	compareTable(t, rows)
}

// suffer goes through breakages, and returns what was said.
func (s *stage) suffer(x *explain.Explainer, all []breakage) (rows []row) {
	s.well(x, "at first")
	for _, b := range all {
		start := time.Now()
		undo := b.act(s)
		var r row
		// Some take a moment: a check for duplicates, the daemon's vain try.
		for end := start.Add(8 * time.Second); r.link != b.link || !r.has(b.says, b.do); time.Sleep(5 * time.Millisecond) {
			a := s.about(x)
			if r = newRow(b.what, a); time.Now().After(end) {
				s.t.Fatalf("%s: %q with %q, to do %q, is not named: %+v", b.what, b.link, b.says, b.do, a)
			}
		}
		undo()
		s.well(x, b.what)
		s.t.Logf("%s: %s (%v)", b.what, b.link, time.Since(start).Round(time.Millisecond))
		rows = append(rows, r)
	}
	return rows
}

func (s *stage) about(x *explain.Explainer) explain.Answer {
	s.t.Helper()
	a, err := x.Explain(s.t.Context(), published)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.probes {
		s.host.Do(func() error {
			a = a.WithUpstream(explain.Probe(s.t.Context(), a, published, s.kernel.Enter))
			return nil
		})
	}
	return a
}

// well waits until the address is answered for, and shows it.
func (s *stage) well(x *explain.Explainer, after string) {
	s.t.Helper()
	nettest.Eventually(s.t, 8*time.Second, "well again after: "+after, func() bool { return s.about(x).Answered })
	s.outside.FlushNeighbours("eth0")
	s.outside.Reaches(published, 5*time.Second)
}

func notRunning(t *testing.T) row {
	_, err := admin.NewClient(filepath.Join(t.TempDir(), "control.sock")).Get(t.Context(), explain.Path, nil, nil)
	a := explain.NoDaemon(published, err)
	if a.Broken != explain.LinkDaemon || a.Answered {
		t.Errorf("without a daemon: %+v", a)
	}
	return newRow("the daemon does not run", a)
}

// neverSynced is a daemon that starts while there is no broker. What an earlier run
// published stands.
func neverSynced(t *testing.T) row {
	s := centralised(t)
	s.well(s.play(), "at first")
	fresh := agent.New(agent.Options{Scope: func(string) bool { return true }, Dataplane: s.kernel, Log: zap.NewNop()})
	s.set(func() { *s.broker = admin.Broker{Endpoint: "rabbit1:5672", LastError: "connection refused"} })
	x := s.explainer(fresh, nil)
	a := s.about(x)
	if a.Broken != explain.LinkServer || len(a.Notes) == 0 {
		t.Errorf("without a broker: %+v", a)
	}
	r := newRow("the daemon starts while there is no broker (what was published stands)", a)
	s.set(func() { *s.broker = admin.Broker{Connected: true, Subscribed: true, Endpoint: "rabbit1:5672"} })
	fresh.Inventory().Replace(s.said)
	s.well(x, "the first sync")
	return r
}
