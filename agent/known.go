package agent

import (
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
