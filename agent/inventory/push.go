package inventory

import (
	"slices"
	"time"
)

// journalLimit bounds the pushes remembered during one pull. A cloud would
// have to create this many proxies within one call; beyond it the pull is
// reported as overtaken and has to be repeated.
const journalLimit = 65536

// MaxProxies bounds the proxies of one router that are learned from pushes, and
// maxProxies those of all: memory, not policy, since no device can answer for so
// many. What is beyond it is left to the next answer of the server, whose size is
// bounded, too.
const (
	MaxProxies = 1 << 15
	maxProxies = 1 << 18
)

// journalGrace is how long a push is remembered when no pull is under way. A
// database cluster may answer a pull from a node that has not seen yet what
// another node has already pushed.
const journalGrace = 2 * time.Second

// journal remembers the pushes of the last moments, and those that came while
// a pull was under way. The pull may have read the database before them, and
// its reply may come after them, so they are applied once more on top of it. A
// push that the pull had already seen changes nothing then.
type journal struct {
	now    func() time.Time
	pushes []push
	// gone are the proxies deleted by one of the pushes, by id: two servers may
	// push in another order than they wrote, and an id is never used again.
	gone     map[string]bool
	pulling  bool
	overflow bool
}

type push struct {
	proxy   Proxy
	deleted bool
	at      time.Time
}

func (j *journal) note(p push) {
	p.at = j.now()
	if len(j.pushes) >= journalLimit {
		j.overflow = j.overflow || j.pulling
		j.drop(1)
	}
	j.pushes = append(j.pushes, p)
	if p.deleted {
		if j.gone == nil {
			j.gone = map[string]bool{}
		}
		j.gone[p.proxy.ID] = true
	}
}

func (j *journal) prune(now time.Time) {
	first := slices.IndexFunc(j.pushes, func(p push) bool { return now.Sub(p.at) < journalGrace })
	if first < 0 {
		j.forget()
		return
	}
	j.drop(first)
}

// drop forgets the first pushes.
func (j *journal) drop(n int) {
	for _, p := range j.pushes[:n] {
		if p.deleted {
			delete(j.gone, p.proxy.ID)
		}
	}
	j.pushes = j.pushes[n:]
}

func (j *journal) forget() { j.pushes, j.gone = nil, nil }

// BeginPull keeps the pushes from now on; EndPull must follow the replacing
// call. One pull at a time: the source asks for one thing after the other.
func (i *Inventory) BeginPull() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.journal.prune(i.journal.now())
	i.journal.pulling, i.journal.overflow = true, false
}

// EndPull ends that, and reports whether there were too many pushes to
// remember, in which case the pull has to be made again.
func (i *Inventory) EndPull() (overtaken bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.journal.pulling = false
	i.journal.prune(i.journal.now())
	return i.journal.overflow
}

// ForgetPushes forgets the pushes that were remembered: the stream of messages
// was interrupted, and what came before it is no evidence against an answer.
func (i *Inventory) ForgetPushes() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.journal.forget()
}

// SetProxy records a pushed proxy, unless it was just removed. It reports
// whether the proxy's router is on this host: others come in numbers, since the
// fanout is cloud-wide.
func (i *Inventory) SetProxy(p Proxy) (local bool) {
	return i.push(push{proxy: p}, Cause{})
}

// RemoveProxy records that a proxy was deleted.
func (i *Inventory) RemoveProxy(p Proxy) (local bool) {
	return i.push(push{proxy: p, deleted: true}, Cause{})
}

// Full reports whether a router has so many proxies that no more are learned
// from pushes.
func (i *Inventory) Full(routerID string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.proxies[routerID]) >= MaxProxies || i.total >= maxProxies
}

func (i *Inventory) push(p push, why Cause) (local bool) {
	i.changeFor(func(string) Cause { return why }, func(d *dirt) {
		if !i.journal.pulling {
			i.journal.prune(i.journal.now())
		}
		if i.journal.gone[p.proxy.ID] && !p.deleted {
			return // it came late: the proxy was deleted since
		}
		i.journal.note(p)
		local = i.applyPush(p, d)
	})
	return local
}

func (i *Inventory) replay(d *dirt) {
	if !i.journal.pulling {
		return
	}
	for _, p := range i.journal.pushes {
		i.applyPush(p, d)
	}
}

func (i *Inventory) applyPush(p push, d *dirt) (local bool) {
	r, known := i.routers[p.proxy.RouterID]
	if !known {
		return false
	}
	old, had := i.proxies[r.ID][p.proxy.ID]
	switch {
	case p.deleted && had:
		i.dropProxy(r, old, d)
	case !p.deleted && !had && (len(i.proxies[r.ID]) >= MaxProxies || i.total >= maxProxies):
	case !p.deleted && (!had || old != p.proxy):
		i.putProxy(r, p.proxy, d)
	}
	return true
}
