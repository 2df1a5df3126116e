package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// Owned reports whether anything of ours is in the namespace: the table, or an
// entry, a route or a rule with our mark.
func (d *Dataplane) Owned(ctx context.Context, ns string) (bool, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return false, err
	}
	defer d.close(s)
	present, err := s.FilterPresent(ctx, d.table)
	if err != nil {
		return false, fmt.Errorf("namespace %s: %w", ns, err)
	}
	if present {
		return true, nil
	}
	entries, err := s.Neighbours(ctx)
	if err != nil {
		return false, fmt.Errorf("namespace %s: %w", ns, err)
	}
	for _, e := range entries {
		if e.Protocol == d.protocol {
			return true, nil
		}
	}
	o := Observation{}
	if err := d.observeWays(ctx, s, &o); err != nil {
		return false, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return o.Owned(), nil
}

// Interfaces returns the devices of a namespace, sorted by name, without
// looking at anything else in it. Errors: as [Dataplane.Observe].
func (d *Dataplane) Interfaces(ctx context.Context, ns string) ([]Interface, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer d.close(s)
	list, _, err := interfaces(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return list, nil
}

// interfaces also reports conf.all.proxy_ndp.
func interfaces(ctx context.Context, s Session) (list []Interface, allProxyNDP bool, err error) {
	links, err := s.Links(ctx)
	if err != nil {
		return nil, false, err
	}
	table, err := s.Sysctls(ctx)
	if err != nil {
		return nil, false, err
	}
	return withSysctls(links, table), table.AllProxyNDP, nil
}

// Observe returns what the namespace looks like. Errors: [ErrNamespaceGone]
// and others, for [Classify].
func (d *Dataplane) Observe(ctx context.Context, ns string, depth Depth) (Observation, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return Observation{}, err
	}
	defer d.close(s)
	o, err := d.observe(ctx, s, ns, depth)
	if err != nil {
		return Observation{}, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return o, nil
}

func (d *Dataplane) observe(ctx context.Context, s Session, ns string, depth Depth) (Observation, error) {
	o := Observation{Namespace: ns, ID: s.ID(), Depth: depth}
	var err error
	o.Interfaces, o.AllProxyNDP, err = interfaces(ctx, s)
	if err != nil {
		return Observation{}, err
	}
	entries, err := s.Neighbours(ctx)
	if err != nil {
		return Observation{}, err
	}
	names := make(map[int]string, len(o.Interfaces))
	for _, i := range o.Interfaces {
		names[i.Index] = i.Name
	}
	for _, e := range entries {
		// A device that came after the list of links announces itself.
		if name, ok := names[e.Index]; ok {
			o.Proxies = append(o.Proxies, Proxy{
				Device: name, Index: e.Index, Addr: e.Addr, Protocol: e.Protocol,
				Router: e.Router(), Ours: e.Protocol == d.protocol,
			})
		}
	}
	slices.SortFunc(o.Proxies, func(a, b Proxy) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), a.Addr.Compare(b.Addr))
	})
	if err := d.observeWays(ctx, s, &o); err != nil {
		return Observation{}, err
	}
	o.Filter, err = s.ReadFilter(ctx, d.table, depth == Deep)
	if err != nil {
		return Observation{}, err
	}
	o.Baseline = d.memory.baseline(o)
	if o.Baseline.Filter != nil {
		o.Filter.Fill(*o.Baseline.Filter)
	}
	return o, nil
}

// observeWays reads routes and rules; the interfaces are known.
func (d *Dataplane) observeWays(ctx context.Context, s Session, o *Observation) error {
	routes, err := s.Routes(ctx, d.protocol)
	if err != nil {
		return err
	}
	names := make(map[int]string, len(o.Interfaces))
	for _, i := range o.Interfaces {
		names[i.Index] = i.Name
	}
	for _, r := range routes {
		o.Routes = append(o.Routes, FoundRoute{
			Route:  Route{Table: int(r.Table), Dst: r.Dst, Via: r.Via, Device: names[r.Index], OnLink: r.OnLink},
			Kernel: r, Ours: r.Protocol == d.protocol,
		})
	}
	slices.SortStableFunc(o.Routes, func(a, b FoundRoute) int { return a.compare(b.Route) })
	rules, err := s.Rules(ctx)
	if err != nil {
		return err
	}
	for _, r := range rules {
		o.Rules = append(o.Rules, FoundRule{
			Rule:   Rule{Priority: int(r.Priority), IIF: r.IIF, Table: int(r.Table)},
			Kernel: r, Ours: r.Protocol == d.protocol,
		})
	}
	return nil
}

func withSysctls(links []link.Interface, table sysctl.Table) []link.Interface {
	for n := range links {
		v, ok := table.Devices[links[n].Index]
		links[n].IPv6 = ok && !links[n].DisableIPv6
		links[n].Forwarding, links[n].ProxyNDP = v.Forwarding, v.ProxyNDP
		links[n].ProxyDelay = v.ProxyDelay
		if !ok {
			links[n].ProxyDelay = filter.NoDelay
		}
	}
	return links
}
