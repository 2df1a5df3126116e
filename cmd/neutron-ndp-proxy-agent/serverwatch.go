package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// serverWatch remembers how the calls to neutron-server ended. Audits and reports call
// it all the time, so what it remembers is not older than the shorter of their intervals.
type serverWatch struct {
	mu sync.Mutex
	s  admin.NeutronServer
}

// status is how it stands now.
func (w *serverWatch) status() *admin.NeutronServer {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.s
	return &s
}

// called notes the end of a call. A failure that the server names is an answer; what we
// gave up ourselves says nothing.
func (w *serverWatch) called(_ rpc.Method, took time.Duration, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s.LastError = ""
	if err != nil {
		w.s.LastError = err.Error()
	}
	if err == nil || rpc.Classify(err) == rpc.ClassRemote {
		w.s.Answers, w.s.LastAnswer, w.s.FailingSince = true, &now, nil
		return
	}
	w.s.Answers = false
	if w.s.FailingSince == nil {
		start := now.Add(-took)
		w.s.FailingSince = &start
	}
}
