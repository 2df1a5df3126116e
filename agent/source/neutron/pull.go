package neutron

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// pullAll makes the inventory equal to what the server says of this host: one
// call for the ids, one for the routers, one for their proxies, and in a DVR
// mode one for the proxies' ports and (dvr_snat) one for L3 agents; more only
// where there is more than fits into one (Config of the rpc).
func (s *Source) pullAll(ctx context.Context) error {
	start := time.Now()
	ids, err := s.o.Server.RouterIDs(ctx)
	if err != nil {
		return fmt.Errorf("router ids of this host: %w", err)
	}
	a := answer{asked: ids}
	if err := s.routers(ctx, ids, &a); err != nil {
		return err
	}
	if err := s.proxies(ctx, a.ids(), &a); err != nil {
		return err
	}
	err = s.ports(ctx, &a)
	if err != nil && !s.o.Inventory.Synced() {
		// Once in sync, what is not known to be wanted here is taken away.
		return err
	}
	snap := a.snapshot(s.here)
	s.o.Inventory.Replace(snap)
	c := s.o.Inventory.Counts()
	s.o.Log.Info("in sync with the server", zap.Int("routers", c.Routers), zap.Int("enabled", c.Enabled),
		zap.Int("proxies", c.Proxies), zap.Int("unreadable", len(snap.Held)), zap.Duration("took", time.Since(start)))
	return lack(a.portIDs(s.here), err)
}

// pullRouters asks for routers, then for their proxies: a proxy that is made
// between the two calls is in the second answer, or pushed after it. The same
// goes for the proxies' ports.
func (s *Source) pullRouters(ctx context.Context, ids []string) error {
	a := answer{asked: ids}
	if err := s.routers(ctx, ids, &a); err != nil {
		return err
	}
	if err := s.proxies(ctx, a.ids(), &a); err != nil {
		return err
	}
	err := s.ports(ctx, &a)
	s.o.Inventory.ReplaceRouters(ids, a.snapshot(s.here))
	return lack(a.portIDs(s.here), err)
}

// pullProxies asks for the proxies of routers, one call.
func (s *Source) pullProxies(ctx context.Context, ids []string) error {
	var a answer
	if err := s.proxies(ctx, ids, &a); err != nil {
		return err
	}
	s.o.Inventory.ReplaceProxies(ids, a.snapshot(s.here))
	return nil
}

// pullPorts asks where ports are, those that still matter.
func (s *Source) pullPorts(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(ids, func(id string) bool { return !s.o.Inventory.WantsPort(id) })
	places, keep, err := s.places(ctx, ids)
	s.o.Inventory.ReplacePorts(ids, inventory.Snapshot{Ports: places, KeepPorts: keep})
	return err
}

// pullHosts asks for the modes of other hosts' L3 agents, one call, and places
// the ports that were pushed as bound there. They are set as if pushed again:
// set as an answer, they would lose to the push, which knew less.
func (s *Source) pullHosts(ctx context.Context, hosts []string) error {
	if err := s.modes(ctx, hosts); err != nil {
		return err
	}
	s.placing.Lock()
	defer s.placing.Unlock()
	for _, p := range s.atlas.boundTo(hosts) {
		place, _ := s.atlas.place(p.Host)
		s.o.Inventory.SetPort(inventory.Port{ID: p.ID, Place: place})
	}
	return nil
}

// pullAudit asks for what may have changed without a word: the proxies of all
// routers in one call, in a DVR mode the ports of all of them in another (and
// on a dvr_snat host the L3 agents in a third), as many enabled routers as fit
// into one more, and those that could not be read the last time. It does not
// ask which routers there are: get_router_ids schedules routers that have no
// host, and may undo what an operator is about to do.
func (s *Source) pullAudit(ctx context.Context) error {
	all := s.o.Inventory.RouterIDs()
	var a answer
	if err := s.proxies(ctx, all, &a); err != nil {
		return err
	}
	s.o.Inventory.ReplaceProxies(all, a.snapshot(s.here))
	ports, failure := s.auditPorts(ctx)
	// The proxies and the ports count whatever the server makes of the routers.
	turn := s.turn.pick(s.o.Inventory.EnabledIDs(), s.o.AuditRouters)
	held := s.o.Inventory.HeldIDs()
	a.asked = slices.Compact(slices.Sorted(slices.Values(slices.Concat(turn, held[:min(len(held), s.o.AuditRouters)]))))
	if err := s.routers(ctx, a.asked, &a); err != nil {
		return err
	}
	// Proxies of routers that can be read only now.
	more := answer{routers: slices.DeleteFunc(slices.Clone(a.routers), func(r rpc.Router) bool { return slices.Contains(all, r.ID) })}
	if err := s.proxies(ctx, more.ids(), &more); err != nil {
		return err
	}
	if err := s.ports(ctx, &more); err != nil {
		ports, failure = append(ports, more.portIDs(s.here)...), err
	}
	a.proxies, a.badProxies = append(a.proxies, more.proxies...), append(a.badProxies, more.badProxies...)
	a.ports = more.ports
	s.o.Inventory.ReplaceRouters(a.asked, a.snapshot(s.here))
	s.turn.done(turn, time.Now())
	return lack(ports, failure)
}

// auditPorts looks for exchanges that were not there before, then asks for all
// ports, and returns their ids: what was pushed to such an exchange before is
// in the answer.
func (s *Source) auditPorts(ctx context.Context) (ids []string, err error) {
	if !s.here.distributes() {
		return nil, nil
	}
	if err := s.o.Server.Reprobe(ctx); err != nil {
		s.complaints.say("exchanges of ports", err)
	} else {
		s.complaints.clear("exchanges of ports")
	}
	ids = s.o.Inventory.PortIDs()
	s.atlas.forget(ids)
	places, keep, err := s.places(ctx, ids)
	s.o.Inventory.ReplacePorts(ids, inventory.Snapshot{Ports: places, KeepPorts: keep})
	return ids, err
}

// ports asks for the places of an answer's ports. Those that it does not get
// stay what they were.
func (s *Source) ports(ctx context.Context, a *answer) (err error) {
	a.ports, _, err = s.places(ctx, a.portIDs(s.here))
	return err
}

// lack is the end of a pull that could not get ports: they alone are asked for
// again.
func lack(ports []string, err error) error {
	if err == nil {
		return nil
	}
	return &partly{what: "ports", want: wanted{ports: set(ports...)}, err: err}
}

func (s *Source) routers(ctx context.Context, ids []string, a *answer) (err error) {
	if len(ids) == 0 {
		return nil
	}
	if a.routers, a.badRouters, err = s.o.Server.Routers(ctx, ids); err != nil {
		return fmt.Errorf("%d routers: %w", len(ids), err)
	}
	s.malformed("router", a.badRouters)
	for _, r := range a.routers {
		s.complaints.clear("router " + r.ID)
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
	s.malformed("NDP proxy", a.badProxies)
	for _, p := range a.proxies {
		s.complaints.clear("NDP proxy " + p.ID)
	}
	return nil
}

func (s *Source) malformed(kind string, bad []rpc.Malformed) {
	for _, m := range bad {
		s.complaints.say(kind+" "+m.ID, fmt.Errorf("%s %s in the server's answer: %w", kind, m.ID, m.Err))
	}
}
