package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/plan"
	source "neutron-ndp-proxy-agent/agent/source/neutron"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Daemon is one run of the real thing, with Neutron's server in memory.
type Daemon struct {
	*agent.Agent
	Server *Server
	Logs   *observer.ObservedLogs

	source *source.Source
	cancel context.CancelFunc
	done   chan error
}

// DaemonOptions of a run. The zero value audits so rarely that whatever
// happens is by events, or by [Daemon.Audit].
type DaemonOptions struct {
	Audit time.Duration
}

// StartDaemon runs the host's daemon until it is killed or the test ends.
func (h *Host) StartDaemon(options ...DaemonOptions) *Daemon {
	h.w.t.Helper()
	audit := 10 * time.Minute
	for _, o := range options {
		audit = o.Audit
	}
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core).With(zap.String("host", h.Name))
	ctx, cancel := context.WithCancel(context.Background())
	kernel := dataplane.New(dataplane.Options{NetnsDir: h.Lab.Dir, Logger: log})
	d := &Daemon{Logs: logs, cancel: cancel, done: make(chan error, 1)}
	sender := announcer.New(ctx, announcer.Options{Logger: log, Enter: kernel.Enter, Count: max(1, h.w.Copies),
		Gone:    func(err error) bool { return dataplane.Classify(err) == dataplane.ClassGone },
		Settled: func(t announcer.Target) { d.Settled(t.Namespace) }})
	d.Agent = agent.New(agent.Options{
		Scope: source.Scope, Dataplane: kernel, Watcher: kernel.NewWatcher(dataplane.WatchOptions{}),
		Announcer: sender, Debts: h.debts, Log: log, Workers: 4, Plan: plan.Options{}, Audit: audit,
		RetryMin: 20 * time.Millisecond, RetryMax: time.Second, Jitter: rand.Float64,
	})
	var wantPort func(id string) bool
	if source.WantsPorts(h.Mode) {
		wantPort = d.Inventory().WantsPort
	}
	d.Server = h.w.cloud.connect(h, wantPort)
	d.source = source.New(source.Options{
		Host: h.Name, Mode: h.Mode,
		Server: d.Server, Stands: d.Stands, Inventory: d.Inventory(), Log: log, Audit: audit, AuditRouters: 100,
		RetryMin: 50 * time.Millisecond, RetryMax: time.Second, Jitter: rand.Float64,
	})
	go func() {
		err := d.Run(ctx, d.source)
		sender.Close()
		d.done <- err
	}()
	h.daemon = d
	h.w.t.Cleanup(func() {
		if h.daemon == d {
			h.Kill()
		}
	})
	return d
}

// Daemon is the one that runs, nil if none does.
func (h *Host) Daemon() *Daemon { return h.daemon }

// Kill ends the daemon in the middle of whatever it does. Nothing is put in
// order: what it left is for the next run.
func (h *Host) Kill() {
	h.w.t.Helper()
	d := h.daemon
	if d == nil {
		return
	}
	h.daemon = nil
	h.w.cloud.disconnect(d.Server)
	d.cancel()
	select {
	case err := <-d.done:
		if err != nil && !errors.Is(err, context.Canceled) {
			h.w.t.Errorf("%s: the daemon ended with %v", h.Name, err)
		}
	case <-time.After(10 * time.Second):
		h.w.t.Errorf("%s: the daemon does not end", h.Name)
	}
}

// Audit compares everything now, as the daemon does by itself from time to
// time.
func (d *Daemon) Audit() {
	d.source.Resync()
	d.LookAgain()
}

// AwaitReady waits until the first sync is applied.
func (d *Daemon) AwaitReady(h *Host) {
	h.w.t.Helper()
	select {
	case <-d.Ready():
	case <-time.After(10 * time.Second):
		h.w.t.Fatalf("%s: not ready within 10 s", h.Name)
	}
}
