package admin

import (
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent"
)

// Well reports whether the daemon is in sync, with the broker too, nothing is refused
// and nothing is stuck. What waits for something outside is well.
func (s Status) Well() bool {
	return s.sound() && s.Totals.Failed == 0 &&
		!slices.ContainsFunc(s.Namespaces, func(n Namespace) bool { return n.State == StateFailed })
}

// WellInPart is Well of the answer to a [Query]: only of what it names, beside the
// daemon as a whole.
func (s Status) WellInPart() bool {
	failed := func(a Address) bool { return a.State == agent.Failed }
	if len(s.Routers) == 0 {
		return s.sound() && !slices.ContainsFunc(s.Namespaces, func(n Namespace) bool { return n.State == StateFailed })
	}
	return s.sound() && !slices.ContainsFunc(s.Routers, func(r Router) bool { return slices.ContainsFunc(r.Addresses, failed) })
}

// patience is how long neutron-server may leave calls unanswered: one that is lost is
// made again.
const patience = time.Minute

func (s Status) sound() bool {
	return s.Ready && len(s.Stuck) == 0 && s.SourceTrouble == "" &&
		(s.Broker == nil || s.Broker.Connected && s.Broker.Subscribed && s.Broker.Blocked == "") && !s.Deaf()
}

// Deaf reports whether neutron-server has not answered for some time.
func (s Status) Deaf() bool {
	return s.Server != nil && s.Server.FailingSince != nil && s.Time.Sub(*s.Server.FailingSince) >= patience
}
