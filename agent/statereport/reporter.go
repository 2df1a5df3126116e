package statereport

import (
	"context"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Server takes state reports; *rpc.Client is one.
type Server interface {
	ReportState(ctx context.Context, state rpc.AgentState) (string, error)
}

// Options of a Reporter.
type Options struct {
	Server Server
	// Interval is Neutron's [agent] report_interval. The server gives an
	// agent up after agent_down_time (75 s by default) without a report.
	Interval time.Duration
	// Timeout bounds one report; a late one is worth less than the next.
	Timeout   time.Duration
	AgentMode string
	Totals    func() agent.Totals
	// InSync is closed when the first full sync is applied: worth a report
	// of its own.
	InSync <-chan struct{}
	Log    *zap.Logger
}

// Reporter sends the reports.
type Reporter struct {
	o       Options
	started bool
	trouble string
}

// New returns a reporter; Run does the work.
func New(o Options) *Reporter { return &Reporter{o: o} }

// Run reports at once, so that an agent that can't get in sync is seen too,
// then when it is in sync and at each interval, until the context ends.
func (r *Reporter) Run(ctx context.Context) error {
	tick := time.NewTicker(r.o.Interval)
	defer tick.Stop()
	inSync := r.o.InSync
	for {
		r.report(ctx, inSync == nil)
		select {
		case <-ctx.Done():
			return nil
		case <-inSync:
			inSync = nil
		case <-tick.C:
		}
	}
}

func (r *Reporter) report(ctx context.Context, inSync bool) {
	t := r.o.Totals()
	callCtx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	answer, err := r.o.Server.ReportState(callCtx, rpc.AgentState{
		Start: !r.started,
		Configurations: map[string]any{
			// The guide tells operators to look for the extension here.
			"extensions":      []string{"ndp_proxy"},
			"agent_mode":      r.o.AgentMode,
			"in_sync":         inSync,
			"routers":         t.Routers,
			"enabled_routers": t.Enabled,
			"proxies":         t.Proxies,
			"pending":         t.Pending,
			"failed":          t.Failed,
			"elsewhere":       t.Elsewhere,
		},
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		// Said once: the loop goes on without the server.
		if r.trouble != err.Error() {
			r.trouble = err.Error()
			r.o.Log.Warn("state report failed; Neutron will show this agent as down", zap.Error(err))
		}
		return
	}
	if r.trouble != "" {
		r.trouble = ""
		r.o.Log.Info("state reports are taken again")
	}
	// The server ignores a report that is older than its own start: the first
	// one that counts must carry the start flag.
	if answer != rpc.ReportIgnored {
		r.started = true
	}
}
