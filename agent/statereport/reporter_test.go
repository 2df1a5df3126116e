package statereport_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/statereport"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// server takes reports as it is told to.
type server struct {
	mu     sync.Mutex
	got    []rpc.AgentState
	at     []time.Duration
	start  time.Time
	answer string
	err    error
}

func (s *server) ReportState(_ context.Context, state rpc.AgentState) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, state)
	s.at = append(s.at, time.Since(s.start))
	return s.answer, s.err
}

// pass lets time pass, and then does something to the server between reports.
func (s *server) pass(d time.Duration, then func()) {
	time.Sleep(d)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	then()
}

// reporting runs a reporter in fake time for as long as fn takes.
func reporting(t *testing.T, first string, fn func(s *server, inSync chan struct{}, logs *observer.ObservedLogs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		s := &server{start: time.Now(), answer: first}
		inSync := make(chan struct{})
		r := statereport.New(statereport.Options{
			Server: s, Interval: 30 * time.Second, Timeout: 10 * time.Second, AgentMode: "legacy",
			Totals: func() agent.Totals {
				return agent.Totals{Routers: 3, Enabled: 2, Proxies: 7, Pending: 1, Failed: 4, Elsewhere: 2}
			},
			InSync: inSync, Log: zap.New(core),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		fn(s, inSync, logs)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReports(t *testing.T) {
	reporting(t, rpc.ReportNew, func(s *server, inSync chan struct{}, _ *observer.ObservedLogs) {
		s.pass(10*time.Second, func() { close(inSync) })
		s.pass(51*time.Second, func() {})
		want := []time.Duration{0, 10 * time.Second, 30 * time.Second, 60 * time.Second}
		if diff := cmp.Diff(want, s.at); diff != "" {
			t.Errorf("reported at (-want +got):\n%s", diff)
		}
		var synced, starts []bool
		for _, r := range s.got {
			b, _ := r.Configurations["in_sync"].(bool)
			synced, starts = append(synced, b), append(starts, r.Start)
		}
		if diff := cmp.Diff([]bool{false, true, true, true}, synced); diff != "" {
			t.Errorf("in_sync (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]bool{true, false, false, false}, starts); diff != "" {
			t.Errorf("start flag (-want +got):\n%s", diff)
		}
		wantConf := map[string]any{
			"extensions": []string{"ndp_proxy"}, "agent_mode": "legacy", "in_sync": true,
			"routers": 3, "enabled_routers": 2, "proxies": 7, "pending": 1, "failed": 4, "elsewhere": 2,
		}
		if diff := cmp.Diff(wantConf, s.got[3].Configurations); diff != "" {
			t.Errorf("configurations (-want +got):\n%s", diff)
		}
	})
}

// A report that the server ignored, or never got, is not the first; a trouble
// is said once.
func TestTheStartFlagStaysUntilAReportIsTaken(t *testing.T) {
	reporting(t, rpc.ReportIgnored, func(s *server, _ chan struct{}, logs *observer.ObservedLogs) {
		s.pass(0, func() { s.err = errors.New("no reply in time") })
		s.pass(61*time.Second, func() { s.err, s.answer = nil, rpc.ReportAlive })
		s.pass(60*time.Second, func() {})
		var starts []bool
		for _, r := range s.got {
			starts = append(starts, r.Start)
		}
		if diff := cmp.Diff([]bool{true, true, true, true, false}, starts); diff != "" {
			t.Errorf("start flag (-want +got):\n%s", diff)
		}
		if n := logs.FilterMessageSnippet("state report failed").Len(); n != 1 {
			t.Errorf("trouble said %d times", n)
		}
		if n := logs.FilterMessageSnippet("taken again").Len(); n != 1 {
			t.Errorf("its end said %d times", n)
		}
	})
}
