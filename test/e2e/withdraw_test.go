//go:build lab

package e2e

import (
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// withdrawal is one way to take a published address away, and back.
type withdrawal struct {
	name string
	do   func(w *world) error
	// within bounds both the end of the answers and, after undo, their return
	within time.Duration
	check  func(w *world) // what must be left: nothing of ours
	undo   func(w *world) error
	before func(w *world) // nil: nothing
}

// TestWithdraw: each of these makes the address unreachable and leaves none of our entries; undoing
// it restores the address.
func TestWithdraw(t *testing.T) {
	for _, c := range []withdrawal{{
		name:   "proxy deleted",
		within: 10 * time.Second,
		do:     func(w *world) error { return w.cloud.Unpublish(w.ctx, w.inst) },
		check:  func(w *world) { w.noEntry(w.inst.Addr) },
		undo: func(w *world) error {
			_, err := w.cloud.Publish(w.ctx, w.inst)
			return err
		},
	}, {
		// the filter goes too, so the upstream router must find out by itself (NUD) that nobody answers
		name:   "NDP proxy disabled on the router",
		before: func(w *world) { w.shortNUD() },
		within: 15 * time.Second,
		do:     func(w *world) error { return w.cloud.UpdateRouter(w.ctx, lab.Fields{"enable_ndp_proxy": false}) },
		check:  func(w *world) { w.noEntry(w.inst.Addr); w.nothing() },
		undo:   func(w *world) error { return w.cloud.UpdateRouter(w.ctx, lab.Fields{"enable_ndp_proxy": true}) },
	}, {
		name:   "router set admin down",
		within: agentTime,
		do:     func(w *world) error { return w.cloud.UpdateRouter(w.ctx, lab.Fields{"admin_state_up": false}) },
		check: func(w *world) {
			w.await(agentTime, "end of "+w.cloud.Namespace, func() bool { return !nettools.Exists(w.cloud.Namespace) })
		},
		undo: func(w *world) error { return w.cloud.UpdateRouter(w.ctx, lab.Fields{"admin_state_up": true}) },
	}, {
		// the server tells nobody: only the audit finds out. The instance itself goes on answering.
		name:   "the instance's port deleted",
		within: auditInterval + 2*time.Second,
		do:     func(w *world) error { return w.inst.DeletePortOnly(w.ctx) },
		check:  func(w *world) { w.noEntry(w.inst.Addr) },
		undo: func(w *world) error {
			again, err := w.cloud.EnsureInstance(w.ctx, lab.InstanceName, w.inst.Addr)
			if err != nil {
				return err
			}
			w.inst = again
			_, err = w.cloud.Publish(w.ctx, w.inst)
			return err
		},
	}} {
		t.Run(c.name, func(t *testing.T) {
			w := setup(t)
			w.daemon(lab.DaemonConfig{})
			w.reachable(5 * time.Second)
			if c.before != nil {
				c.before(w)
			}
			// the return is bounded by Neutron's agents; ours adds little to it
			const back = agentTime

			asked := time.Now()
			w.must(c.do(w))
			t.Logf("last answer %v after the request", w.unreachable(c.within+nettools.Silence).Sub(asked).Round(time.Millisecond))
			c.check(w)

			asked = time.Now()
			w.must(c.undo(w))
			t.Logf("back %v after the request", w.reachable(back).Sub(asked).Round(time.Millisecond))
		})
	}
}
