package neutron

import (
	"context"
	"time"
)

// Question is what the server is asked for, for counts. The set is closed.
type Question string

// The questions.
const (
	// FullSync is everything of this host.
	FullSync Question = "full_sync"
	// Audit is the proxies of all routers here, AuditRouters some of the routers.
	Audit        Question = "audit"
	AuditRouters Question = "audit_routers"
	// Routers and Proxies are those that a message was about.
	Routers Question = "routers"
	Proxies Question = "proxies"
	// Ports is where ports are (distributed routers).
	Ports Question = "ports"
)

// Questions lists them all, for metrics that should show zeros.
func Questions() []Question {
	return []Question{FullSync, Audit, AuditRouters, Routers, Proxies, Ports}
}

// words are those of the log.
var words = map[Question]string{
	FullSync: "full sync", Audit: "audit", AuditRouters: "audit of routers", Routers: "routers", Proxies: "NDP proxies",
}

// asked tells who counts that a question was answered or failed.
func (s *Source) asked(ctx context.Context, q Question, start time.Time, err error) {
	if s.o.Asked != nil && ctx.Err() == nil {
		s.o.Asked(q, time.Since(start), err)
	}
}
