package neutron

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// portsAtOnce is how many ports are asked for in one question. The answer to
// each counts at once, so that what waits for its place does not wait for all.
const portsAtOnce = 256

// portsLane asks where ports are. There are two, so that a port that somebody
// waits for is not behind all the others of the host: atlas puts their answers
// into order.
type portsLane struct {
	*lane
	what string // for complaints
	// again: also hosts whose modes are known are asked for, once in a round.
	again bool
	after string // the port at which the last failed question ended
}

// chunks divides ports, beginning after where the last failed question ended, so
// that ports that always fail hold up no others.
func (l *portsLane) chunks(ports map[string]bool) [][]string {
	ids := slices.Sorted(maps.Keys(ports))
	from, found := slices.BinarySearch(ids, l.after)
	if found {
		from++
	}
	return slices.Collect(slices.Chunk(slices.Concat(ids[from:], ids[:from]), portsAtOnce))
}

// portsRound asks for ports, and for the modes of the hosts that they are on. A
// question that fails ends the round: what is left is asked for later.
func (s *Source) portsRound(ctx context.Context, l *portsLane, w wanted) {
	if w.audit {
		s.probe(ctx)
		s.atlas.forget()
	}
	fresh := map[string]bool{} // hosts that this round asked for
	chunks := l.chunks(w.ports)
	for i, ids := range chunks {
		start := time.Now()
		ports, err := s.pullPorts(ctx, ids)
		s.asked(ctx, Ports, start, err)
		if err != nil {
			l.after = ids[len(ids)-1]
			l.failed(ctx, l.what, wanted{ports: set(slices.Concat(chunks[i:]...)...)}, err)
			break
		}
		l.succeeded(l.what)
		hosts := s.atlas.foreign(ports)
		if !l.again {
			hosts = s.atlas.unknown(hosts)
		}
		hosts = slices.DeleteFunc(hosts, func(host string) bool { return fresh[host] })
		s.pullModes(ctx, l, hosts)
		merge(&fresh, set(hosts...))
	}
	hosts := slices.Sorted(maps.Keys(w.hosts))
	s.pullModes(ctx, l, slices.DeleteFunc(hosts, func(host string) bool { return fresh[host] }))
}

// pullPorts asks where ports are, those that still matter, one call, and another
// for those that are missing though nobody said that they were deleted. Ports
// that do not exist are elsewhere; those that cannot be read stay where they were,
// and are asked for again by the audits.
func (s *Source) pullPorts(ctx context.Context, ids []string) ([]rpc.BoundPort, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !s.o.Inventory.WantsPort(id) })
	if len(ids) == 0 {
		return nil, nil
	}
	ports, missing, err := s.askPorts(ctx, ids, s.atlas.doubts)
	if err == nil && len(missing) > 0 {
		var more []rpc.BoundPort
		if err = s.pause(ctx); err == nil {
			more, _, err = s.askPorts(ctx, missing, func([]string) []string { return nil })
		}
		ports = append(ports, more...)
	}
	if err != nil {
		return nil, err
	}
	// A port that is here now may be a reason to ask for its router again.
	s.routersLane.add(wanted{})
	return ports, nil
}

// askPorts asks once. What the answer lacks and somebody doubts counts for
// nothing, and is returned.
func (s *Source) askPorts(ctx context.Context, ids []string, doubts func([]string) []string) (ports []rpc.BoundPort, missing []string, err error) {
	q := s.atlas.begin()
	ports, bad, err := s.o.Server.Ports(ctx, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("ports: %w", err)
	}
	keep, named := map[string]bool{}, map[string]bool{}
	for _, m := range bad {
		keep[m.ID] = true
	}
	good := make([]string, 0, len(ports))
	for _, p := range ports {
		named[p.ID] = true
		good = append(good, p.ID)
	}
	s.judged("port", good, bad)
	if slices.ContainsFunc(bad, nameless) { // it may be any that is not named
		for _, id := range ids {
			keep[id] = keep[id] || !named[id]
		}
	}
	missing = doubts(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return named[id] || keep[id] }))
	for _, id := range missing {
		keep[id] = true
	}
	s.atlas.answered(q, ids, ports, keep)
	return ports, missing, nil
}

// pullModes asks for the modes of other hosts' L3 agents, one call, and another
// for those that had one and are missing.
func (s *Source) pullModes(ctx context.Context, l *portsLane, hosts []string) {
	if len(hosts) == 0 || ctx.Err() != nil {
		return
	}
	agents, bad, err := s.o.Server.L3Agents(ctx, hosts)
	if missing := s.atlas.lost(hosts, agents, s.stood.Load()); err == nil && len(bad) == 0 && len(missing) > 0 {
		var more []rpc.Agent
		if err = s.pause(ctx); err == nil {
			more, bad, err = s.o.Server.L3Agents(ctx, missing)
		}
		agents = append(agents, more...)
	}
	if err != nil {
		l.failed(ctx, "L3 agents", wanted{hosts: set(hosts...)}, fmt.Errorf("L3 agents: %w", err))
		return
	}
	l.succeeded("L3 agents")
	good := make([]string, 0, len(agents))
	for _, a := range agents {
		good = append(good, a.Host)
	}
	s.judged("L3 agent", good, bad)
	s.atlas.setModes(hosts, agents, bad)
}

// probe looks for exchanges of Port pushes that were not there before. What was
// pushed to one until now is in the answers that follow.
func (s *Source) probe(ctx context.Context) {
	const what = "exchanges of ports"
	switch err := s.o.Server.Reprobe(ctx); {
	case ctx.Err() != nil:
	case err != nil:
		s.complaints.say(what, err)
	default:
		s.complaints.clear(what)
	}
}

// allPorts notes to ask for all ports that matter, for an audit also for their
// exchanges.
func (s *Source) allPorts(audit bool) {
	if s.here.distributes() {
		s.bulk.add(wanted{audit: audit, ports: set(s.o.Inventory.PortIDs()...)})
	}
}

// unknownPorts notes to ask for the ports of routers of which nobody has told
// the place.
func (s *Source) unknownPorts(routers []string) {
	if s.here.distributes() {
		ids := slices.DeleteFunc(s.o.Inventory.PortsOf(routers), func(id string) bool { return !s.o.Inventory.UnknownPort(id) })
		s.quick.add(wanted{ports: set(ids...)})
	}
}
