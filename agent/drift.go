package agent

import (
	"maps"
	"sync"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane"
)

// drift sums up what somebody else had changed of what we wrote.
type drift struct {
	mu    sync.Mutex
	total map[dataplane.Kind]int
}

// repaired tells of it, and counts it.
func (d *drift) repaired(log *zap.Logger, counts map[dataplane.Kind]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for kind, n := range counts {
		d.total[kind] += n
		log.Warn("drift repaired: somebody else, or the kernel, had changed what we wrote", zap.String("kind", string(kind)), zap.Int("count", n))
	}
}

// Drift returns what was found changed by others and repaired since the start, by
// kind; every kind is there, with 0 if need be.
func (a *Agent) Drift() map[dataplane.Kind]int {
	a.drift.mu.Lock()
	defer a.drift.mu.Unlock()
	return maps.Clone(a.drift.total)
}

func newDrift() *drift {
	d := &drift{total: map[dataplane.Kind]int{}}
	for _, k := range dataplane.Kinds() {
		d.total[k] = 0
	}
	return d
}
