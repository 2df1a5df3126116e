package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// errnos are what the kernel refuses a call with that could be made: interrupted,
// busy, out of memory, buffers or descriptors, not allowed, not understood, down.
func errnos() []syscall.Errno {
	return []syscall.Errno{
		unix.EINTR, unix.EBUSY, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN, unix.EMFILE, unix.ENFILE,
		unix.EPERM, unix.EACCES, unix.EROFS, unix.EINVAL, unix.EOPNOTSUPP, unix.ENETDOWN, unix.ENODEV, unix.ENOENT, unix.EEXIST,
	}
}

func ops() []fakekernel.Op {
	return []fakekernel.Op{
		fakekernel.Open, fakekernel.Links, fakekernel.Sysctls, fakekernel.SetProxyNDP, fakekernel.SetProxyDelay,
		fakekernel.Neighbours, fakekernel.SetNeighbour, fakekernel.DeleteNeighbour, fakekernel.Routes, fakekernel.SetRoute,
		fakekernel.DeleteRoute, fakekernel.Rules, fakekernel.AddRule, fakekernel.DeleteRule, fakekernel.ReadFilter, fakekernel.WriteFilter,
	}
}

// Whatever call fails, with whatever error, the first time or in the middle of a
// batch, once or for good, carried out or not: nothing is answered for that is not
// let through and led on, nothing is let through that was and is to be closed,
// what is published before and after stays so, no error is swallowed, and once
// calls succeed again all is as it should be.
func TestEveryFailureOfEveryCall(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		_, fake := w.(*fakeWorld)
		w.addDevice(dev)
		w.addDevice(inner)
		none := nothing()
		before, after := routed(host(1), host(2), host(3)), routed(host(3), host(4), host(5))
		steps := []struct {
			name     string
			from, to dataplane.State
		}{{"first", none, before}, {"exchange", before, after}, {"last", after, none}}
		tried, failed := 0, 0
		for i, op := range ops() {
			for j, errno := range errnos() {
				if !fake && j != i%len(errnos()) {
					continue // every call and every error once: a transaction takes its time
				}
				kinds := []fakekernel.Fault{
					{After: 1, Times: -1}, {Done: true, Times: -1}, {}, {After: 1}, {Times: -1},
				}
				if !fake {
					kinds = kinds[i%2 : i%2+1]
				}
				for _, fault := range kinds {
					fault.Op, fault.Err = op, errno
					for _, step := range steps {
						calm := quietly(w.kernel())
						reach(t, calm, step.from)
						faults := fakekernel.NewFaults(w.kernel())
						faults.Fail(fault)
						d := quietly(faults)
						err := attempt(t, d, step.to)
						tried++
						if err != nil {
							failed++
						}
						what := fmt.Sprintf("%s: %s fails with %v (%+v), which gives %v", step.name, op, errno, fault, err)
						shutAfter(t, w, what, step.from, step.to, dataplane.Classify(errno) == dataplane.ClassGone)
						if err == nil && fault.Times < 0 && fault.After == 0 && !fault.Done && used(op, step.from, step.to) {
							t.Errorf("%s: nobody is told", what)
						}
						reach(t, calm, step.to)
						if t.Failed() {
							t.Fatal(what)
						}
						if dataplane.Classify(errno) == dataplane.ClassGone { // make it true: what it remembered is gone too
							w.removeDevice(dev)
							w.addDevice(dev)
						}
					}
				}
			}
		}
		t.Logf("%d of %d attempts failed", failed, tried)
		if failed < tried/4 {
			t.Error("hardly anything failed: nothing was tested")
		}
	})
}

// used reports whether a step can't do without a call.
func used(op fakekernel.Op, from, to dataplane.State) bool {
	adds, removes := len(to.Devices) > 0, len(from.Devices) > 0
	switch op {
	case fakekernel.SetNeighbour, fakekernel.SetRoute:
		return adds
	case fakekernel.DeleteNeighbour, fakekernel.DeleteRoute:
		return removes
	case fakekernel.AddRule:
		return adds && !removes
	case fakekernel.DeleteRule:
		return removes && !adds
	case fakekernel.SetProxyNDP, fakekernel.SetProxyDelay:
		return adds != removes
	}
	return true
}

func quietly(k dataplane.Kernel) *dataplane.Dataplane {
	return dataplane.New(dataplane.Options{Logger: zap.NewNop(), Kernel: k})
}

// attempt is one look, and what went wrong in it.
func attempt(t *testing.T, d *dataplane.Dataplane, to dataplane.State) error {
	t.Helper()
	have, err := d.Observe(t.Context(), to.Namespace, dataplane.Quick)
	if err != nil {
		return err
	}
	res, err := d.Apply(t.Context(), dataplane.Diff(to, have))
	if err == nil && len(res.Failures) > 0 {
		return res.Failures[0]
	}
	return err
}

// reach looks until nothing is left to write.
func reach(t *testing.T, d *dataplane.Dataplane, to dataplane.State) {
	t.Helper()
	if err := attempt(t, d, to); err != nil {
		t.Errorf("with all calls well: %v", err)
	}
	settled(t, d, to)
}

// shutAfter compares what other tools see with what may be between two states. A
// device of which the kernel said that it is gone answers nothing.
func shutAfter(t *testing.T, w world, what string, from, to dataplane.State, gone bool) {
	t.Helper()
	was, will := hosts(from), hosts(to)
	through, routes := w.elements(dev), w.routes()
	entries := w.entries()
	answered := func(a netip.Addr) bool {
		return slices.Contains(entries, fmt.Sprintf("%s %s %d", dev, a, ours))
	}
	led := func(a netip.Addr) bool {
		return slices.ContainsFunc(routes, func(r string) bool {
			return strings.Contains(r, " "+a.String()+"/128 ") || strings.Contains(r, " "+a.String()+" ")
		})
	}
	for n := 1; n <= 6; n++ {
		a := host(n)
		wanted := slices.Contains(was, a) || slices.Contains(will, a)
		if slices.Contains(through, a) && !wanted {
			t.Errorf("%s: %s is let through", what, a)
		}
		if !gone && w.proxyNDP(dev) && answered(a) && !(slices.Contains(through, a) && led(a)) {
			t.Errorf("%s: %s is answered for, let through %v, led on %v", what, a, slices.Contains(through, a), led(a))
		}
		if slices.Contains(was, a) && slices.Contains(will, a) && !(w.proxyNDP(dev) && answered(a) && slices.Contains(through, a) && led(a)) {
			t.Errorf("%s: %s is lost", what, a)
		}
	}
}

func hosts(s dataplane.State) []netip.Addr {
	if len(s.Devices) == 0 {
		return nil
	}
	return s.Devices[0].Published
}
