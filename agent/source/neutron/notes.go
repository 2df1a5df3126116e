package neutron

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// wanted is what has to be asked for.
type wanted struct {
	// full: everything; audit: what may have changed without a word; turn: the
	// part of an audit that goes through the routers.
	full, audit, turn bool
	// routers to ask for, with their proxies; routers to ask for the proxies of;
	// ports; hosts to ask for the L3 agents of.
	routers, proxiesOf, ports, hosts map[string]bool
	// gone are those of the routers that a message says went from here.
	gone map[string]bool
	// left are routers of which a message said that, and that must not be asked
	// for (see unlisted.go). What is noted later is newer: it takes a router from
	// the one to the other.
	left map[string]bool
}

func (w wanted) nothing() bool {
	return !w.full && !w.audit && !w.turn && len(w.routers)+len(w.proxiesOf)+len(w.ports)+len(w.hosts)+len(w.left) == 0
}

func (w *wanted) merge(o wanted) {
	w.full, w.audit, w.turn = w.full || o.full, w.audit || o.audit, w.turn || o.turn
	merge(&w.routers, o.routers)
	merge(&w.proxiesOf, o.proxiesOf)
	merge(&w.ports, o.ports)
	merge(&w.hosts, o.hosts)
	merge(&w.gone, o.gone)
	merge(&w.left, o.left)
	for id := range o.routers {
		delete(w.left, id)
	}
	w.forget(o.left)
	w.bound()
}

// forget ends what was wanted of routers.
func (w *wanted) forget(ids map[string]bool) {
	for id := range ids {
		delete(w.routers, id)
		delete(w.gone, id)
	}
}

// mostNoted bounds the routers that are asked for one by one, and the hosts: more
// routers are everything, more hosts are left to the next audit, and a list that
// grows for as long as the server does not answer is none.
const mostNoted = 4096

func (w *wanted) bound() {
	if len(w.routers)+len(w.left) > mostNoted {
		w.full, w.routers, w.gone, w.left = true, nil, nil, nil
	}
	if len(w.hosts) > mostNoted {
		w.hosts = nil
	}
}

func merge(into *map[string]bool, ids map[string]bool) {
	if len(ids) > 0 && *into == nil {
		*into = map[string]bool{}
	}
	maps.Copy(*into, ids)
}

// set is ids as wanted has them.
func set(ids ...string) map[string]bool {
	m := make(map[string]bool, len(ids))
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// notes are what has to be asked for, noted by whoever learns of it and worked
// off by one goroutine.
type notes struct {
	mu    sync.Mutex
	open  wanted
	later wanted // what failed; one timer brings it back, however much fails
	timer *time.Timer
	wake  chan struct{} // capacity 1
}

func newNotes() *notes { return &notes{wake: make(chan struct{}, 1)} }

func (n *notes) add(w wanted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open.merge(w)
	n.later.forget(w.left)
	n.signal()
}

// addOlder notes what was wanted before all that is noted now.
func (n *notes) addOlder(w wanted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.older(w)
}

func (n *notes) older(w wanted) {
	var all wanted
	all.merge(w)
	all.merge(n.open)
	n.open = all
	n.signal()
}

func (n *notes) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// addLater brings back what failed after the wait, or with what failed before.
func (n *notes) addLater(w wanted, wait time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.later.merge(w)
	n.later.forget(n.open.left)
	if n.timer == nil {
		n.timer = time.AfterFunc(wait, n.bringBack)
	}
}

func (n *notes) bringBack() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.timer = nil
	n.older(n.later)
	n.later = wanted{}
}

// stop forgets what was to come back.
func (n *notes) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
	}
}

func (n *notes) take() wanted {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.open
	n.open = wanted{}
	return w
}

// takeUrgent takes what messages asked for, and leaves the rest.
func (n *notes) takeUrgent() wanted {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := wanted{routers: n.open.routers, proxiesOf: n.open.proxiesOf, gone: n.open.gone, left: n.open.left}
	n.open.routers, n.open.proxiesOf, n.open.gone, n.open.left = nil, nil, nil, nil
	return w
}

// rotation picks which of many things an audit reads again: those read longest
// ago come first, so that each has its turn and an audit costs the server the
// same however many there are.
type rotation map[string]time.Time

func (r rotation) pick(ids []string, most int) []string {
	exist := set(ids...)
	maps.DeleteFunc(r, func(id string, _ time.Time) bool { return !exist[id] })
	picked := slices.Clone(ids)
	slices.SortStableFunc(picked, func(a, b string) int { return r[a].Compare(r[b]) })
	return picked[:min(len(picked), most)]
}

// done notes that these were read.
func (r rotation) done(ids []string, now time.Time) {
	for _, id := range ids {
		r[id] = now
	}
}
