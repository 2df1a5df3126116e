package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Beside an L3 agent in a DVR mode, sync_routers describes also a centralised
// router that is on another host, if an instance or a DHCP server in its networks
// is on this one (_get_router_ids_for_agent of neutron/db/l3_dvrscheduler_db.py).
// Worse, what it describes it binds to the host that asks: the ports of such a
// router would be taken from the host that it is on (_ensure_host_set_on_ports of
// neutron/api/rpc/handlers/l3_rpc.py). So it must not be asked for by its id
// unless the server lists it for this host, or a message to this host names it,
// for which the L3 agent asks as well.

// mustBeListed reports whether a router, as far as it is known, is one that must
// not be asked for by its id only because it was here.
func (s *Source) mustBeListed(id string) bool {
	switch s.here.Mode {
	case rpc.ModeDVR, rpc.ModeDVRSNAT, rpc.ModeDVRNoExternal:
		e, known := s.o.Inventory.Router(id)
		return !known || !e.Router.ByPlace()
	}
	return false
}

// listed returns the routers to be asked for in a full sync: those that the server
// lists for this host, and those that were here, where they may be asked for:
// sync_routers tells of these. Of the others it asks for the list once more, as of
// everything if something stands that nobody here knows of.
func (s *Source) listed(ctx context.Context, stands bool) ([]string, error) {
	const failed = "router ids of this host: %w"
	ids, err := s.o.Server.RouterIDs(ctx)
	if err != nil {
		return nil, fmt.Errorf(failed, err)
	}
	here := s.o.Inventory.RouterIDs()
	unlisted := func() []string {
		named := set(ids...)
		return slices.DeleteFunc(slices.Clone(here), func(id string) bool { return named[id] || !s.mustBeListed(id) })
	}
	if stands || len(unlisted()) > 0 {
		if err := s.pause(ctx); err != nil {
			return nil, err
		}
		more, err := s.o.Server.RouterIDs(ctx)
		if err != nil {
			return nil, fmt.Errorf(failed, err)
		}
		ids = append(ids, more...)
	}
	gone := unlisted()
	if len(gone) > 0 {
		s.sayUnlisted(gone)
		s.relisting.begin(time.Now())
	}
	left := set(gone...)
	here = slices.DeleteFunc(here, func(id string) bool { return left[id] })
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(ids, here)))), nil
}

// leave takes away routers of which a message said that they went, and that must
// not be asked for.
func (s *Source) leave(ids map[string]bool) {
	if len(ids) > 0 {
		gone := slices.Sorted(maps.Keys(ids))
		causes := s.reasons.of(gone)
		s.o.Inventory.ReplaceRouters(gone, inventory.Snapshot{Causes: causes})
		s.reasons.answered(causes)
	}
}

// relisting brings the next full syncs forward after a router went that must be
// listed, without a word: if that was the server's error nothing else would find it
// out. They come one audit later, two more, four more and so on, for as long as
// other such routers are asked for ([departedFor]), since each list that the server
// makes also schedules routers that have no host.
type relisting struct {
	mu    sync.Mutex
	until time.Time
	// wait is with how many audits the next one comes, passed how many came.
	wait, passed int
}

func (r *relisting) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until, r.wait, r.passed = now.Add(departedFor), 1, 0
}

// due counts an audit and reports whether it is to be a full sync.
func (r *relisting) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.until) {
		return false
	}
	if r.passed++; r.passed < r.wait {
		return false
	}
	r.wait, r.passed = 2*r.wait, 0
	return true
}

// added are the routers that came lately, by a message. Two servers may push in
// another order than they wrote, so that one went again is asked for.
type added map[string]time.Time

// addedLately is far longer than a message is on its way.
const addedLately = 10 * time.Second

func (a added) note(ids []string, now time.Time) {
	maps.DeleteFunc(a, func(_ string, at time.Time) bool { return now.Sub(at) > addedLately })
	for _, id := range ids {
		if len(a) < mostNoted {
			a[id] = now
		}
	}
}

func (a added) lately(id string, now time.Time) bool {
	at, noted := a[id]
	return noted && now.Sub(at) <= addedLately
}
