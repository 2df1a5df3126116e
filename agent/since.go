package agent

import (
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
)

// since dates an outcome: what is as it was before is so since then. before is nil at
// the first look of this run, and what that one finds as it should be is so since
// nobody knows when. fresh is what became answerable, by device.
func (o *outcome) since(now time.Time, before *outcome, have dataplane.Observation, fresh map[string][]netip.Addr) *outcome {
	o.at = now
	first := before == nil
	if first {
		before = &outcome{}
	}
	o.whole = o.whole.dated(now, before.whole)
	if o.whole.state != "" {
		if !o.missing { // nothing is known to have changed there
			o.devices, o.special = before.devices, before.special
		}
		return o
	}
	for k, v := range o.special {
		o.special[k] = v.dated(now, before.special[k])
	}
	for name, d := range o.devices {
		was := before.devices[name]
		if was == nil {
			if i, _ := have.Interface(name); !first || i.ProxyNDP != (d.role == Active) {
				d.since = now
			}
			was = &deviceOutcome{}
		} else if d.since = was.since; was.role != d.role {
			d.since = now
		}
		d.rest = d.rest.dated(now, was.rest)
		for a, v := range d.troubled {
			d.troubled[a] = v.dated(now, was.troubled[a])
		}
		d.date(now, was, fresh[name])
	}
	return o
}

// dated dates one verdict.
func (v verdict) dated(now time.Time, before verdict) verdict {
	if v.since = now; v.state == "" || v.state == before.state {
		v.since = before.since
	}
	return v
}

// date dates what is answered for. Both lists are sorted.
func (o *deviceOutcome) date(now time.Time, was *deviceOutcome, fresh []netip.Addr) {
	if len(fresh) == 0 && slices.Equal(o.answered, was.answered) {
		o.times = was.times
		return
	}
	o.times = make([]time.Time, len(o.answered))
	became := make(map[netip.Addr]bool, len(fresh))
	for _, a := range fresh {
		became[a] = true
	}
	i := 0
	for n, a := range o.answered {
		for i < len(was.answered) && was.answered[i].Less(a) {
			i++
		}
		switch {
		case became[a]:
			o.times[n] = now
		case i < len(was.answered) && was.answered[i] == a:
			o.times[n] = was.times[i]
		}
	}
}
