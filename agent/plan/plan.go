package plan

import (
	"net/netip"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Options are the operator's choices that reach the plan.
type Options struct {
	// ProxyDelay is [dataplane.Device.ProxyDelay] of every device.
	ProxyDelay time.Duration
	// Exclusive is [dataplane.Device.Exclusive] of every device.
	Exclusive bool
	// Most is how many addresses a device may publish, 0: any number. What is
	// published already stays, however many; new ones wait for room.
	Most int
}

// Plan is the decision for one namespace.
type Plan struct {
	State dataplane.State
	// Rejected are proxies that must not be published, with the reason.
	Rejected []Rejection
	// Waiting are proxies that are not published yet, because the way to the
	// router in its own namespace is not there.
	Waiting []Rejection
	// Standby says for each device that does not answer, why: the plan does
	// not let it, or it lets it and the kernel does not yet.
	Standby map[string]string
	// Excess counts the proxies that there is no room for ([Options.Most]).
	Excess int
	// Unplaced counts the proxies of routers in this namespace of which
	// nobody knows yet in which place their port is; Standing those of them
	// that were published here before, and so are still.
	Unplaced, Standing int
}

// Rejection is one proxy that is not published.
type Rejection struct {
	Proxy  inventory.Proxy
	Reason string
}

// Namespace plans one namespace from the routers in it. Routers that share a
// device (a fip- namespace) share its device state.
//
// Nobody can say of a proxy whose port's place is not known whether it belongs
// here: it is not newly published, and if it stands here it stays.
func Namespace(name string, entries []inventory.Entry, seen Seen, opts Options) Plan {
	b := builder{
		plan:     Plan{Standby: map[string]string{}},
		opts:     opts,
		seen:     seen,
		standing: newStanding(seen.Observation),
		devices:  map[string]*device{},
		routes:   map[destination]bool{},
		idle:     map[string]bool{},
		ways:     map[string]bool{},
	}
	b.excess = b.overMost(name, entries)
	for _, e := range entries {
		if !e.Router.Enabled {
			continue
		}
		for _, at := range e.Router.External {
			if at.Namespace == name {
				b.attach(e, at)
			}
		}
		b.plan.Unplaced += unplaced(e)
	}
	b.plan.State.Namespace = name
	for _, d := range b.devices {
		var why string
		d.LinkLocal, d.Answer, why = answers(d.Name, d.gateway, seen.Interfaces)
		if why != "" {
			b.plan.Standby[d.Name] = why
		}
		b.plan.State.Devices = append(b.plan.State.Devices, d.Device)
	}
	b.leftovers()
	b.plan.State.Normalize()
	return b.plan
}

// builder collects what the attachments of one namespace want.
type builder struct {
	plan     Plan
	opts     Options
	seen     Seen
	standing standing
	devices  map[string]*device
	routes   map[destination]bool
	// idle are the devices of attachments in shared namespaces, false where one
	// has something to publish; ways the devices towards their routers, alike.
	idle, ways map[string]bool
	// excess are the addresses that there is no room for.
	excess map[target]bool
}

type device struct {
	dataplane.Device
	gateway []netip.Addr
}

// attach adds one router's attachment. One in a shared namespace that
// publishes nothing here leaves no trace there: there is no route to its
// instances to guard. What somebody else left there is looked for all the same.
func (b *builder) attach(e inventory.Entry, at inventory.Attachment) {
	accepted := b.publish(e, at)
	if at.Inner != nil {
		nothing := len(accepted) == 0
		other, seen := b.idle[at.Device]
		b.idle[at.Device] = nothing && (other || !seen)
		b.ways[at.Inner.Device] = nothing
		if accepted = b.way(accepted, at); len(accepted) == 0 {
			return
		}
	}
	d := b.devices[at.Device]
	if d == nil {
		d = &device{Device: dataplane.Device{Name: at.Device, ProxyDelay: b.opts.ProxyDelay, Open: true}}
		b.devices[at.Device] = d
	}
	for _, p := range accepted {
		d.Published = append(d.Published, p.Addr)
	}
	d.Guarded = append(d.Guarded, guarded(e.Router)...)
	d.Open = d.Open && e.Router.Open
	d.gateway = append(d.gateway, at.Addrs...)
}

// leftovers names where to look for what somebody else published in a shared
// namespace for routers that publish nothing there now, such as the L3 agent's
// extension for a port that has moved away. While nobody knows of some proxy
// whether it belongs here, what was made for it must be there to be taken over:
// then nothing of others goes.
func (b *builder) leftovers() {
	s := &b.plan.State
	exclusive := b.opts.Exclusive && b.plan.Unplaced == 0
	for name, idle := range b.idle {
		if _, exists := find(b.seen.Interfaces, name); idle && exists {
			s.Idle = append(s.Idle, dataplane.Idle{Name: name, Exclusive: exclusive})
		}
	}
	for name, idle := range b.ways {
		if _, exists := find(b.seen.Interfaces, name); idle && exists {
			s.Ways = append(s.Ways, name)
		}
	}
	for i := range s.Devices {
		s.Devices[i].Exclusive = exclusive
	}
}
