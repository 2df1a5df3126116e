package neutron

import (
	"maps"
	"sync"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// because is the cause that a message is.
func because(h rpc.Header) inventory.Cause {
	return inventory.Cause{Request: h.RequestID, Received: h.Received}
}

// reasons are the first messages for which routers are asked for, by id. They are
// for the log and for measuring; losing one loses no more than that.
type reasons struct {
	mu sync.Mutex
	by map[string]inventory.Cause
}

// note remembers why these will be asked for.
func (r *reasons) note(h rpc.Header, ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if _, noted := r.by[id]; !noted && len(r.by) < mostNoted {
			if r.by == nil {
				r.by = map[string]inventory.Cause{}
			}
			r.by[id] = because(h)
		}
	}
}

// of returns those of some routers, before they are asked for: what is noted later
// is a reason to ask again.
func (r *reasons) of(ids []string) map[string]inventory.Cause {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]inventory.Cause, len(ids))
	for _, id := range ids {
		if c, noted := r.by[id]; noted {
			out[id] = c
		}
	}
	return out
}

// answered forgets those that an answer was for.
func (r *reasons) answered(causes map[string]inventory.Cause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range causes {
		if r.by[id] == c {
			delete(r.by, id)
		}
	}
}

// all returns those of all routers.
func (r *reasons) all() map[string]inventory.Cause {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.by)
}
