package neutron

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// What an answer lacks of that which was here, although no message said that it
// went, is asked for once more a moment later: one server of several may read
// from a database that is behind, or be about to stop. Only what both answers
// lack has gone.

// secondThought is how long to wait before the second question. It comes on top
// of an audit, which begins a tenth of its interval or more before the bound.
func secondThought(audit time.Duration) time.Duration { return min(time.Second, audit/20) }

// departedFor is how long a router is asked for that went without a word. If it
// was the server's error, the next audit brings it back: otherwise it would be
// asked for only in the next full sync.
const departedFor = time.Hour

// departed are the routers that went without a word, and when.
type departed map[string]time.Time

// ids are those that are to be asked for.
func (d departed) ids(now time.Time) []string {
	maps.DeleteFunc(d, func(_ string, at time.Time) bool { return now.Sub(at) > departedFor })
	return slices.Sorted(maps.Keys(d))
}

// routersSurely asks for routers, of which some were here. Messages were about
// those in told, and said of those in gone that they went.
func (s *Source) routersSurely(ctx context.Context, ids, were []string, told, gone map[string]bool, a *answer) error {
	if err := s.routers(ctx, ids, a); err != nil {
		return err
	}
	missing := slices.DeleteFunc(a.lacks(ids, were), func(id string) bool { return gone[id] })
	for id := range gone {
		delete(s.departed, id)
	}
	if len(missing) > 0 {
		if err := s.pause(ctx); err != nil {
			return err
		}
		var again answer
		if err := s.routers(ctx, missing, &again); err != nil {
			return err
		}
		a.routers = append(a.routers, again.routers...)
		a.badRouters = append(a.badRouters, again.badRouters...)
		missing = a.lacks(missing, missing)
	}
	now := time.Now()
	for _, id := range missing {
		switch _, known := s.o.Inventory.Router(id); {
		case !known:
		case s.mustBeListed(id):
			s.relisting.begin(now)
		default:
			s.departed[id] = now
		}
	}
	if missing = slices.DeleteFunc(missing, func(id string) bool { return told[id] }); len(missing) > 0 {
		s.sayUnlisted(missing)
	}
	return nil
}

func (s *Source) sayUnlisted(ids []string) {
	s.o.Log.Warn("the server does not list these routers for this host any more, though no message said so",
		zap.Strings("routers", ids))
}

// lacks returns which of the routers that were asked for, and that there were,
// the answer does not name.
func (a answer) lacks(asked, were []string) (missing []string) {
	named := set(a.ids()...)
	for _, m := range a.badRouters {
		if !slices.Contains(asked, m.ID) {
			return nil // it may be any of them, and all that is not named stays
		}
		named[m.ID] = true
	}
	for _, id := range were {
		if !named[id] && slices.Contains(asked, id) {
			missing = append(missing, id)
		}
	}
	return missing
}

// proxiesSurely asks for the NDP proxies of routers of which no message said that
// any went. stands: there may be some that nobody here knows of.
func (s *Source) proxiesSurely(ctx context.Context, ids []string, stands bool, a *answer) error {
	if err := s.proxies(ctx, ids, a); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, p := range a.proxies {
		named[p.ID] = true
	}
	for _, m := range a.badProxies { // they stay as they were
		named[m.ID] = true
	}
	var doubtful []string
	for _, id := range ids {
		e, _ := s.o.Inventory.Router(id)
		if stands || slices.ContainsFunc(e.Proxies, func(p inventory.Proxy) bool { return !named[p.ID] }) {
			doubtful = append(doubtful, id)
		}
	}
	if len(doubtful) == 0 {
		return nil
	}
	if err := s.pause(ctx); err != nil {
		return err
	}
	var again answer
	if err := s.proxies(ctx, doubtful, &again); err != nil {
		return err
	}
	a.proxies = append(a.proxies, slices.DeleteFunc(again.proxies, func(p rpc.NDPProxy) bool { return named[p.ID] })...)
	a.badProxies = append(a.badProxies, again.badProxies...)
	return nil
}

// stands reports whether something may be published of which only the kernel
// knows: there may be at the start.
func (s *Source) stands(ctx context.Context) bool {
	stands := !s.o.Inventory.Synced() && s.o.Stands != nil && s.o.Stands(ctx)
	if stands {
		s.stood.Store(true)
	}
	return stands
}

// pause waits before a second question.
func (s *Source) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(secondThought(s.o.Audit)):
		return nil
	}
}
