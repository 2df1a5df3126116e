package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// pullAll makes the inventory equal to what the server says of this host: one
// call for the ids, one for the routers, one for their proxies; more only where
// there is more than fits into one (Config of the rpc), or where something that
// was here is missing (listed), or may be. At the start that is anything, if an
// earlier run left something. In a DVR mode it notes to ask for the proxies' ports, for which nothing else waits: until then the
// new ones' places are not known, and what is published of them stays.
func (s *Source) pullAll(ctx context.Context) error {
	start := time.Now()
	causes := s.reasons.all()
	stands := s.stands(ctx)
	ids, err := s.listed(ctx, stands)
	if err != nil {
		return err
	}
	a := answer{asked: ids}
	were, told := s.o.Inventory.RouterIDs(), map[string]bool(nil)
	if stands { // the list has also those that are administratively down
		were, told = ids, set(ids...)
	}
	if err := s.routersSurely(ctx, a.asked, were, told, nil, &a); err != nil {
		return err
	}
	if err := s.proxiesSurely(ctx, a.ids(), stands, &a); err != nil {
		return err
	}
	snap := a.snapshot(s.here)
	snap.Causes = causes
	s.o.Inventory.Replace(snap)
	s.pulled.Store(&start)
	s.reasons.answered(causes)
	s.allPorts(false)
	c := s.o.Inventory.Counts()
	s.o.Log.Info("in sync with the server", zap.Int("routers", c.Routers), zap.Int("enabled", c.Enabled),
		zap.Int("proxies", c.Proxies), zap.Int("unreadable", len(snap.Held)), zap.Duration("took", time.Since(start)))
	return nil
}

// pullRouters asks for routers, then for their proxies: a proxy that is made
// between the two calls is in the second answer, or pushed after it. The same
// goes for the proxies' ports. Messages were about them, and said of those in gone
// that they went.
func (s *Source) pullRouters(ctx context.Context, told, gone map[string]bool) error {
	ids := slices.Sorted(maps.Keys(told))
	causes := s.reasons.of(ids)
	a := answer{asked: ids}
	if err := s.routersSurely(ctx, ids, s.o.Inventory.RouterIDs(), told, gone, &a); err != nil {
		return err
	}
	if err := s.proxiesSurely(ctx, a.ids(), s.stands(ctx), &a); err != nil {
		return err
	}
	snap := a.snapshot(s.here)
	snap.Causes = causes
	s.o.Inventory.ReplaceRouters(ids, snap)
	s.reasons.answered(causes)
	if s.here.distributes() {
		s.quick.add(wanted{ports: set(s.o.Inventory.PortsOf(ids)...)})
	}
	return nil
}

// pullProxies asks for the proxies of routers, one call, of which a message said
// that they changed.
func (s *Source) pullProxies(ctx context.Context, ids []string) error {
	causes := s.reasons.of(ids)
	var a answer
	if err := s.proxies(ctx, ids, &a); err != nil {
		return err
	}
	snap := a.snapshot(s.here)
	snap.Causes = causes
	s.o.Inventory.ReplaceProxies(ids, snap)
	s.reasons.answered(causes)
	s.unknownPorts(ids)
	return nil
}

// pullAllProxies is the first part of an audit: the proxies of all routers in
// one call. An audit does not ask which routers there are: get_router_ids
// schedules routers that have no host, and may undo what an operator is about
// to do.
func (s *Source) pullAllProxies(ctx context.Context) error {
	all := s.o.Inventory.RouterIDs()
	var a answer
	if err := s.proxiesSurely(ctx, all, false, &a); err != nil {
		return err
	}
	s.o.Inventory.ReplaceProxies(all, a.snapshot(s.here))
	return nil
}

// pullTurn is the other part: as many enabled routers as fit into one call, and
// as many of those that could not be read the last time, or went without a word,
// in turns.
func (s *Source) pullTurn(ctx context.Context) error {
	turn := s.turn.pick(s.o.Inventory.EnabledIDs(), s.o.AuditRouters)
	held := s.heldTurn.pick(slices.Concat(s.o.Inventory.HeldIDs(), s.departed.ids(time.Now())), s.o.AuditRouters)
	known := set(s.o.Inventory.RouterIDs()...)
	a := answer{asked: slices.Compact(slices.Sorted(slices.Values(slices.Concat(turn, held))))}
	if err := s.routersSurely(ctx, a.asked, s.o.Inventory.RouterIDs(), nil, nil, &a); err != nil {
		return err
	}
	// The proxies of those that can be read only now; the others' were just read.
	more := slices.DeleteFunc(a.ids(), func(id string) bool { return known[id] })
	if err := s.proxies(ctx, more, &a); err != nil {
		return err
	}
	snap := a.snapshot(s.here)
	snap.KeepProxiesOf = append(snap.KeepProxiesOf, slices.DeleteFunc(a.ids(), func(id string) bool { return !known[id] })...)
	s.o.Inventory.ReplaceRouters(a.asked, snap)
	s.unknownPorts(a.asked)
	now := time.Now()
	s.turn.done(turn, now)
	s.heldTurn.done(held, now)
	return nil
}

func (s *Source) routers(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.routers, a.badRouters, err = s.o.Server.Routers(ctx, ids); err != nil {
		return fmt.Errorf("%d routers: %w", len(ids), err)
	}
	s.judged("router", a.ids(), a.badRouters)
	for _, r := range a.routers {
		delete(s.departed, r.ID)
		translated := Router(r, s.here)
		s.awaited.note(translated)
		if translated.Enabled && translated.Unsupported != "" && s.unsupported.note(r.ID) {
			s.o.Log.Warn("router is not served", zap.String("router", r.ID), zap.String("reason", translated.Unsupported))
		}
	}
	return nil
}

func (s *Source) proxies(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.proxies, a.badProxies, err = s.o.Server.NDPProxies(ctx, ids); err != nil {
		return fmt.Errorf("NDP proxies of %d routers: %w", len(ids), err)
	}
	good := make([]string, 0, len(a.proxies))
	for _, p := range a.proxies {
		good = append(good, p.ID)
	}
	s.judged("NDP proxy", good, a.badProxies)
	return nil
}

// namedMalformed bounds the objects of one answer that are named one by one.
const namedMalformed = 32

// judged says what of an answer could not be understood, and what of it can be
// again. An id may be among both: then it is not well.
func (s *Source) judged(kind string, good []string, bad []rpc.Malformed) {
	ill := make(map[string]bool, len(bad))
	for _, m := range bad {
		ill[m.ID] = true
	}
	for _, id := range good {
		if !ill[id] {
			s.complaints.clear(kind + " " + id)
		}
	}
	for _, m := range bad[:min(len(bad), namedMalformed)] {
		s.complaints.say(kind+" "+m.ID, fmt.Errorf("%s %s in the server's answer: %w", kind, m.ID, m.Err))
	}
	more := "further objects of kind " + kind
	if n := len(bad) - namedMalformed; n > 0 {
		s.complaints.say(more, fmt.Errorf("%d more in the server's answer could not be understood, the first %s: %w",
			n, bad[namedMalformed].ID, bad[namedMalformed].Err))
	} else {
		s.complaints.clear(more)
	}
}
