package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	neutronsource "neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// watchedServer remembers how the calls to neutron-server ended. Audits call it all the
// time, so what it remembers is never older than audit_interval.
type watchedServer struct {
	neutronsource.Server

	mu sync.Mutex
	s  admin.NeutronServer
}

// status is how it stands now.
func (w *watchedServer) status() *admin.NeutronServer {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.s
	return &s
}

// called notes the end of a call that began at start. A failure that the server names
// is an answer; what was given up by us is nothing.
func (w *watchedServer) called(ctx context.Context, start time.Time, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.LastError = ""
	if err != nil {
		w.s.LastError = err.Error()
	}
	if remote := (*oslo.RemoteError)(nil); err == nil || errors.As(err, &remote) {
		w.s.Answers, w.s.LastAnswer, w.s.FailingSince = true, &now, nil
		return
	}
	w.s.Answers = false
	if w.s.FailingSince == nil {
		w.s.FailingSince = &start
	}
}

// RouterIDs implements neutronsource.Server.
func (w *watchedServer) RouterIDs(ctx context.Context) ([]string, error) {
	start := time.Now()
	ids, err := w.Server.RouterIDs(ctx)
	w.called(ctx, start, err)
	return ids, err
}

// Routers implements neutronsource.Server.
func (w *watchedServer) Routers(ctx context.Context, ids []string) ([]rpc.Router, []rpc.Malformed, error) {
	start := time.Now()
	list, bad, err := w.Server.Routers(ctx, ids)
	w.called(ctx, start, err)
	return list, bad, err
}

// NDPProxies implements neutronsource.Server.
func (w *watchedServer) NDPProxies(ctx context.Context, routerIDs []string) ([]rpc.NDPProxy, []rpc.Malformed, error) {
	start := time.Now()
	list, bad, err := w.Server.NDPProxies(ctx, routerIDs)
	w.called(ctx, start, err)
	return list, bad, err
}

// Ports implements neutronsource.Server.
func (w *watchedServer) Ports(ctx context.Context, portIDs []string) ([]rpc.BoundPort, []rpc.Malformed, error) {
	start := time.Now()
	list, bad, err := w.Server.Ports(ctx, portIDs)
	w.called(ctx, start, err)
	return list, bad, err
}

// L3Agents implements neutronsource.Server.
func (w *watchedServer) L3Agents(ctx context.Context, hosts []string) ([]rpc.Agent, []rpc.Malformed, error) {
	start := time.Now()
	list, bad, err := w.Server.L3Agents(ctx, hosts)
	w.called(ctx, start, err)
	return list, bad, err
}
