package agent

import (
	"context"
	"slices"

	"neutron-ndp-proxy-agent/agent/plan"
)

// knownBefore is what this run knew to be of the routers in a namespace when it
// last made it what it should be: what is left of those that are there no more
// is unwanted, whatever else may be in it.
func (a *Agent) knownBefore(ns string) []plan.Claim {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[ns]
}

func (a *Agent) know(ns string, claims []plan.Claim) {
	slices.SortFunc(claims, plan.Claim.Compare)
	claims = slices.CompactFunc(claims, func(x, y plan.Claim) bool { return x.Compare(y) == 0 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(claims) == 0 {
		delete(a.known, ns)
	} else {
		a.known[ns] = claims
	}
}

// Stands reports whether an earlier run left something in a namespace that nobody
// names so far, or may have, since not all could be looked at.
func (a *Agent) Stands(ctx context.Context) bool {
	left, err := a.leftovers(ctx)
	return len(left) > 0 || err != nil
}
