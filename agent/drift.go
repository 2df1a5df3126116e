package agent

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"neutron-ndp-proxy-agent/dataplane"
)

// So many lines tell of the drift of one namespace at once, and then one in that
// time: a program that undoes what is written here may do so for days.
const (
	driftLines = 20
	driftEvery = time.Minute
)

// drift sums up what somebody else had changed of what we wrote.
type drift struct {
	mu    sync.Mutex
	total map[dataplane.Kind]int
	told  map[string]*driftTold // by namespace
}

// driftTold is what was said of a namespace, and what was not.
type driftTold struct {
	limit  *rate.Limiter
	unsaid map[dataplane.Kind]int
	// total is replaced and never changed.
	total map[dataplane.Kind]int
}

// driftLine is one line of the log.
type driftLine struct {
	kind  dataplane.Kind
	count int
}

// repaired counts it, and tells of it with what could not be told before; of that
// also when nothing was repaired, since what has ended is told by no later one.
func (d *drift) repaired(ns string, log *zap.Logger, counts map[dataplane.Kind]int) {
	for _, l := range d.note(ns, counts) {
		log.Warn("drift repaired: somebody else, or the kernel, had changed what we wrote",
			zap.String("kind", string(l.kind)), zap.Int("count", l.count))
	}
}

// note returns what is to be told, the most first. Nobody who asks for the counts
// waits for the log.
func (d *drift) note(ns string, counts map[dataplane.Kind]int) (lines []driftLine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := d.told[ns]
	if len(counts) == 0 && told == nil {
		return nil
	}
	if told == nil {
		told = &driftTold{limit: rate.NewLimiter(rate.Every(driftEvery), driftLines), unsaid: map[dataplane.Kind]int{}}
		d.told[ns] = told
	}
	if len(counts) > 0 {
		total := maps.Clone(told.total)
		if total == nil {
			total = map[dataplane.Kind]int{}
		}
		for kind, n := range counts {
			d.total[kind] += n
			told.unsaid[kind] += n
			total[kind] += n
		}
		told.total = total
	}
	most := func(a, b dataplane.Kind) int { return cmp.Or(told.unsaid[b]-told.unsaid[a], cmp.Compare(a, b)) }
	for _, kind := range slices.SortedFunc(maps.Keys(told.unsaid), most) {
		if !told.limit.Allow() {
			break
		}
		lines = append(lines, driftLine{kind, told.unsaid[kind]})
		delete(told.unsaid, kind)
	}
	return lines
}

// perNamespace returns the sums of those that have any.
func (d *drift) perNamespace() map[string]map[dataplane.Kind]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]map[dataplane.Kind]int, len(d.told))
	for ns, told := range d.told {
		out[ns] = told.total
	}
	return out
}

// forget ends the count of a namespace that is worked in no more.
func (d *drift) forget(ns string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.told, ns)
}

// Drift returns what was found changed by others and repaired since the start, by
// kind; every kind is there, with 0 if need be.
func (a *Agent) Drift() map[dataplane.Kind]int {
	a.drift.mu.Lock()
	defer a.drift.mu.Unlock()
	return maps.Clone(a.drift.total)
}

func newDrift() *drift {
	d := &drift{total: map[dataplane.Kind]int{}, told: map[string]*driftTold{}}
	for _, k := range dataplane.Kinds() {
		d.total[k] = 0
	}
	return d
}
