package agent

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane"
)

// discovery sums up what the kernel counts of Neighbour Discovery on the devices that
// publish. Its counters begin anew with each device, so what is summed is how much
// they grew.
type discovery struct {
	mu    sync.Mutex
	total dataplane.Discovery
	last  map[string]map[string]discoverySeen // by namespace and device
}

type discoverySeen struct {
	index int
	dataplane.Discovery
}

// read takes the counters of a namespace's devices, at the end of a thorough look: as
// often as the audits, since each costs a system call or two.
func (a *Agent) readDiscovery(ctx context.Context, ns string, state dataplane.State, have dataplane.Observation) {
	if a.o.Discovery == nil {
		return
	}
	var names []string
	for _, d := range state.Devices {
		names = append(names, d.Name)
	}
	if len(names) == 0 {
		a.discovery.forget(ns)
		return
	}
	counts, err := a.o.Discovery(ctx, ns, names)
	if err != nil {
		// Nothing depends on it, and what is wrong with the namespace is said elsewhere.
		a.o.Log.Debug("reading the counters of Neighbour Discovery", zap.String("namespace", ns), zap.Error(err))
		return
	}
	now := make(map[string]discoverySeen, len(counts))
	for name, c := range counts {
		if i, there := have.Interface(name); there {
			now[name] = discoverySeen{i.Index, c}
		}
	}
	a.discovery.add(ns, now)
}

// add counts by how much the counters grew. Of a device that was not seen before
// nothing counts: who knows since when it is there.
func (d *discovery) add(ns string, now map[string]discoverySeen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, c := range now {
		was, seen := d.last[ns][name]
		if seen && was.index == c.index {
			d.total.Solicitations += grown(was.Solicitations, c.Solicitations)
			d.total.Advertisements += grown(was.Advertisements, c.Advertisements)
		}
	}
	if d.last == nil {
		d.last = map[string]map[string]discoverySeen{}
	}
	d.last[ns] = now
}

// grown is by how much a counter grew; one that is smaller began anew.
func grown(was, is uint64) uint64 {
	if is < was {
		return is
	}
	return is - was
}

func (d *discovery) forget(ns string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.last, ns)
}

// Discovery returns how many solicitations the devices that publish received, and how
// many advertisements left them, since this run first saw each device, as of the last
// thorough look at it.
func (a *Agent) Discovery() dataplane.Discovery {
	a.discovery.mu.Lock()
	defer a.discovery.mu.Unlock()
	return a.discovery.total
}
