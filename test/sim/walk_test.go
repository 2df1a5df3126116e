package sim_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/test/sim"
)

var (
	seed   = flag.Uint64("seed", 0, "of the random walk; 0: a random one, which is printed")
	steps  = flag.Int("steps", 0, "of the random walk; 0: as many as the budget allows")
	budget = flag.Duration("budget", time.Minute, "of the random walk")
)

// eventsWithin is how long the daemon may take where events tell it.
const eventsWithin = 6 * time.Second

// Whatever Neutron, an operator, the kernel and bad luck do to the routers of a
// small cloud: once it is quiet, the kernel is as an oracle says that knows only
// the model, and what belongs to others is as it was.
func TestRandomWalk(t *testing.T) {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("again by: go test ./test/sim -run TestRandomWalk -seed %d", n)
	k := newWalker(t, n)
	end := time.Now().Add(*budget)
	for k.step = 1; (*steps == 0 || k.step <= *steps) && time.Now().Before(end) && !t.Failed(); k.step++ {
		k.walk()
	}
	t.Logf("seed %d: %d steps, %v", n, k.step-1, k.counts)
	if !t.Failed() && k.step < 30 {
		t.Errorf("only %d steps", k.step-1)
	}
}

type walker struct {
	*sim.World
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	step   int
	log    []string
	counts map[string]int
	// needsAudit: what the step did makes no event, or its message was lost.
	needsAudit bool
	// disturbs: the step changed what is not ours.
	disturbs bool
	planted  int
}

func newWalker(t *testing.T, n uint64) *walker {
	k := &walker{World: sim.New(t), t: t, seed: n, rng: rand.New(rand.NewPCG(n, 1)), counts: map[string]int{}}
	k.Copies = announcer.DefaultCount
	for i, mode := range walkModes() {
		k.AddHost(fmt.Sprintf("host%d", i+1), mode)
	}
	k.AddExternal(sim.ExternalOptions{Scope: "a"})
	k.AddExternal(sim.ExternalOptions{Scope: "b"})
	k.AddExternal(sim.ExternalOptions{Scope: "a", V4Only: true})
	for _, o := range walkNetworks() {
		in := k.AddInternal(o)
		for i := range 3 {
			k.AddInstance(in, k.Hosts[i%len(k.Hosts)])
		}
	}
	for _, h := range k.Hosts {
		h.StartDaemon()
	}
	return k
}

// action is one kind of step. It reports what it did, "" if there is nothing
// that it could be done to.
type action struct {
	name   string
	weight int
	do     func(k *walker) string
}

func (k *walker) walk() {
	k.needsAudit, k.disturbs = false, false
	for _, h := range k.Hosts {
		if h.Daemon() == nil && k.rng.IntN(3) == 0 {
			h.StartDaemon()
			k.log = append(k.log, fmt.Sprintf("%d: %s started", k.step, h.Name))
			k.settle()
		}
	}
	before := k.foreign()
	a := k.choose(actions())
	fault := k.fault()
	did := a.do(k)
	if did == "" {
		k.heal()
		k.step-- // there was nothing to do it to
		return
	}
	k.counts[a.name]++
	k.log = append(k.log, fmt.Sprintf("%d: %s %s%s", k.step, a.name, did, fault))
	k.heal()
	k.settle()
	if k.disturbs || k.t.Failed() {
		return
	}
	after := k.foreign()
	for where, what := range before {
		if now, there := after[where]; there && !slices.Equal(what, now) {
			k.fail("what is not ours in %s was\n%s\nand is\n%s", where, strings.Join(what, "\n"), strings.Join(now, "\n"))
		}
	}
}

func (k *walker) choose(all []action) action {
	sum := 0
	for _, a := range all {
		sum += a.weight
	}
	n := k.rng.IntN(sum)
	for _, a := range all {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	panic("unreachable")
}

// fault lets something go wrong between a daemon and Neutron in this step.
func (k *walker) fault() string {
	if k.rng.IntN(4) > 0 {
		return ""
	}
	h := pick(k.rng, k.Hosts)
	if h.Daemon() == nil {
		return ""
	}
	var f sim.Faults
	switch k.rng.IntN(5) {
	case 0:
		f.Lose, k.needsAudit = true, true
	case 1:
		f.Double = true
	case 2:
		f.Shuffle = true
	case 3:
		f.Fail = 1 + k.rng.IntN(3)
	case 4:
		f.Slow = time.Duration(k.rng.IntN(200)) * time.Millisecond
	}
	h.Daemon().Server.SetFaults(f)
	return fmt.Sprintf(" [on %s %+v]", h.Name, f)
}

// heal ends the loss of messages; calls may go on failing for a while.
func (k *walker) heal() {
	for _, h := range k.Hosts {
		if d := h.Daemon(); d != nil {
			d.Server.Flow()
		}
	}
}

// settle waits for the kernel to be as the model says.
func (k *walker) settle() {
	left := k.mended()
	for _, h := range k.Hosts {
		if d := h.Daemon(); d != nil {
			d.Server.SetFaults(sim.Faults{})
		}
	}
	if len(left) == 0 {
		return
	}
	k.audit()
	after := "an audit mends it"
	if still := k.Differences(eventsWithin); len(still) > 0 {
		after = "an audit leaves\n" + strings.Join(still, "\n")
	}
	k.fail("not settled within %s:\n%s\n%s", eventsWithin, strings.Join(left, "\n"), after)
}

// mended waits for events to do their work, or for audits where those have to.
// One audit may come too early to believe the server: what was pushed within the
// last two seconds counts more than its answer (a database cluster may be late).
func (k *walker) mended() (left []string) {
	if !k.needsAudit {
		return k.Differences(eventsWithin)
	}
	for end := time.Now().Add(eventsWithin); ; {
		k.audit()
		if left = k.Differences(time.Second); len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

func (k *walker) audit() {
	for _, h := range k.Hosts {
		if d := h.Daemon(); d != nil {
			d.Audit()
		}
	}
}

func (k *walker) fail(format string, args ...any) {
	k.t.Helper()
	k.t.Fatalf("seed %d, step %d: %s\nlast steps:\n%s\nlast words of the daemons at %s:\n%s", k.seed, k.step, fmt.Sprintf(format, args...),
		strings.Join(k.log[max(0, len(k.log)-15):], "\n"), time.Now().Format("05.000"), k.LastWords())
}

// foreign is what others have in each namespace that was looked at last.
func (k *walker) foreign() map[string][]string {
	out := map[string][]string{}
	for where, d := range k.Last {
		out[where] = d.Foreign()
	}
	return out
}

func pick[T any](rng *rand.Rand, s []T) T { return s[rng.IntN(len(s))] }
