package neutron

import (
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// firstAwaited is when a router is asked for again of which the server does not
// list this host's fg- port yet. The L3 agent has the port made while it
// processes the router, which takes it a second or two.
const firstAwaited = time.Second

// awaited are the routers with an attachment that waits for the server, and
// when to ask for each again. Only the asking goroutine uses it.
type awaited struct {
	inventory *inventory.Inventory
	most      time.Duration
	routers   map[string]*again
}

type again struct {
	at   time.Time // zero: not needed now
	wait time.Duration
}

// note takes a router as the server described it.
func (a *awaited) note(r inventory.Router) {
	switch {
	case r.Awaits == "":
		delete(a.routers, r.ID)
	case a.routers[r.ID] == nil:
		a.routers[r.ID] = &again{}
	}
}

// next tells when the next router is due. A router without anything to publish
// from here is not asked for; it starts anew when there is.
func (a *awaited) next(now time.Time) (at time.Time, waiting bool) {
	for id, g := range a.routers {
		awaits, here := a.inventory.Awaits(id)
		if !awaits {
			delete(a.routers, id)
			continue
		}
		if !here {
			*g = again{}
			continue
		}
		if g.at.IsZero() {
			g.wait = firstAwaited
			g.at = now.Add(g.wait)
		}
		if !waiting || g.at.Before(at) {
			at, waiting = g.at, true
		}
	}
	return at, waiting
}

// due returns the routers to ask for now, and doubles the wait of each.
func (a *awaited) due(now time.Time) []string {
	var ids []string
	for id, g := range a.routers {
		if !g.at.IsZero() && !g.at.After(now) {
			ids = append(ids, id)
			g.wait = min(2*g.wait, a.most)
			g.at = now.Add(g.wait)
		}
	}
	slices.Sort(ids)
	return ids
}
