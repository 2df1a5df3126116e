package main

import (
	"context"
	"net/netip"

	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/dataplane"
)

// probeFor adds to an answer what is heard outside.
func probeFor(ctx context.Context, a explain.Answer, addr netip.Addr) explain.Answer {
	kernel := dataplane.New(dataplane.Options{NetnsDir: a.NetnsDir})
	return a.WithUpstream(explain.Probe(ctx, a, addr, kernel.Enter))
}
