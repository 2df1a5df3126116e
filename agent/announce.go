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

// linkLayer is what the neighbours of a device have learned of it; the zero
// value where it does not answer.
type linkLayer struct {
	index int
	mac   string
	// carriers is how often the device got its carrier: what is behind it may
	// have learned otherwise while it had none.
	carriers uint32
}

// telling is what to say again of what is answered for.
type telling int

const (
	tellNew  telling = iota // what became answerable, and nothing again
	tellOnce                // a single copy, in case somebody forgot
	tellAll                 // as if all became answerable now
)

// silence takes back what is owed for what is not ours any more, before the
// kernel is written: no copy leaves for an address that is being withdrawn.
func (a *Agent) silence(ns string, state dataplane.State) {
	a.mu.Lock()
	before := a.devices[ns]
	a.mu.Unlock()
	for gone := range before {
		if _, still := state.Device(gone); !still {
			a.o.Announcer.Drop(announcer.Target{Namespace: ns, Device: gone})
		}
	}
	for _, d := range state.Devices {
		t := announcer.Target{Namespace: ns, Device: d.Name}
		if d.Answer {
			a.o.Announcer.Retain(t, d.Published...)
		} else {
			// Standby: a stray advertisement from here would move the
			// switches' forwarding entries away from the active node.
			a.o.Announcer.Drop(t)
		}
	}
}

// announce owes an advertisement for each address that became answerable, and
// for all of a device whose link-layer address changed, or that lost its carrier,
// while it answered. It tries what was owed before: the device may have become
// ready.
func (a *Agent) announce(ns string, state dataplane.State, have dataplane.Observation, result dataplane.Result) {
	now := make(map[string]linkLayer, len(state.Devices))
	a.mu.Lock()
	before, again := a.devices[ns], a.retell[ns]
	a.mu.Unlock()
	for _, d := range state.Devices {
		t := announcer.Target{Namespace: ns, Device: d.Name}
		if !d.Answer {
			now[d.Name] = linkLayer{}
			continue
		}
		if i, ok := have.Interface(d.Name); ok {
			now[d.Name] = linkLayer{index: i.Index, mac: i.MAC.String(), carriers: i.CarrierUps}
		}
		was, fresh := before[d.Name], result.Answerable[d.Name]
		changed := was.mac != "" && was.index == now[d.Name].index && was != now[d.Name]
		switch {
		case again == tellAll || changed:
			a.owe(t, answered(d, have, fresh))
		case again == tellOnce:
			a.owe(t, fresh)
			a.o.Announcer.Refresh(t, answered(d, have, nil)...)
		default:
			a.owe(t, fresh)
		}
		a.o.Announcer.Kick(t)
	}
	a.told(ns, again, now)
}

// owe makes an announcement owed that outlasts this process.
func (a *Agent) owe(t announcer.Target, addrs []netip.Addr) {
	if len(addrs) > 0 {
		a.debts.Mark(t.Namespace)
		a.o.Announcer.Owe(t, addrs...)
	}
}

// told notes what was done for the next time. What an earlier process owed stays
// to be told until it is known of every router whether it is in the namespace.
func (a *Agent) told(ns string, what telling, now map[string]linkLayer) {
	synced := a.inventory.Synced()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.retell[ns] == what && synced {
		delete(a.retell, ns)
	}
	if len(now) == 0 {
		delete(a.devices, ns)
	} else {
		a.devices[ns] = now
	}
}

// owing reports whether anything is to be announced in a namespace.
func (a *Agent) owing(ns string) bool {
	a.mu.Lock()
	again := a.retell[ns] == tellAll
	a.mu.Unlock()
	return again || a.o.Announcer.Owing(ns)
}

// Settled is to be called when the Announcer owes nothing any more on a device of
// a namespace.
func (a *Agent) Settled(ns string) { a.debts.Settled(ns) }

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
			a.announceAll("the host got a carrier")
			due = nil
			if len(rounds) > 0 {
				due, rounds = time.After(rounds[0]), rounds[1:]
			}
		}
	}
}

// AnnounceAll announces again what is answered for here, because the operator
// says so.
func (a *Agent) AnnounceAll() { a.announceAll("the operator asked for it") }

// announceAll has everything looked at first: only who holds the gateway's
// address now announces.
func (a *Agent) announceAll(why string) {
	names := a.inventory.Namespaces()
	a.o.Log.Info("announcing again what is answered for here", zap.String("because", why), zap.Int("namespaces", len(names)))
	for _, ns := range names {
		a.tell(ns, tellAll)
	}
}

// tell has a namespace looked at, behind those where something happened: what
// comes for all of them at once must not keep a failover waiting.
func (a *Agent) tell(ns string, what telling) {
	a.mu.Lock()
	a.retell[ns] = max(a.retell[ns], what)
	a.mu.Unlock()
	if what == tellAll {
		a.debts.Mark(ns)
	}
	a.queue.Add(ns, true)
}

// refreshPause bounds how much of the daemon's time goes into refreshes.
const refreshPause = 20 * time.Millisecond

// refresh tells once more, from time to time, of everything that is answered
// for: the namespaces one after the other over the whole interval, so that
// nobody hears of a thousand routers at once.
func (a *Agent) refresh(ctx context.Context) error {
	if a.o.Refresh <= 0 {
		return nil
	}
	for {
		names := a.inventory.Namespaces()
		pause := max(refreshPause, a.o.Refresh/time.Duration(max(1, len(names))))
		// At least one pause, also where there is nothing to tell of.
		for i := range max(1, len(names)) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Duration((0.9 + 0.1*a.o.Jitter()) * float64(pause))):
			}
			if i < len(names) {
				a.tell(names[i], tellOnce)
			}
		}
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
	var before []netip.Addr
	if i, ok := have.Interface(d.Name); ok && i.ProxyNDP {
		before = have.Marked(d.Name)
	}
	known := slices.Concat(before, added)
	slices.SortFunc(known, netip.Addr.Compare)
	return slices.DeleteFunc(slices.Clone(d.Published), func(a netip.Addr) bool { return !has(known, a) })
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
