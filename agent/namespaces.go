package agent

import (
	"fmt"
	"maps"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
)

// Namespace is how it stands with one namespace, as of the last look at it.
type Namespace struct {
	Name string
	// Looked: there was a look. Without one the counts are 0.
	Looked bool
	// Routers in it. Proxies of its enabled routers that are served in it; of these
	// Pending ones wait, Failed ones were refused, by us or by the kernel, and
	// Elsewhere ones are another host's.
	Routers, Proxies, Pending, Failed, Elsewhere int
	// At is when the last look ended, zero if there was none.
	At time.Time
	// Drift is what others had changed in it and was repaired, by kind; what has
	// none is left out.
	Drift map[dataplane.Kind]int
	// Trouble is what is in the way, "" if nothing is. Error says that it is an
	// error, which is tried again, and not something to wait for.
	Trouble string
	Error   bool
	// Refused says what is not published and why, "" if all is.
	Refused string
	// Notice is what others made that works against us.
	Notice string
}

// Namespaces returns all that a router is in or something of ours, in no order. It
// holds the lock only to copy.
func (a *Agent) Namespaces() []Namespace {
	known := a.inventory.Namespaces()
	a.mu.Lock()
	statuses := maps.Clone(a.statuses)
	a.mu.Unlock()
	drift := a.drift.perNamespace()
	out := make([]Namespace, 0, max(len(known), len(statuses)))
	for name, s := range statuses {
		n := s.namespace(name)
		n.Drift = drift[name]
		out = append(out, n)
	}
	for _, name := range known {
		if _, looked := statuses[name]; !looked {
			out = append(out, Namespace{Name: name})
		}
	}
	return out
}

// refusals sums up what is not published.
func (s status) refusals() string {
	text := ""
	if n := len(s.rejected); n > 0 {
		text = fmt.Sprintf("%d not published, the first %v: %s", n, s.rejected[0].Proxy.Addr, s.rejected[0].Reason)
	}
	if s.excess > 0 {
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%d more than max_addresses", s.excess)
	}
	return text
}

// Waiting returns what routers wait for of which no attachment is known yet, by
// their ids.
func (a *Agent) Waiting() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.waiting)
}

// Namespace returns how it stands with one namespace, as of the last look at it, but
// for its drift.
func (a *Agent) Namespace(name string) Namespace {
	a.mu.Lock()
	s, looked := a.statuses[name]
	a.mu.Unlock()
	if !looked {
		return Namespace{Name: name}
	}
	return s.namespace(name)
}

func (s status) namespace(name string) Namespace {
	n := Namespace{
		Name: name, Looked: true,
		Routers: s.counts.Routers, Proxies: s.counts.Proxies, Pending: s.counts.Pending, Failed: s.counts.Failed, Elsewhere: s.counts.Elsewhere,
		Trouble: s.trouble, Error: s.failed, Refused: s.refusals(), Notice: s.notice,
	}
	if s.outcome != nil {
		n.At = s.outcome.at
	}
	return n
}
