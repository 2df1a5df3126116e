package agent

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/dataplane"
)

// A fight of an hour is told in some dozens of lines, which together tell all of it.
func TestDriftIsToldInFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.WarnLevel)
		d := newDrift()
		repaired := func(ns string, counts map[dataplane.Kind]int) { d.repaired(ns, zap.New(core), counts) }
		for range 3600 {
			repaired("a", map[dataplane.Kind]int{dataplane.KindSysctl: 1, dataplane.KindRoute: 2})
			time.Sleep(time.Second)
		}
		if n := logs.Len(); n < 70 || n > 90 {
			t.Errorf("%d lines", n)
		}
		repaired("b", map[dataplane.Kind]int{dataplane.KindRule: 1}) // another is told at once
		time.Sleep(10 * time.Minute)
		repaired("a", nil) // the fight is over, and an audit finds nothing
		repaired("never", nil)
		told := map[string]int{}
		for _, e := range logs.All() {
			told[e.ContextMap()["kind"].(string)] += int(e.ContextMap()["count"].(int64))
		}
		if want := map[string]int{"sysctl": 3600, "route": 7200, "rule": 1}; !maps.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if got := d.total; got[dataplane.KindSysctl] != 3600 || got[dataplane.KindRoute] != 7200 || got[dataplane.KindRule] != 1 || got[dataplane.KindEntry] != 0 {
			t.Errorf("counted %v", got)
		}
		d.forget("a")
	})
}
