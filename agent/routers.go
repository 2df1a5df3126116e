package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// Router is how it stands with one router, by what is known of it now and what the
// last look at its namespaces found.
type Router struct {
	ID, Name string
	Kind     inventory.Kind
	Enabled  bool
	// Obstacle is why the router meets the external network nowhere on this host, or
	// what an attachment waits for; "": nothing.
	Obstacle    string
	Attachments []Attachment
	// Proxies of the router. Of those of an enabled one Answered are answered for,
	// Pending wait, Failed were refused, Elsewhere are another host's.
	Proxies, Answered, Pending, Failed, Elsewhere int
	// Addresses are those that were asked for, sorted.
	Addresses []Address
}

// Attachment is one external device of a router.
type Attachment struct {
	Namespace, Device string
	Role              Role
	// Why it has this role, "" for an active one.
	Why string
	// Since when; zero: longer than this run has known it.
	Since time.Time
	// Looked is when the namespace was last looked at; zero: it was not yet.
	Looked time.Time
	// Of the proxies that it serves.
	Answered, Pending, Failed int
	// Trouble is the reason of the first that failed, or else of the first that waits
	// for something else than the device's role; "" if there is none.
	Trouble string
}

// Address is one proxy.
type Address struct {
	Addr      netip.Addr
	ID        string
	PortID    string
	Namespace string // "": it is served in none here
	Device    string
	State     AddressState
	// Why it has this state, "" for one that is answered for.
	Why string
	// Since when; zero: longer than this run has known it.
	Since time.Time
}

// Wanted says what to tell of.
type Wanted struct {
	// Routers are their ids; nil: all.
	Routers []string
	// Namespace limits them to those in it, Addr to those with a proxy of this
	// address.
	Namespace string
	Addr      netip.Addr
	// Addresses: those of the routers too.
	Addresses bool
}

// RouterNames returns the names of all routers of this host, by id.
func (a *Agent) RouterNames() map[string]string { return a.inventory.RouterNames() }

// Routers returns those that are wanted, sorted by id. No lock is held but to copy,
// and none that anybody holds while the kernel or the server is asked.
func (a *Agent) Routers(w Wanted) []Router {
	ids := w.Routers
	if ids == nil {
		ids = a.inventory.RouterIDs()
	}
	a.mu.Lock()
	statuses := maps.Clone(a.statuses)
	a.mu.Unlock()
	out := make([]Router, 0, len(ids))
	for _, id := range ids {
		e, known := a.inventory.Router(id)
		if !known || w.Namespace != "" && !slices.ContainsFunc(e.Router.External, func(at inventory.Attachment) bool { return at.Namespace == w.Namespace }) {
			continue
		}
		if w.Addr.IsValid() {
			if !slices.ContainsFunc(e.Proxies, func(p inventory.Proxy) bool { return p.Addr == w.Addr }) {
				continue
			}
		}
		out = append(out, describe(e, statuses, w))
	}
	return out
}

// describe tells of one router.
func describe(e inventory.Entry, statuses map[string]status, w Wanted) Router {
	r := Router{
		ID: e.Router.ID, Name: e.Router.Name, Kind: e.Router.Kind, Enabled: e.Router.Enabled,
		Obstacle: cmp.Or(e.Router.Unsupported, e.Router.Awaits), Proxies: len(e.Proxies),
	}
	switch {
	case !r.Enabled:
		r.Obstacle = "NDP proxying is off, or the router is administratively down"
	case r.Obstacle != "":
	case e.Router.Remote:
		r.Obstacle = "agent_mode is dvr_no_external: other hosts serve all its addresses"
	case len(e.Router.External) == 0:
		r.Obstacle = "it has no gateway here"
	}
	for _, at := range e.Router.External {
		r.Attachments = append(r.Attachments, attachment(e.Router, at, statuses[at.Namespace].outcome))
	}
	for _, p := range e.Proxies {
		v, n := judged(e, p, statuses, r.Obstacle)
		r.count(v, n)
		if w.Addresses && (!w.Addr.IsValid() || p.Addr == w.Addr) {
			addr := Address{Addr: p.Addr, ID: p.ID, PortID: p.PortID, State: v.state, Why: v.why, Since: v.since}
			if n >= 0 {
				addr.Namespace, addr.Device = r.Attachments[n].Namespace, r.Attachments[n].Device
			}
			r.Addresses = append(r.Addresses, addr)
		}
	}
	return r
}

func attachment(r inventory.Router, at inventory.Attachment, o *outcome) Attachment {
	out := Attachment{Namespace: at.Namespace, Device: at.Device, Role: Unknown, Why: "the namespace was not looked at yet"}
	if o == nil {
		return out
	}
	out.Looked = o.at
	d := o.devices[at.Device]
	switch {
	case o.missing:
		out.Role, out.Why, out.Since = Absent, o.whole.why, o.whole.since
	case o.whole.state != "":
		out.Why, out.Since = o.whole.why, o.whole.since
	case d != nil && d.role == Active:
		out.Role, out.Since = Active, d.since
		out.Why = d.why // forwarding is off: active, and yet nothing is answered
	case d != nil:
		out.Role, out.Why, out.Since = Standby, d.why, d.since
	case !r.Enabled:
		out.Role, out.Why = Idle, "NDP proxying is off, or the router is administratively down"
	default:
		out.Role, out.Why = Idle, "none of its published addresses is served here"
	}
	return out
}

// judged says how it stands with one proxy, and which attachment serves it, -1 if none
// does.
func judged(e inventory.Entry, p inventory.Proxy, statuses map[string]status, obstacle string) (verdict, int) {
	at := func(n int) verdict {
		x := e.Router.External[n]
		return statuses[x.Namespace].outcome.of(e.Router.ID, x.Device, p.Addr)
	}
	place := e.Places[p.PortID]
	serving := slices.IndexFunc(e.Router.External, func(x inventory.Attachment) bool { return x.Publishes(place) })
	switch {
	case !e.Router.Enabled:
		return verdict{state: Disabled, why: obstacle}, -1
	case e.Router.Remote:
		return verdict{state: Elsewhere, why: obstacle}, -1
	case serving >= 0:
		// One of several that answers will do.
		for n, x := range e.Router.External {
			if v := at(n); x.Publishes(place) && v.state == Answered {
				return v, n
			}
		}
		return at(serving), serving
	case e.Router.ByPlace() && place == inventory.Anywhere:
		// What stands stays until the server has said.
		for n := range e.Router.External {
			if v := at(n); v.state == Answered {
				return v, n
			}
		}
		return verdict{state: Pending, why: "the server has not said yet on which host its port is"}, -1
	case e.Router.ByPlace() && place != inventory.Here:
		return verdict{state: Elsewhere, why: "its port is on another host"}, -1
	}
	return verdict{state: Pending, why: obstacle}, -1
}

// count adds one proxy; n is the attachment that serves it.
func (r *Router) count(v verdict, n int) {
	at := &Attachment{}
	if n >= 0 {
		at = &r.Attachments[n]
	}
	switch v.state {
	case Answered:
		r.Answered++
		at.Answered++
	case Pending:
		r.Pending++
		at.Pending++
		if at.Trouble == "" && v.why != at.Why {
			at.Trouble = v.why
		}
	case Failed:
		if r.Failed++; at.Failed == 0 {
			at.Trouble = ""
			if v.why != at.Why {
				at.Trouble = v.why
			}
		}
		at.Failed++
	case Elsewhere:
		r.Elsewhere++
	case Disabled:
	}
}

// lastOutcome is that of the last look at a namespace, nil if there was none.
func (a *Agent) lastOutcome(ns string) *outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.statuses[ns].outcome
}
