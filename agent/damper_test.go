package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/dataplane/watch"
)

// A program that undoes what we write as soon as it sees it: repaired at once
// for a while, then once a second, and said once. A failover in the same
// namespace meanwhile does not wait.
func TestAFightIsDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.WarnLevel)
		looks := map[string]int{}
		added := make(chan string)
		d := newDamper(zap.New(core), func(ns string) { added <- ns })
		go func() {
			for ns := range added {
				looks[ns]++
			}
		}()
		fight := func(d *damper, cause string, length time.Duration) {
			for range int(length / time.Millisecond) {
				d.event("qrouter-a", cause)
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
		}
		fight(d, watch.CauseRoute, 10*time.Second)
		if got := looks["qrouter-a"]; got < handBurst+9 || got > handBurst+11 {
			t.Errorf("%d looks in 10 s, want %d", got, handBurst+10)
		}
		if logs.Len() != 1 {
			t.Errorf("said %d times", logs.Len())
		}

		before := looks["qrouter-a"]
		d.event("qrouter-a", watch.CauseAddress)
		d.event("qrouter-b", watch.CauseRoute)
		synctest.Wait()
		if looks["qrouter-a"] != before+1 || looks["qrouter-b"] != 1 {
			t.Errorf("others waited: %v", looks)
		}

		time.Sleep(time.Minute) // peace, and what was put off is made
		synctest.Wait()
		before = looks["qrouter-a"]
		fight(d, watch.CauseSetting, 5*time.Millisecond)
		if got := looks["qrouter-a"] - before; got != 5 {
			t.Errorf("%d of 5 looks after a minute of peace", got)
		}
		fight(d, watch.CauseRule, time.Second)
		if logs.Len() != 2 {
			t.Errorf("the next fight was said %d times", logs.Len()-1)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		close(added)
	})
}
