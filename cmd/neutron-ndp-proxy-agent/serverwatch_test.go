package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// The server is called deaf once calls have been lost for a time, from the first of
// them on; a failure that it names itself is an answer.
func TestServerWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w serverWatch
		deaf := func() bool { return admin.Status{Time: time.Now(), Server: w.status()}.Deaf() }
		if s := w.status(); s.Answers || s.LastAnswer != nil || s.FailingSince != nil || deaf() {
			t.Errorf("before the first call: %+v", s)
		}
		lost := fmt.Errorf("get_router_ids: %w", oslo.ErrTimeout)
		start := time.Now()
		time.Sleep(50 * time.Second)
		w.called(rpc.MethodRouterIDs, 50*time.Second, lost)
		if s := w.status(); s.Answers || s.FailingSince == nil || !s.FailingSince.Equal(start) || s.LastError != lost.Error() || deaf() {
			t.Errorf("one is lost: %+v", s)
		}
		time.Sleep(10 * time.Second)
		w.called(rpc.MethodReport, time.Second, lost)
		if s := w.status(); !s.FailingSince.Equal(start) || !deaf() {
			t.Errorf("for a minute: %+v", s)
		}
		w.called(rpc.MethodReport, time.Second, fmt.Errorf("x: %w", context.Canceled))
		if !deaf() {
			t.Error("what was given up is no answer")
		}
		w.called(rpc.MethodRouters, time.Second, fmt.Errorf("x: %w", &oslo.RemoteError{Class: "DBError"}))
		if s := w.status(); !s.Answers || s.FailingSince != nil || s.LastAnswer == nil || s.LastError == "" || deaf() {
			t.Errorf("it names a failure: %+v", s)
		}
		w.called(rpc.MethodRouters, time.Second, nil)
		if s := w.status(); !s.Answers || s.LastError != "" || !s.LastAnswer.Equal(time.Now()) {
			t.Errorf("it answers: %+v", s)
		}
	})
}
