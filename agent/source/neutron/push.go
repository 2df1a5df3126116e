package neutron

import (
	"cmp"
	"fmt"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

var errTooMany = fmt.Errorf("more than %d NDP proxies: of those that are pushed no more are taken", inventory.MaxProxies)

func (s *Source) pushed(e rpc.ProxiesPushed) {
	if s.unreadable(e.Malformed) || e.Redelivered {
		s.routersLane.add(wanted{audit: true})
	}
	if e.Redelivered {
		// It was on its way to a connection that died, and may be older than
		// what was pushed since: the audit tells.
		return
	}
	told := s.o.Inventory.Because(because(e.Header))
	for _, p := range e.Proxies {
		var local bool
		if e.Kind == rpc.Deleted {
			local = told.RemoveProxy(Proxy(p))
		} else {
			local = told.SetProxy(Proxy(p))
		}
		if local && s.o.Inventory.Full(p.RouterID) {
			// Once: lines of their own would be as many as the pushes.
			s.complaints.say("pushed NDP proxies of router "+p.RouterID, errTooMany)
			continue
		}
		if local {
			s.o.Log.Info("NDP proxy "+string(e.Kind), zap.String("proxy", p.ID), zap.String("router", p.RouterID),
				zap.Stringer("address", p.Addr), zap.String("request", e.RequestID))
			s.unplaced(p.PortID)
		}
	}
}

// unplaced notes to ask for the port of a pushed proxy, if nobody has told its
// place yet; and it lets the asking goroutine see whether the proxy is a reason
// to ask for a router again.
func (s *Source) unplaced(port string) {
	if !s.here.distributes() {
		return
	}
	if s.o.Inventory.UnknownPort(port) {
		s.quick.add(wanted{ports: set(port)})
	}
	s.routersLane.add(wanted{})
}

// unreadable says what could not be understood of a push, and reports whether
// it may have been about a router of this host.
func (s *Source) unreadable(bad []rpc.Malformed) (ours bool) {
	for _, m := range bad {
		if m.RouterID != "" && !s.o.Inventory.Concerns(m.RouterID) {
			continue
		}
		ours = true
		s.o.Log.Error("pushed NDP proxy not understood, asking the server", zap.String("proxy", m.ID),
			zap.String("router", m.RouterID), zap.Error(m.Err))
	}
	return ours
}

// portsPushed applies where ports are from the payload: of a port that moved,
// the old host gets no other word. One that was deleted took its proxies along
// in the database, which nobody tells, so they are asked for.
func (s *Source) portsPushed(e rpc.PortsPushed) {
	if !s.here.distributes() {
		return
	}
	var w, places wanted
	for _, m := range e.Malformed {
		// A nameless one may be any port of the cloud: the audit tells, in time.
		s.complaints.say("port "+m.ID, m.Err)
		if !nameless(m) && s.o.Inventory.WantsPort(m.ID) {
			merge(&places.ports, set(m.ID))
		}
	}
	for _, p := range e.Ports {
		if !s.o.Inventory.WantsPort(p.ID) {
			continue
		}
		switch {
		case e.Kind == rpc.Deleted:
			s.atlas.deleted(p.ID, because(e.Header))
			routers := s.o.Inventory.PortRouters(p.ID)
			s.o.Log.Info("port deleted, asking for the NDP proxies that went with it", zap.String("port", p.ID),
				zap.Strings("routers", routers), zap.String("request", e.RequestID))
			s.reasons.note(e.Header, routers...)
			merge(&w.proxiesOf, set(routers...))
		case e.Redelivered:
			// It may be older than what was pushed since.
			merge(&places.ports, set(p.ID))
		default:
			s.portPushed(p, e.Header)
			merge(&places.hosts, set(s.atlas.unknown(s.atlas.foreign([]rpc.BoundPort{p}))...))
		}
	}
	if !places.nothing() {
		s.quick.add(places)
	}
	// Also if nothing is wanted: a port that is here now may be a reason to ask
	// for its router again.
	s.routersLane.add(w)
}

// portPushed sets the place of a port.
func (s *Source) portPushed(p rpc.BoundPort, h rpc.Header) {
	place, moved, stale := s.atlas.pushed(p, because(h))
	if stale {
		return
	}
	if moved {
		s.o.Log.Info("port moved", zap.String("port", p.ID), zap.String("host", p.Host),
			zap.String("place", cmp.Or(string(place), "unknown")), zap.String("request", h.RequestID))
	}
	s.complaints.clear("port " + p.ID)
}
