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
	// Unplaced counts the proxies of routers in this namespace of which
	// nobody knows yet in which place their port is.
	Unplaced int
}

// Rejection is one proxy that is not published.
type Rejection struct {
	Proxy  inventory.Proxy
	Reason string
}

// Peers are the interfaces of the routers' own namespaces, by name, for those
// that meet the external network in a shared one ([inventory.Inner]). A
// namespace that is missing does not exist.
type Peers map[string][]dataplane.Interface

// PeerNamespaces returns the namespaces that [Namespace] wants to know of:
// those of the routers with something to publish in the named one. Sorted as
// the entries are.
func PeerNamespaces(name string, entries []inventory.Entry) []string {
	var out []string
	for _, e := range entries {
		if !e.Router.Enabled || len(Served(name, e)) == 0 {
			continue
		}
		for _, at := range e.Router.External {
			if at.Namespace == name && at.Inner != nil {
				out = append(out, at.Inner.PeerNamespace)
			}
		}
	}
	return out
}

// Namespace plans one namespace from the routers in it. Routers that share a
// device (a fip- namespace) share its device state.
func Namespace(name string, entries []inventory.Entry, interfaces []dataplane.Interface, peers Peers, opts Options) Plan {
	b := builder{
		plan:       Plan{Standby: map[string]string{}},
		opts:       opts,
		interfaces: interfaces,
		peers:      peers,
		devices:    map[string]*device{},
		routes:     map[destination]bool{},
	}
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
		d.LinkLocal, d.Answer, why = answers(d.Name, d.gateway, interfaces)
		if why != "" {
			b.plan.Standby[d.Name] = why
		}
		b.plan.State.Devices = append(b.plan.State.Devices, d.Device)
	}
	b.plan.State.Normalize()
	return b.plan
}

// builder collects what the attachments of one namespace want.
type builder struct {
	plan       Plan
	opts       Options
	interfaces []dataplane.Interface
	peers      Peers
	devices    map[string]*device
	routes     map[destination]bool
}

type device struct {
	dataplane.Device
	gateway []netip.Addr
}

// attach adds one router's attachment. One in a shared namespace that
// publishes nothing here leaves no trace there: there is no route to its
// instances to guard.
func (b *builder) attach(e inventory.Entry, at inventory.Attachment) {
	accepted, rejected := publish(e, at)
	b.plan.Rejected = append(b.plan.Rejected, rejected...)
	if at.Inner != nil {
		if accepted = b.way(accepted, at); len(accepted) == 0 {
			return
		}
	}
	d := b.devices[at.Device]
	if d == nil {
		d = &device{Device: dataplane.Device{Name: at.Device, ProxyDelay: b.opts.ProxyDelay, Exclusive: b.opts.Exclusive}}
		b.devices[at.Device] = d
	}
	for _, p := range accepted {
		d.Published = append(d.Published, p.Addr)
	}
	d.Guarded = append(d.Guarded, guarded(e.Router)...)
	d.gateway = append(d.gateway, at.Addrs...)
}
