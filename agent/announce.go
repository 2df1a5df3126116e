package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// linkLayer is what the neighbours of a device have learned of it.
type linkLayer struct {
	index int
	mac   string
}

// announce owes an advertisement for each address that became answerable, and
// for all of a device whose link-layer address changed while it answered. It
// drops what is no longer ours, and tries what was owed before: the device may
// have become ready.
func (a *Agent) announce(ns string, state dataplane.State, have dataplane.Observation, result dataplane.Result) {
	now := make(map[string]linkLayer, len(state.Devices))
	a.mu.Lock()
	before, again := a.devices[ns], a.retell[ns]
	delete(a.retell, ns)
	a.mu.Unlock()
	for _, d := range state.Devices {
		t := announcer.Target{Namespace: ns, Device: d.Name}
		if !d.Answer {
			// Standby: a stray advertisement from here would move the
			// switches' forwarding entries away from the active node.
			a.o.Announcer.Drop(t)
			now[d.Name] = linkLayer{}
			continue
		}
		if i, ok := have.Interface(d.Name); ok {
			now[d.Name] = linkLayer{index: i.Index, mac: i.MAC.String()}
		}
		a.o.Announcer.Retain(t, d.Published...)
		was := before[d.Name]
		switch addrs := result.Answerable[d.Name]; {
		case again, was.mac != "" && was.index == now[d.Name].index && was.mac != now[d.Name].mac:
			a.o.Announcer.Owe(t, answered(d, have, addrs)...)
		case len(addrs) > 0:
			a.o.Announcer.Owe(t, addrs...)
		}
		a.o.Announcer.Kick(t)
	}
	for gone := range before {
		if _, still := now[gone]; !still {
			a.o.Announcer.Drop(announcer.Target{Namespace: ns, Device: gone})
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(now) == 0 {
		delete(a.devices, ns)
	} else {
		a.devices[ns] = now
	}
}

// retellAgain is the time from the first announcement after a carrier to the
// second: a port that just came up may not forward yet (spanning tree).
const retellAgain = 10 * time.Second

// carriers has everything that is answered for announced again when the host
// got a carrier. The other node of an HA router that was the primary in between
// has the same link-layer address, and the switches keep it at that node's port
// until a frame comes from here; keepalived, which never noticed, sends none.
//
// It waits until the two nodes have agreed (CarrierWait): an advertisement from
// the one that is about to resign would move the switches' entries the wrong
// way, and there is none from the other to move them back. A link that comes and
// goes starts the wait anew.
func (a *Agent) carriers(ctx context.Context) error {
	var due <-chan time.Time
	var rounds []time.Duration // still to come
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.o.Carrier: // nil: never
			due, rounds = time.After(a.o.CarrierWait), []time.Duration{retellAgain}
		case <-due:
			a.retellAll()
			due = nil
			if len(rounds) > 0 {
				due, rounds = time.After(rounds[0]), rounds[1:]
			}
		}
	}
}

// retellAll marks everything to be announced once more, and has it looked at
// first: only who holds the gateway's address now announces.
func (a *Agent) retellAll() {
	names := a.inventory.Namespaces()
	a.mu.Lock()
	for _, ns := range names {
		a.retell[ns] = true
	}
	a.mu.Unlock()
	a.o.Log.Info("the host got a carrier: announcing again what is answered for here", zap.Int("namespaces", len(names)))
	for _, ns := range names {
		a.queue.Add(ns, false)
	}
}

// forgetAll drops what is owed in a namespace that is gone: when it is there
// again, what becomes answerable is announced anew.
func (a *Agent) forgetAll(ns string) {
	a.mu.Lock()
	devices := a.devices[ns]
	delete(a.devices, ns)
	delete(a.retell, ns)
	a.mu.Unlock()
	for device := range devices {
		a.o.Announcer.Drop(announcer.Target{Namespace: ns, Device: device})
	}
}

// answered are the addresses that the device answers for now: those that it
// answered for before and that are still wanted, and those that were added.
func answered(d dataplane.Device, have dataplane.Observation, added []netip.Addr) []netip.Addr {
	marked := have.Marked(d.Name)
	return slices.DeleteFunc(slices.Clone(d.Published), func(a netip.Addr) bool {
		return !slices.Contains(added, a) && !slices.Contains(marked, a)
	})
}

// isAlias reports whether a namespace that nobody names is a wanted one under
// another name (`ip netns attach`): what is in it is not left over then. An
// error: it can't be told.
func (a *Agent) isAlias(ns string) (bool, error) {
	id, err := a.o.Dataplane.Identify(ns)
	if err != nil {
		return false, goneIsFine(err)
	}
	var errs []error
	for _, name := range a.inventory.Namespaces() {
		other, err := a.o.Dataplane.Identify(name)
		if err == nil && other == id {
			return true, nil
		}
		errs = append(errs, goneIsFine(err))
	}
	return false, errors.Join(errs...)
}

func goneIsFine(err error) error {
	if dataplane.Classify(err) == dataplane.ClassGone {
		return nil
	}
	return err
}
