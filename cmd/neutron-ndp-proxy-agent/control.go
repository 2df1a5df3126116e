package main

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// newControl returns the server of the control socket.
func newControl(cfg *config.Config, loop *agent.Agent, monitor *pulse.Monitor, f feed, explainer *explain.Explainer, levels *levels, handlers map[string]http.Handler, log *zap.Logger) *admin.Server {
	daemon := admin.Daemon{
		Version: buildinfo.Get().Version, Host: cfg.Host, AgentMode: cfg.AgentMode, Source: cfg.NDPProxy.Source,
		Started: time.Now(), Loop: loop, SyncedAt: loop.Inventory().SyncedAt, Overdue: monitor.Overdue, Broker: f.broker, Server: f.server,
		Trouble: f.trouble,
	}
	return admin.New(admin.Options{
		Path: cfg.NDPProxy.ControlSocket, Status: daemon.Status, Handlers: handlers, Log: log,
		Methods: append(levels.methods(),
			admin.DiffMethod(loop), admin.ReconcileMethod(loop, f.sync), admin.AnnounceMethod(loop), explainer.Method(),
		),
	})
}

// describeBroker is the link to the broker for those who ask. The error names no
// password: it has no other type than secret.Text from the configuration on.
func describeBroker(s rpc.Status) *admin.Broker {
	b := &admin.Broker{Connected: s.Connected, Subscribed: s.Subscribed, Endpoint: s.Endpoint, Since: s.Since, Blocked: s.Blocked}
	if s.LastError != nil {
		b.LastError = s.LastError.Error()
	}
	return b
}
