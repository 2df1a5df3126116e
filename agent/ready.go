package agent

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// placesLimit is how long being ready waits for the places of ports, which come
// after the first sync. What is published while they are not known stays, so
// until then this host may answer for an address that has moved away; but a
// server that cannot tell must not keep the routers ready that need no places.
const (
	placesLimit = 5 * time.Second
	placesLook  = 20 * time.Millisecond
)

// placed waits until the places of all ports are known, within the limit.
func (a *Agent) placed(ctx context.Context) {
	for until := time.Now().Add(placesLimit); len(a.inventory.UnknownPorts()) > 0 && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(placesLook):
		}
	}
}

// firstSync notes what has to be looked at before the agent is ready. It does
// not go on at once without knowing what was left over, but a file that was
// never a namespace must not keep it for ever: the next sweep looks again.
func (a *Agent) firstSync(ctx context.Context) {
	left, err := a.leftovers(ctx)
	for failures := 1; err != nil && failures <= quietTries; failures++ {
		a.o.Log.Warn("looking for leftovers, trying again", zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(a.o.RetryMin<<min(failures, 16), a.o.RetryMax)):
		}
		left, err = a.leftovers(ctx)
	}
	names := append(a.inventory.Namespaces(), left...)
	awaited := map[string]bool{}
	for _, ns := range names {
		awaited[ns] = true
	}
	a.mu.Lock()
	a.awaited = awaited
	var strange []string // where an earlier run owed something
	for ns := range a.retell {
		if !awaited[ns] {
			strange = append(strange, ns)
		}
	}
	a.mu.Unlock()
	for _, ns := range strange {
		if entries, held := a.inventory.Namespace(ns); len(entries) == 0 && !held {
			a.mu.Lock()
			delete(a.retell, ns)
			a.mu.Unlock()
			a.debts.Settled(ns)
		}
	}
	if len(names) == 0 {
		close(a.ready)
	}
	for _, ns := range names {
		a.queue.Add(ns, true)
	}
}

// looked notes that a namespace is as it should be, or waits for something that
// trying at once does not mend. deep: the look began after the first sync, which
// asks for thorough ones.
func (a *Agent) looked(ns string, deep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !deep || !a.awaited[ns] {
		return
	}
	delete(a.awaited, ns)
	if len(a.awaited) == 0 {
		close(a.ready)
	}
}
