package cleanup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/netns"
)

// Dataplane is what is asked of the kernel; *dataplane.Dataplane is one.
type Dataplane interface {
	Namespaces(ctx context.Context) ([]string, error)
	Observe(ctx context.Context, namespace string, depth dataplane.Depth) (dataplane.Observation, error)
	Apply(ctx context.Context, changes dataplane.Changes) (dataplane.Result, error)
}

// attempts in a namespace that changes while it is cleaned.
const attempts = 3

// Found is what is ours in one namespace.
type Found struct {
	Namespace string
	// Lines are what has to go, see [dataplane.Lines]; none if nothing is ours.
	Lines []string
	// Answered counts the addresses of ours that the kernel answers for now.
	Answered int
	// ID tells names of one namespace.
	ID dataplane.ID
	// Err is why nothing is known of it.
	Err error
}

// Look finds what is ours in namespaces, in their order. Only those with something, or
// with an error, are returned, and one with several names only by its first.
func Look(ctx context.Context, d Dataplane, names []string) []Found {
	var out []Found
	seen := map[dataplane.ID]bool{}
	for _, ns := range names {
		f := look(ctx, d, ns)
		if f.Err != nil || len(f.Lines) > 0 && !seen[f.ID] {
			out = append(out, f)
		}
		if f.Err == nil {
			seen[f.ID] = true
		}
	}
	return out
}

func look(ctx context.Context, d Dataplane, ns string) Found {
	have, changes, err := left(ctx, d, ns, dataplane.Deep)
	if err != nil {
		return Found{Namespace: ns, Err: err}
	}
	return Found{Namespace: ns, ID: have.ID, Lines: dataplane.Lines(have, changes), Answered: answered(have)}
}

// left is what is ours in a namespace and would have to be written to remove it. One
// that is gone, or not made yet, has nothing.
func left(ctx context.Context, d Dataplane, ns string, depth dataplane.Depth) (dataplane.Observation, dataplane.Changes, error) {
	have, err := d.Observe(ctx, ns, depth)
	if dataplane.Classify(err) == dataplane.ClassGone || errors.Is(err, netns.ErrNotReady) {
		return dataplane.Observation{}, dataplane.Changes{Namespace: ns}, nil
	}
	if err != nil {
		return dataplane.Observation{}, dataplane.Changes{}, err
	}
	return have, dataplane.Diff(dataplane.State{Namespace: ns}, have), nil
}

func answered(have dataplane.Observation) int {
	n := 0
	for _, p := range have.Proxies {
		if i, ok := have.Interface(p.Device); ok && i.ProxyNDP && p.Ours {
			n++
		}
	}
	return n
}

// Remove takes everything of ours out of one namespace, and looks whether it has
// gone. What could not be removed is in the error, and never stops the rest.
func Remove(ctx context.Context, d Dataplane, ns string) error {
	var last error
	for range attempts {
		_, changes, err := left(ctx, d, ns, dataplane.Quick)
		if err != nil {
			return err
		}
		if changes.Empty() {
			return nil
		}
		res, err := d.Apply(ctx, changes)
		if dataplane.Classify(err) == dataplane.ClassGone {
			return nil
		}
		last = err
		for _, f := range res.Failures {
			last = errors.Join(last, fmt.Errorf("namespace %s: %w", ns, f))
		}
		if ctx.Err() != nil {
			return last
		}
	}
	switch _, changes, err := left(ctx, d, ns, dataplane.Quick); {
	case err != nil:
		return err
	case changes.Empty():
		return nil
	case last == nil:
		return fmt.Errorf("namespace %s: it is put back by somebody; does the daemon run?", ns)
	}
	return last
}

// Split sorts namespaces into those of a scope and others, both sorted.
func Split(names []string, scope func(namespace string) bool) (in, out []string) {
	for _, ns := range slices.Sorted(slices.Values(names)) {
		if scope(ns) {
			in = append(in, ns)
		} else {
			out = append(out, ns)
		}
	}
	return in, out
}
