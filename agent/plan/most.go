package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// candidate is one address that a router would publish on a device.
type candidate struct {
	addr netip.Addr
	// rank is how many addresses of the same router come before it.
	rank  int
	stand bool
}

// overMost returns the addresses that a device has no room for. What stands
// keeps its place, so that a flood takes nothing away. The rest of the room goes
// to the routers of a shared device in turns, to the ones with the fewest
// addresses first, so that no router's flood keeps the others out.
func (b *builder) overMost(name string, entries []inventory.Entry) map[target]bool {
	if b.opts.Most <= 0 {
		return nil
	}
	// Most namespaces are far from it, and this is all that it costs them.
	total := 0
	for _, e := range entries {
		total += len(e.Proxies)
	}
	if total <= b.opts.Most {
		return nil
	}
	wanted := map[string][]candidate{} // by device
	for _, e := range entries {
		for _, at := range e.Router.External {
			if e.Router.Enabled && at.Namespace == name {
				wanted[at.Device] = append(wanted[at.Device], b.candidates(e, at)...)
			}
		}
	}
	excess := map[target]bool{}
	for device, l := range wanted {
		slices.SortFunc(l, func(x, y candidate) int {
			if x.stand != y.stand {
				return cmp.Compare(boolInt(y.stand), boolInt(x.stand))
			}
			return cmp.Or(cmp.Compare(x.rank, y.rank), x.addr.Compare(y.addr))
		})
		taken := make(map[netip.Addr]bool, b.opts.Most)
		for _, c := range l {
			switch {
			case taken[c.addr]:
			case c.stand || len(taken) < b.opts.Most:
				taken[c.addr] = true
			default:
				excess[target{device, c.addr}] = true
			}
		}
	}
	return excess
}

func (b *builder) candidates(e inventory.Entry, at inventory.Attachment) []candidate {
	var out []candidate
	for _, p := range e.Proxies {
		stands := b.standing.on(at, p.Addr)
		place := e.Places[p.PortID]
		if !at.Publishes(place) && (place != inventory.Anywhere || !stands) || Refuse(e.Router, p.Addr) != "" {
			continue
		}
		out = append(out, candidate{addr: p.Addr, stand: stands})
	}
	slices.SortStableFunc(out, func(x, y candidate) int { return cmp.Compare(boolInt(y.stand), boolInt(x.stand)) })
	for i := range out {
		out[i].rank = i
	}
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
