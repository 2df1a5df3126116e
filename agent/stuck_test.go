package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/pulse"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// A look that never ends, whatever the context says, is named; so is the queue when
// no worker is left to take anything.
func TestStuckLooks(t *testing.T) {
	for name, doctor := range map[string]func(k *doctored, hang func()){
		"reading the kernel": func(k *doctored, hang func()) { k.observe = hang },
		"writing to it": func(k *doctored, hang func()) {
			k.apply = func(context.Context, dataplane.Changes) (dataplane.Result, error) {
				hang()
				return dataplane.Result{}, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := nettest.NewTopology(t)
			k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir})}
			release := make(chan struct{})
			doctor(k, func() { <-release })
			monitor := pulse.New(100 * time.Millisecond)
			first := world(p, p.InstanceAddr)
			start(t, p.Dir, first, settings{kernel: k, pulse: monitor})
			t.Cleanup(func() { close(release) }) // before the agent is stopped
			said := func(what string) func() bool {
				return func() bool { return strings.Contains(strings.Join(monitor.Overdue(), "; "), what) }
			}
			nettest.Eventually(t, 5*time.Second, "the look to be overdue", said("look at router, for"))
		})
	}
}

// All workers hang and a third namespace waits.
func TestStuckQueue(t *testing.T) {
	p := nettest.NewTopology(t)
	k := &doctored{Dataplane: dataplane.New(dataplane.Options{NetnsDir: p.Dir})}
	release := make(chan struct{})
	k.observe = func() { <-release }
	monitor := pulse.New(100 * time.Millisecond)
	first := world(p, p.InstanceAddr)
	for _, ns := range []string{"two", "three"} {
		r := first.Routers[0]
		r.ID = ns
		r.External = []inventory.Attachment{{Namespace: ns, Device: nettest.External}}
		first.Routers = append(first.Routers, r)
	}
	start(t, p.Dir, first, settings{kernel: k, pulse: monitor})
	t.Cleanup(func() { close(release) })
	nettest.Eventually(t, 5*time.Second, "the queue to be called stuck", func() bool {
		o := monitor.Overdue()
		return len(o) == 3 && strings.HasPrefix(o[0], "the queue of namespaces") // and both workers
	})
}

// Work that goes on is not overdue, many turns later.
func TestNotStuck(t *testing.T) {
	p := nettest.NewTopology(t)
	monitor := pulse.New(time.Second) // far longer than a busy machine keeps anybody from its turn
	d := start(t, p.Dir, world(p, p.InstanceAddr), settings{pulse: monitor, audit: 50 * time.Millisecond})
	d.awaitReady(t)
	for range 250 {
		if o := monitor.Overdue(); len(o) > 0 {
			t.Fatalf("overdue: %q", o)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
