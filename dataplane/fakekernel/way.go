package fakekernel

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

// AddRoute makes a route by hand, beside what has its place; Index is that of
// the device.
func (n *Namespace) AddRoute(device string, r route.Route) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	r.Index = n.devices[device].link.Index
	n.routes = append(n.routes, r)
}

// DeleteRoute removes one by hand.
func (n *Namespace) DeleteRoute(device string, r route.Route) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	r.Index = n.devices[device].link.Index
	n.routes = slices.DeleteFunc(n.routes, func(o route.Route) bool { return o == r })
}

// AddRule makes a rule by hand, also a second one.
func (n *Namespace) AddRule(r rule.Rule) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	n.rules = append(n.rules, r)
}

// DeleteRule removes one by hand.
func (n *Namespace) DeleteRule(r rule.Rule) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	n.removeRule(r)
}

func (n *Namespace) removeRule(r rule.Rule) {
	if i := slices.Index(n.rules, r); i >= 0 {
		n.rules = slices.Delete(n.rules, i, i+1)
	}
}

func (s *session) Routes(ctx context.Context, protocol uint8) (list []route.Route, err error) {
	err = s.locked(ctx, func() error {
		list = slices.DeleteFunc(slices.Clone(s.n.routes), func(r route.Route) bool {
			return r.Table == route.LocalTable && r.Protocol != protocol
		})
		return nil
	})
	return list, err
}

// SetRoute replaces what has the same place; of those with a next hop and
// those without, only the ones like it, if there are any (fib6_add_rt2node in
// the kernel).
func (s *session) SetRoute(ctx context.Context, r route.Route) error {
	return s.locked(ctx, func() error {
		d := s.n.byIndex(r.Index)
		if d == nil {
			return fmt.Errorf("set route to %s: %w", r.Dst, unix.ENODEV)
		}
		if !d.link.Up {
			return fmt.Errorf("set route to %s: %w", r.Dst, unix.ENETDOWN)
		}
		if d.link.DisableIPv6 {
			return fmt.Errorf("set route to %s: %w", r.Dst, unix.EACCES)
		}
		place := func(o route.Route) bool {
			return o.Table == r.Table && o.Dst == r.Dst && o.Src == r.Src && o.Metric == r.Metric
		}
		like := func(o route.Route) bool { return place(o) && o.Via.IsValid() == r.Via.IsValid() }
		if i := slices.IndexFunc(s.n.routes, place); i >= 0 && !slices.ContainsFunc(s.n.routes, like) {
			s.n.routes[i] = r
			return nil
		}
		s.n.routes = append(slices.DeleteFunc(s.n.routes, like), r)
		return nil
	})
}

func (s *session) DeleteRoute(ctx context.Context, r route.Route) error {
	return s.locked(ctx, func() error {
		s.n.routes = slices.DeleteFunc(s.n.routes, func(o route.Route) bool {
			o.OnLink, o.Type, o.Other = r.OnLink, r.Type, r.Other
			return o == r
		})
		return nil
	})
}

func (s *session) Rules(ctx context.Context) (list []rule.Rule, err error) {
	err = s.locked(ctx, func() error {
		list = slices.Clone(s.n.rules)
		return nil
	})
	return list, err
}

func (s *session) AddRule(ctx context.Context, r rule.Rule) error {
	return s.locked(ctx, func() error {
		if !slices.Contains(s.n.rules, r) {
			s.n.rules = append(s.n.rules, r)
		}
		return nil
	})
}

func (s *session) DeleteRule(ctx context.Context, r rule.Rule) error {
	return s.locked(ctx, func() error {
		s.n.removeRule(r)
		return nil
	})
}
