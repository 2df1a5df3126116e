package neutron

import (
	"strings"

	"neutron-ndp-proxy-agent/agent/inventory"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// answer is what the server said about the routers that it was asked for.
type answer struct {
	asked                  []string
	routers                []rpc.Router
	proxies                []rpc.NDPProxy
	badRouters, badProxies []rpc.Malformed
}

// ids are the routers that the server described.
func (a answer) ids() []string {
	ids := make([]string, 0, len(a.routers))
	for _, r := range a.routers {
		ids = append(ids, r.ID)
	}
	return ids
}

// snapshot translates an answer. What could not be understood stays as it was:
// an object by its id, or, where even that could not be read, everything that
// the answer does not name, since any of it may be meant.
func (a answer) snapshot(h Host) inventory.Snapshot {
	s := inventory.Snapshot{Held: map[string][]string{}}
	named := map[string]bool{}
	for _, r := range a.routers {
		s.Routers = append(s.Routers, Router(r, h))
		named[r.ID] = true
	}
	asked, unnamed := set(a.asked...), false
	for _, m := range a.badRouters {
		if asked[m.ID] {
			s.Held[m.ID] = heldNamespaces(m.ID, h)
		} else {
			unnamed = true
		}
	}
	for _, id := range a.asked {
		if unnamed && !named[id] {
			s.Held[id] = heldNamespaces(id, h)
		}
	}
	for _, p := range a.proxies {
		s.Proxies = append(s.Proxies, Proxy(p))
	}
	for _, m := range a.badProxies {
		switch {
		case nameless(m):
			if m.RouterID != "" {
				s.KeepProxiesOf = append(s.KeepProxiesOf, m.RouterID)
			} else {
				s.KeepAllProxies = true
			}
		default:
			s.KeepProxies = append(s.KeepProxies, m.ID)
		}
	}
	return s
}

// nameless tells that an object's id could not be read: it has its position
// for one.
func nameless(m rpc.Malformed) bool { return strings.HasPrefix(m.ID, "#") }
