package dataplane

import (
	"context"

	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
)

func (s *linuxSession) Routes(ctx context.Context, protocol uint8) ([]route.Route, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	return route.List(ctx, c, protocol)
}

func (s *linuxSession) SetRoute(ctx context.Context, r route.Route) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return route.Set(ctx, c, r)
}

func (s *linuxSession) DeleteRoute(ctx context.Context, r route.Route) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return route.Delete(ctx, c, r)
}

func (s *linuxSession) Rules(ctx context.Context) ([]rule.Rule, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	return rule.List(ctx, c)
}

func (s *linuxSession) AddRule(ctx context.Context, r rule.Rule) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return rule.Add(ctx, c, r)
}

func (s *linuxSession) DeleteRule(ctx context.Context, r rule.Rule) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return rule.Delete(ctx, c, r)
}
