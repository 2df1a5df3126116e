package main

import (
	"maps"
	"net/http"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/agent/metrics"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
)

func newMetrics(cfg *config.Config) *metrics.Metrics {
	build := buildinfo.Get()
	return metrics.New(metrics.Options{
		Version: build.Version, Commit: build.Commit, Neutron: cfg.NDPProxy.Source == config.SourceNeutron,
	})
}

// watch has the metrics ask the parts, and returns who answers for them.
func watch(m *metrics.Metrics, loop *agent.Agent, monitor *pulse.Monitor, f feed, sender advertiser,
	dropped func() (leftOut, lost uint64), log *zap.Logger) map[string]http.Handler {
	health := metrics.Health{Overdue: monitor.Overdue, Ready: loop.Ready(), Link: f.link}
	m.Watch(metrics.Parts{
		Loop: loop, SyncedAt: loop.Inventory().SyncedAt, Health: health,
		Announcer: sender.Stats, Broker: f.status, Dropped: dropped,
	})
	return m.Handlers(health, log)
}

// atControl are the handlers at the control socket: also the profiles, if the
// operator wants them.
func atControl(cfg *config.Config, handlers map[string]http.Handler) map[string]http.Handler {
	all := maps.Clone(handlers)
	if cfg.NDPProxy.PProf {
		maps.Copy(all, metrics.Profiles())
	}
	return all
}
