package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/zap/zaptest"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func newDataplane(t *testing.T, dir string) *dataplane.Dataplane {
	t.Helper()
	return dataplane.New(dataplane.Options{Logger: zaptest.NewLogger(t), NetnsDir: dir})
}

// converge observes, applies and fails on anything unexpected. It returns what
// was done.
func converge(t *testing.T, d *dataplane.Dataplane, want dataplane.State) dataplane.Result {
	t.Helper()
	res := apply(t, d, want, dataplane.Deep)
	for _, f := range res.Failures {
		t.Errorf("failure: %v", f)
	}
	settled(t, d, want)
	return res
}

func apply(t *testing.T, d *dataplane.Dataplane, want dataplane.State, depth dataplane.Depth) dataplane.Result {
	t.Helper()
	have, err := d.Observe(t.Context(), want.Namespace, depth)
	if err != nil {
		t.Fatal(err)
	}
	changes := dataplane.Diff(want, have)
	if lines := dataplane.Lines(have, changes); (lines == nil) != changes.Empty() || slices.Contains(lines, "") {
		t.Errorf("%q is told as\n%q", changes, lines)
	}
	res, err := d.Apply(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// settled fails unless nothing is left to write, at either depth.
func settled(t *testing.T, d *dataplane.Dataplane, want dataplane.State) {
	t.Helper()
	for _, depth := range []dataplane.Depth{dataplane.Quick, dataplane.Deep} {
		have, err := d.Observe(t.Context(), want.Namespace, depth)
		if err != nil {
			t.Fatal(err)
		}
		if c := dataplane.Diff(want, have); !c.Empty() {
			t.Errorf("not settled (depth %d):\n%s", depth, c)
		}
	}
}

// published is the state in which the topology's instance is reachable.
func published(p *nettest.Topology, addrs ...netip.Addr) dataplane.State {
	return dataplane.State{Namespace: p.Router.Name, Devices: []dataplane.Device{{
		Name: nettest.External, Answer: true, LinkLocal: p.Router.LinkLocal(nettest.External),
		Published: addrs, Guarded: []netip.Prefix{p.InternalNet},
	}}}
}
