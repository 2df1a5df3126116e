package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/netns"
)

// following knows whose kernel events are wanted, and for whom: a namespace
// that we work in is wanted for itself, and the namespace of a distributed
// router for the shared one in which it is published. One may be both.
type following struct {
	watcher Watcher

	// mu is held over the calls of the watcher too, or a Follow of one worker
	// could be overtaken by an older Unfollow of another.
	mu    sync.Mutex
	users map[string]map[string]bool // namespace -> for which ones it is followed
	peers map[string][]string        // namespace -> those followed for it besides itself
}

func newFollowing(w Watcher) *following {
	return &following{watcher: w, users: map[string]map[string]bool{}, peers: map[string][]string{}}
}

// set follows a namespace and its peers, and no other ones for it.
func (f *following) set(ns string, peers []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(ns, ns)
	for _, p := range peers {
		f.add(p, ns)
	}
	for _, p := range f.peers[ns] {
		if !slices.Contains(peers, p) {
			f.remove(p, ns)
		}
	}
	if len(peers) == 0 {
		delete(f.peers, ns)
	} else {
		f.peers[ns] = slices.Clone(peers)
	}
}

// end follows nothing more for a namespace.
func (f *following) end(ns string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.peers[ns] {
		f.remove(p, ns)
	}
	delete(f.peers, ns)
	f.remove(ns, ns)
}

// worksIn reports whether this run has made a namespace what it is.
func (f *following) worksIn(ns string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users[ns][ns]
}

func (f *following) add(ns, user string) {
	if f.users[ns] == nil {
		f.users[ns] = map[string]bool{}
		f.watcher.Follow(ns)
	}
	f.users[ns][user] = true
}

func (f *following) remove(ns, user string) {
	if !f.users[ns][user] {
		return
	}
	delete(f.users[ns], user)
	if len(f.users[ns]) == 0 {
		delete(f.users, ns)
		f.watcher.Unfollow(ns)
	}
}

// concerned returns the namespaces to look at after a kernel event in one: it
// itself, and the shared ones whose routers are in it.
func (a *Agent) concerned(ns string) []string {
	out := a.inventory.Dependents(ns)
	if entries, _ := a.inventory.Namespace(ns); len(entries) > 0 {
		out = append(out, ns)
	}
	return out
}

// seen adds to what was observed in a namespace the interfaces at the other ends
// of its pairs. A namespace that is not there, or only half made, is missing;
// its appearing is an event. What can't be read otherwise is named, and the
// error says why: taking it for missing would withdraw what is published.
func (a *Agent) seen(ctx context.Context, ns string, entries []inventory.Entry, have dataplane.Observation) (plan.Seen, error) {
	s := plan.Seen{Observation: have, Peers: plan.Peers{}, Unreadable: map[string]bool{}}
	var errs []error
	for _, name := range plan.PeerNamespaces(ns, entries) {
		interfaces, err := a.o.Dataplane.Interfaces(ctx, name)
		switch {
		case err == nil:
			s.Peers[name] = interfaces
		case dataplane.Classify(err) == dataplane.ClassGone || errors.Is(err, netns.ErrNotReady):
		default:
			s.Unreadable[name] = true
			errs = append(errs, fmt.Errorf("the router's own namespace: %w", err))
		}
	}
	return s, errors.Join(errs...)
}
