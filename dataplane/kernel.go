package dataplane

import (
	"context"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// Kernel is the door to the operating system: Linux by default, or the
// in-memory one of package fakekernel.
type Kernel interface {
	// Namespaces lists the named namespaces, sorted.
	Namespaces() ([]string, error)
	// Open enters one for a few operations. Errors: netns.ErrGone,
	// netns.ErrNotReady, netns.ErrName.
	Open(namespace string) (Session, error)
}

// Session is one open namespace. It is used by one goroutine and closed soon:
// it keeps the namespace alive. Errors wrap the kernel's errno, or one of the
// drivers' errors; a device that is gone is ENODEV.
type Session interface {
	ID() netns.ID
	Close() error
	// Do runs fn on a thread inside the namespace.
	Do(fn func() error) error

	Links(ctx context.Context) ([]link.Interface, error)
	Sysctls(ctx context.Context) (sysctl.Table, error)
	SetProxyNDP(ctx context.Context, device string, on bool) error
	SetProxyDelay(ctx context.Context, index int, delay time.Duration) error

	Neighbours(ctx context.Context) ([]neigh.Entry, error)
	SetNeighbour(ctx context.Context, e neigh.Entry) error
	// DeleteNeighbour of one that is not there succeeds.
	DeleteNeighbour(ctx context.Context, e neigh.Entry) error

	// Routes leaves out the local table's, but for those of that protocol.
	Routes(ctx context.Context, protocol uint8) ([]route.Route, error)
	// SetRoute replaces what has the route's place, see route.Set.
	SetRoute(ctx context.Context, r route.Route) error
	// DeleteRoute of one that is not there succeeds.
	DeleteRoute(ctx context.Context, r route.Route) error
	Rules(ctx context.Context) ([]rule.Rule, error)
	// AddRule of one that is there succeeds, and so does DeleteRule of one
	// that is not.
	AddRule(ctx context.Context, r rule.Rule) error
	DeleteRule(ctx context.Context, r rule.Rule) error

	FilterPresent(ctx context.Context, table string) (bool, error)
	ReadFilter(ctx context.Context, table string, deep bool) (filter.Found, error)
	WriteFilter(ctx context.Context, table string, base *filter.Content, target filter.Content) error
}
