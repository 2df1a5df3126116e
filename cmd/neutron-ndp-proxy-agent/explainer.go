package main

import (
	"context"
	"net/netip"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// newExplainer returns who answers explain.
func newExplainer(cfg *config.Config, loop *agent.Agent, kernel *dataplane.Dataplane,
	monitor *pulse.Monitor, sender advertiser, f feed) *explain.Explainer {
	o := explain.Options{
		Host: cfg.Host, Source: cfg.NDPProxy.Source, NetnsDir: cfg.NDPProxy.NetnsDir,
		Audit: cfg.NDPProxy.AuditInterval, Most: cfg.NDPProxy.MaxAddresses,
		Loop: loop, Kernel: kernel, Scope: scopeOf(cfg.NDPProxy.Source), Overdue: monitor.Overdue, Broker: f.broker, Ask: f.ask,
	}
	if engine, announces := sender.(*announcer.Announcer); announces {
		o.Debt = engine.Debt
	}
	return explain.New(o)
}

// server is what is asked of *rpc.Client.
type server interface {
	NDPProxiesOf(ctx context.Context, addr netip.Addr) ([]rpc.NDPProxy, error)
	Ports(ctx context.Context, ids []string) ([]rpc.BoundPort, []rpc.Malformed, error)
	GatewayHost(ctx context.Context, routerID string) (string, error)
}

// askServer asks what the server has of an address, and where its port and its
// router's gateway are. That these can't be told takes nothing from the rest.
func askServer(ctx context.Context, s server, addr netip.Addr) ([]explain.ServerProxy, error) {
	proxies, err := s.NDPProxiesOf(ctx, addr)
	if err != nil {
		return nil, err
	}
	var out []explain.ServerProxy
	for _, p := range proxies {
		found := explain.ServerProxy{ID: p.ID, Router: p.RouterID, Port: p.PortID}
		if ports, _, err := s.Ports(ctx, []string{p.PortID}); err == nil && len(ports) > 0 {
			found.PortHost = ports[0].Host
		}
		if host, err := s.GatewayHost(ctx, p.RouterID); err == nil {
			found.GatewayHost = host
		}
		out = append(out, found)
	}
	return out, nil
}
