package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// Trace is what the kernel does with a packet to an address that comes in on a
// device, and what it knows of the neighbour to whom it would go on.
type Trace struct {
	Namespace, From string
	Route           FoundRoute
	// Next is the neighbour: the route's next hop, or the address itself.
	Next      netip.Addr
	Neighbour neigh.Cached
	// Foreign are the verdicts of packet filters that are not ours.
	Foreign filter.Foreign
}

// Unicast reports whether the packet leaves the namespace, towards [Trace.Next].
func (t Trace) Unicast() bool { return t.Route.Kernel.Type == route.Unicast }

// Trace asks the kernel. Nothing is sent. Errors: [ErrDeviceGone], and as
// [Dataplane.Observe].
func (d *Dataplane) Trace(ctx context.Context, ns, device string, addr netip.Addr) (t Trace, err error) {
	t = Trace{Namespace: ns, From: device, Next: addr}
	if err := ctx.Err(); err != nil {
		return t, err
	}
	err = d.Enter(ns, func() (err error) {
		// Sockets are of the namespace in which they were opened: this thread's.
		c, err := rtnl.Dial(0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		links, err := link.List(ctx, c)
		if err != nil {
			return err
		}
		names, from := map[int]string{}, 0
		for _, l := range links {
			names[l.Index] = l.Name
			if l.Name == device {
				from = l.Index
			}
		}
		if from == 0 {
			return fmt.Errorf("%s: %w", device, ErrDeviceGone)
		}
		r, err := route.Lookup(ctx, c, from, addr)
		if err != nil {
			return err
		}
		t.Route = FoundRoute{
			Route:  Route{Table: int(r.Table), Dst: r.Dst, Via: r.Via, Device: names[r.Index], OnLink: r.OnLink},
			Kernel: r, Ours: r.Protocol == d.protocol,
		}
		if r.Via.IsValid() {
			t.Next = r.Via
		}
		if t.Unicast() && r.Index != 0 {
			if t.Neighbour, err = neigh.Lookup(ctx, c, r.Index, t.Next); err != nil {
				return err
			}
		}
		t.Foreign, err = filter.ReadForeign(ctx, 0, d.table, filter.Passage{External: device, Internal: t.Route.Device, Addr: addr})
		return err
	})
	if err != nil {
		return t, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return t, nil
}

// Holder is a proxy neighbour somewhere.
type Holder struct {
	Namespace, Device string
	// Ours: it carries our protocol. Answers: the device has proxy_ndp.
	Ours, Answers bool
}

// Holders looks for proxy neighbours with an address in namespaces. What could not
// be looked at is in the error, beside what was found.
func (d *Dataplane) Holders(ctx context.Context, namespaces []string, addr netip.Addr) ([]Holder, error) {
	var out []Holder
	var errs []error
	for _, ns := range namespaces {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("namespace %s and those after it: %w", ns, ctx.Err()))
			break
		}
		found, err := d.holders(ctx, ns, addr)
		if err != nil && Classify(err) != ClassGone {
			errs = append(errs, err)
		}
		out = append(out, found...)
	}
	return out, errors.Join(errs...)
}

func (d *Dataplane) holders(ctx context.Context, ns string, addr netip.Addr) ([]Holder, error) {
	s, err := d.kernel.Open(ns)
	if err != nil {
		return nil, err
	}
	defer d.close(s)
	entries, err := s.Neighbours(ctx)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", ns, err)
	}
	var out []Holder
	for _, e := range entries {
		if e.Addr != addr {
			continue
		}
		list, all, err := interfaces(ctx, s)
		if err != nil {
			return out, fmt.Errorf("namespace %s: %w", ns, err)
		}
		for _, i := range list {
			if i.Index == e.Index {
				out = append(out, Holder{Namespace: ns, Device: i.Name, Ours: e.Protocol == d.protocol, Answers: i.ProxyNDP || all})
			}
		}
	}
	return out, nil
}
