package fakekernel

import (
	"context"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// faultySession passes ID, Close and Do on.
type faultySession struct {
	dataplane.Session
	f *Faults
}

func (s *faultySession) Links(ctx context.Context) (out []link.Interface, err error) {
	err = s.f.call(Links, func() (err error) { out, err = s.Session.Links(ctx); return err })
	return out, err
}

func (s *faultySession) Sysctls(ctx context.Context) (out sysctl.Table, err error) {
	err = s.f.call(Sysctls, func() (err error) { out, err = s.Session.Sysctls(ctx); return err })
	return out, err
}

func (s *faultySession) SetProxyNDP(ctx context.Context, device string, on bool) error {
	return s.f.call(SetProxyNDP, func() error { return s.Session.SetProxyNDP(ctx, device, on) })
}

func (s *faultySession) SetProxyDelay(ctx context.Context, index int, delay time.Duration) error {
	return s.f.call(SetProxyDelay, func() error { return s.Session.SetProxyDelay(ctx, index, delay) })
}

func (s *faultySession) Neighbours(ctx context.Context) (out []neigh.Entry, err error) {
	err = s.f.call(Neighbours, func() (err error) { out, err = s.Session.Neighbours(ctx); return err })
	return out, err
}

func (s *faultySession) SetNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.f.call(SetNeighbour, func() error { return s.Session.SetNeighbour(ctx, e) })
}

func (s *faultySession) DeleteNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.f.call(DeleteNeighbour, func() error { return s.Session.DeleteNeighbour(ctx, e) })
}

func (s *faultySession) Routes(ctx context.Context, protocol uint8) (out []route.Route, err error) {
	err = s.f.call(Routes, func() (err error) { out, err = s.Session.Routes(ctx, protocol); return err })
	return out, err
}

func (s *faultySession) SetRoute(ctx context.Context, r route.Route) error {
	return s.f.call(SetRoute, func() error { return s.Session.SetRoute(ctx, r) })
}

func (s *faultySession) DeleteRoute(ctx context.Context, r route.Route) error {
	return s.f.call(DeleteRoute, func() error { return s.Session.DeleteRoute(ctx, r) })
}

func (s *faultySession) Rules(ctx context.Context) (out []rule.Rule, err error) {
	err = s.f.call(Rules, func() (err error) { out, err = s.Session.Rules(ctx); return err })
	return out, err
}

func (s *faultySession) AddRule(ctx context.Context, r rule.Rule) error {
	return s.f.call(AddRule, func() error { return s.Session.AddRule(ctx, r) })
}

func (s *faultySession) DeleteRule(ctx context.Context, r rule.Rule) error {
	return s.f.call(DeleteRule, func() error { return s.Session.DeleteRule(ctx, r) })
}

func (s *faultySession) FilterPresent(ctx context.Context, table string) (out bool, err error) {
	err = s.f.call(FilterPresent, func() (err error) { out, err = s.Session.FilterPresent(ctx, table); return err })
	return out, err
}

func (s *faultySession) ReadFilter(ctx context.Context, table string, deep bool) (out filter.Found, err error) {
	err = s.f.call(ReadFilter, func() (err error) { out, err = s.Session.ReadFilter(ctx, table, deep); return err })
	return out, err
}

func (s *faultySession) WriteFilter(ctx context.Context, table string, base *filter.Content, target filter.Content) error {
	return s.f.call(WriteFilter, func() error { return s.Session.WriteFilter(ctx, table, base, target) })
}
