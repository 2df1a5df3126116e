//go:build rabbitmq

package chaos

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/dataplane"
)

// fault is one thing that the surroundings do to the daemon.
type fault struct {
	// name of the subtest, and of the row in docs/reliability.md.
	name string
	// do breaks it, undo mends it (nil: it mends itself). They run on the
	// test's goroutine.
	do, undo func(s *stage, t *testing.T)
	// shows is a pattern of a line that the daemon's log must have before the
	// fault is over: what an operator sees, and the proof that the fault took
	// effect. "": nothing is said.
	shows string
	// drift is how much of a kind the daemon must count as repaired, in however many
	// looks: what goes in several steps may be found in as many.
	drift map[dataplane.Kind]int
	// never is a pattern of lines that its log must not have.
	never string
	// hold is how long it lasts at least. Neutron goes on meanwhile: see
	// [stage.churn].
	hold time.Duration
	// within bounds the time from undo until the kernel is as Neutron wants it.
	within time.Duration
	// hits are the names of parts ("legacy", "dvr", "victim") whose packets may
	// be lost and whose namespaces may lose things of others; of no other part
	// may they. After a fault what was planted there is planted anew.
	hits []string
	// calm is how long it must have been quiet before, for the log to tell of it as
	// of something new.
	calm time.Duration
	// still: Neutron does nothing meanwhile, so that audits or the kernel's own
	// events have to tell.
	still bool
	// renews: the daemon is another process afterwards.
	renews bool
	// talks is how many lines more than others it may cause in the log: one for
	// each change of what is published, and those of each start and end.
	talks int
	// believed: Neutron says, and goes on saying, that something is not so, and
	// has to be believed: what it names no more is nobody's to keep closed.
	believed bool
	// opens: the fault takes our filter away, so that what it hits is open until
	// the filter is back.
	opens bool
}

// group is a kind of faults, which TestFaults tries one after the other.
type group struct {
	name   string
	faults []fault
}

func groups() []group {
	return []group{{"broker", brokerFaults()}, {"server", serverFaults()}, {"daemon", daemonFaults()}, {"hand", handFaults()}, {"kernel", slices.Concat(churnFaults(), limitFaults())}}
}

// faults are all there are; random ones are picked by TestMixed.
func faults() (all []fault) {
	for _, g := range groups() {
		all = append(all, g.faults...)
	}
	return all
}

const (
	// linesPerMinute bounds the daemon's log in every scenario.
	linesPerMinute = 120
	// Growth that is no leak: the allocator's and the scheduler's slack; kB. The race
	// detector's own memory grows with time, by some 2 MB a minute.
	slackRSS, slackRaceRSS, slackThreads, slackFDs = 8 << 10, 40 << 10, 12, 3
	// showsWithin bounds how long a fault may go unnoticed.
	showsWithin = 30 * time.Second
)

// outcome is what a scenario measured.
type outcome struct {
	seen, settled time.Duration // until the log told; from undo until all was right
	sent, lost    int           // datagrams and pings of what was not hit
	through       int           // to what the fault opens, while it is open
	lines         int
	before, after usage
	late          time.Duration // datagrams to what it hit were lost for so long although all was right
}

func (o outcome) String() string {
	late := ""
	if o.late > 0 {
		late = fmt.Sprintf(", back only %.1f s later", o.late.Seconds())
	}
	return fmt.Sprintf("told after %.1f s, right after %.1f s, lost %d of %d, %d through where it is open, %d lines, %v -> %v%s",
		o.seen.Seconds(), o.settled.Seconds(), o.lost, o.sent, o.through, o.lines, o.before, o.after, late)
}

// survive lets a fault happen and checks that the daemon gets over it.
func (s *stage) survive(t *testing.T, f fault) (o outcome) {
	t.Helper()
	defer func() {
		if t.Failed() {
			s.keepLogs(t)
		}
	}()
	var hit, spared []*part
	for _, p := range s.parts() {
		if slices.Contains(f.hits, p.name) {
			hit = append(hit, p)
		} else {
			spared = append(spared, p)
		}
	}
	s.SettleWithin(t, 15*time.Second)
	before, tap := s.foreign(t), s.tap(t)
	o.before = s.use(t)
	var drift map[dataplane.Kind]int
	if len(f.drift) > 0 {
		drift = s.drift(t)
	}
	offset, start := len(s.daemon.log()), time.Now()
	marks := map[*flow]int{}
	var running []*pings
	for _, p := range s.parts() {
		marks[p.near], marks[p.far], marks[p.leak] = p.near.mark(), p.far.mark(), p.leak.mark()
	}
	for _, p := range spared {
		running = append(running, startPings(t, s.ext.Upstream, p.steady.Addr))
	}

	f.do(s, t)
	broken := time.Now()
	if !f.still {
		s.churn()
	}
	if f.shows != "" {
		s.await(t, offset, f.shows, showsWithin)
		o.seen = time.Since(broken)
	}
	for kind, n := range f.drift {
		s.awaitDrift(t, drift, kind, n, showsWithin)
		o.seen = time.Since(broken)
	}
	time.Sleep(f.hold - time.Since(broken))
	if f.undo != nil {
		f.undo(s, t)
	}
	mended := time.Now()
	if left := s.Differences(f.within); len(left) > 0 {
		t.Errorf("not right within %v:\n%s\n%s", f.within, strings.Join(left, "\n"), s.daemon.tail(30))
	}
	o.settled = time.Since(mended)
	for _, p := range hit {
		s.plant(p)
	}

	for now := s.tap(t); !slices.Equal(tap, now); now = s.tap(t) {
		if time.Since(mended) > f.within {
			t.Errorf("our queue was\n%s\nand %v later is\n%s", strings.Join(tap, "\n"), f.within, strings.Join(now, "\n"))
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	untouched(t, before, s.foreign(t), hit)
	s.traffic(t, f, marks, spared, running, &o)
	s.bounded(t, f, offset, time.Since(start), &o)
	return o
}

// await waits for a line of the daemon's log after an offset. Right after another fault
// it may be another line that tells, or one that tells of both.
func (s *stage) await(t *testing.T, offset int, pattern string, within time.Duration) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	for end := time.Now().Add(within); len(s.daemon.since(offset, line)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			say := t.Errorf
			if s.mixed {
				say = t.Logf
			}
			say("within %v the log has no line that matches %q:\n%s", within, pattern, s.daemon.tail(20))
			return
		}
	}
}

// awaitDrift waits until the daemon has repaired so much of a kind more than before.
// The log need not say so at once: its lines are bounded.
func (s *stage) awaitDrift(t *testing.T, before map[dataplane.Kind]int, kind dataplane.Kind, want int, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		n := s.drift(t)[kind] - before[kind]
		if n == want {
			return
		}
		if n > want || time.Now().After(end) {
			t.Errorf("within %v %d of kind %s repaired, want %d:\n%s", within, n, kind, want, s.daemon.tail(20))
			return
		}
	}
}

// drift asks the daemon what it has repaired since its start.
func (s *stage) drift(t *testing.T) map[dataplane.Kind]int {
	t.Helper()
	client := admin.NewClient(filepath.Join(s.runtimeDir(), "control.sock"))
	for end := time.Now().Add(showsWithin); ; time.Sleep(50 * time.Millisecond) {
		status, _, err := client.Status(t.Context())
		if err == nil {
			return status.Drift
		}
		if time.Now().After(end) { // the fault before may have taken the socket for a while
			t.Fatal(err)
		}
	}
}

// bounded judges what the daemon needs: it must not grow, nor talk too much.
func (s *stage) bounded(t *testing.T, f fault, offset int, took time.Duration, o *outcome) {
	t.Helper()
	o.lines = strings.Count(s.daemon.log()[offset:], "\n")
	if f.never != "" {
		if lines := s.daemon.since(offset, regexp.MustCompile(f.never)); len(lines) > 0 {
			t.Errorf("the daemon said\n%s", strings.Join(lines, "\n"))
		}
	}
	if most := f.talks + linesPerMinute*max(1, int((took+30*time.Second)/time.Minute)); o.lines > most {
		t.Errorf("%d lines of log in %v, at most %d:\n%s", o.lines, took, most, s.daemon.tail(60))
	}
	grown := func() bool {
		o.after = s.use(t)
		return o.after.outgrew(o.before, time.Minute)
	}
	for end := time.Now().Add(5 * time.Second); grown(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			if !f.renews {
				t.Errorf("the daemon grew: %v -> %v", o.before, o.after)
			}
			return
		}
	}
}

func (s *stage) use(t *testing.T) usage {
	t.Helper()
	u, err := s.daemon.usage()
	if err != nil {
		t.Fatalf("%v\n%s", err, s.daemon.tail(20))
	}
	return u
}
