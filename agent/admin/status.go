package admin

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/dataplane"
)

// Status is the answer of GET /v1/status, whose parameters are those of [Query]: then
// Routers and Namespaces are only what it names, and the rest is of the whole daemon. Times are RFC 3339 in UTC. Texts are
// printable, and at most maxText bytes long.
type Status struct {
	Version   string    `json:"version"`    // of the daemon
	Host      string    `json:"host"`       // what Neutron calls this machine
	AgentMode string    `json:"agent_mode"` // the L3 agent's
	Source    string    `json:"source"`     // neutron or file
	Started   time.Time `json:"started"`
	// Time is when the question was answered.
	Time time.Time `json:"time"`
	// Ready: what the first full sync named was applied, as for systemd's READY=1.
	Ready bool `json:"ready"`
	// LastFullSync is when the source last told everything; null: it never did.
	LastFullSync *time.Time `json:"last_full_sync"`
	// Broker is null with source = file.
	Broker *Broker `json:"broker"`
	// Server is how neutron-server answers; null with source = file.
	Server *NeutronServer `json:"server"`
	// SourceTrouble is why the file of source = file, as it is now, is not used; "" if it is.
	SourceTrouble string `json:"source_trouble"`
	Totals        Totals `json:"totals"`
	// Drift counts what others had changed and was repaired since the start, by
	// kind: entry, sysctl, filter, route, rule. All kinds are there.
	Drift map[dataplane.Kind]int `json:"drift"`
	// Stuck names the parts that make no progress, and for how long: what the
	// watchdog restarts the daemon for. Empty: none.
	Stuck []string `json:"stuck"`
	// Waiting are routers of which the server does not list a device yet.
	Waiting []Waiting `json:"waiting"`
	// Namespaces are those with a router of this host, or something of ours in
	// them: first those with trouble, then by name.
	Namespaces []Namespace `json:"namespaces"`
	// Routers are those of this host, first those with trouble, then by id.
	Routers []Router `json:"routers"`
	// Omitted counts elements of Waiting, Namespaces and Routers, and addresses, that
	// are left out, since there are at most maxListed of each.
	Omitted int `json:"omitted"`
}

// Broker is the connection to RabbitMQ.
type Broker struct {
	Connected bool `json:"connected"`
	// Subscribed: pushes of neutron-server flow.
	Subscribed bool `json:"subscribed"`
	// Endpoint is host:port connected to, or last tried.
	Endpoint string `json:"endpoint"`
	// Since is when Connected last changed.
	Since time.Time `json:"since"`
	// Blocked is the broker's reason for taking no messages, "" if it does.
	Blocked string `json:"blocked"`
	// LastError is why there is no connection, "" while there is one.
	LastError string `json:"last_error"`
}

// NeutronServer is neutron-server as this daemon's calls find it.
type NeutronServer struct {
	// Answers: the last call was answered, if also with a failure.
	Answers bool `json:"answers"`
	// LastAnswer is when a call was last answered; null: none was yet.
	LastAnswer *time.Time `json:"last_answer"`
	// FailingSince is when the first of the calls was made that were not answered
	// since the last one that was; null while Answers.
	FailingSince *time.Time `json:"failing_since"`
	// LastError is how the last call failed, "" if it did not.
	LastError string `json:"last_error"`
}

// Totals are sums over all namespaces.
type Totals struct {
	// Routers on this host; Enabled ones have NDP proxying on.
	Routers int `json:"routers"`
	Enabled int `json:"enabled"`
	// Proxies of all routers here. Of those of enabled ones Pending wait, Failed
	// were refused by the plan or the kernel, and Elsewhere other hosts serve.
	Proxies   int `json:"proxies"`
	Pending   int `json:"pending"`
	Failed    int `json:"failed"`
	Elsewhere int `json:"elsewhere"`
	// Answered are answered for. Disabled are those of routers that are not enabled.
	Answered int `json:"answered"`
	Disabled int `json:"disabled"`
}

// Waiting is a router and what it waits for.
type Waiting struct {
	Router string `json:"router"`
	For    string `json:"for"`
}

// State is how it stands with a namespace.
type State string

// States of a namespace.
const (
	// StateNew: it was not looked at yet.
	StateNew State = "new"
	// StateOK: as it should be.
	StateOK State = "ok"
	// StateWaiting: something outside has to come first. Nothing is wrong here.
	StateWaiting State = "waiting"
	// StateFailed: an error, which is tried again; or something is not published.
	StateFailed State = "failed"
)

// Namespace is one namespace, as of the last look.
type Namespace struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Routers in it, and the proxies of its enabled ones that are served in it.
	Routers   int `json:"routers"`
	Proxies   int `json:"proxies"`
	Pending   int `json:"pending"`
	Failed    int `json:"failed"`
	Elsewhere int `json:"elsewhere"`
	// Trouble is what is in the way or waited for, Refused what is not published
	// and why, Notice what others made that works against us; "" if nothing.
	Trouble string `json:"trouble"`
	Refused string `json:"refused"`
	Notice  string `json:"notice"`
	// LookedAt is when it was last compared with what it should be; null: it was not.
	LookedAt *time.Time `json:"looked_at"`
	// Drift is like that of the Status, without the kinds of which there is none.
	Drift map[dataplane.Kind]int `json:"drift"`
}

// What an answer may have: some 40 MB if every text is as long as it may be.
const (
	maxText   = 512
	maxListed = 10_000
	maxStuck  = 16
)

// Loop is what is asked of *agent.Agent.
type Loop interface {
	Ready() <-chan struct{}
	Totals() agent.Totals
	Drift() map[dataplane.Kind]int
	Namespaces() []agent.Namespace
	Waiting() map[string]string
	RouterNames() map[string]string
	Routers(agent.Wanted) []agent.Router
}

// Daemon is whom a Status is of. All functions return at once.
type Daemon struct {
	Version, Host, AgentMode, Source string
	Started                          time.Time
	Loop                             Loop
	SyncedAt                         func() time.Time
	Overdue                          func() []string // what is stuck
	Broker                           func() *Broker  // nil: none is needed
	Server                           func() *NeutronServer
	Trouble                          func() string // of the source; nil: none is known of
}

// Status asks all parts, each for itself: the sums may be of another moment than the
// namespaces. Its error is a [*Refusal].
func (d Daemon) Status(q Query) (Status, error) {
	s := d.whole()
	namespaced := d.Loop.Namespaces()
	wanted, err := q.narrow(d.Loop, namespaced)
	if err != nil {
		return Status{}, s.early(err)
	}
	found := d.Loop.Routers(wanted)
	waits := d.Loop.Waiting()
	if wanted.Addresses {
		if len(found) == 0 && (wanted.Addr.IsValid() || wanted.Routers != nil) {
			return Status{}, s.early(Refuse(http.StatusNotFound, "%s", q.nobody()))
		}
		namespaced, waits = of(found, wanted, namespaced, waits)
	}
	var left [3]int
	s.Waiting, left[0] = waiting(waits)
	s.Namespaces, left[1] = namespaces(namespaced)
	s.Routers, left[2] = routers(found)
	s.Omitted = left[0] + left[1] + left[2]
	return s, nil
}

// whole is what is of the whole daemon.
func (d Daemon) whole() Status {
	t := d.Loop.Totals()
	s := Status{
		Version: d.Version, Host: printable(d.Host, maxText), AgentMode: d.AgentMode, Source: d.Source, Started: d.Started.UTC(), Time: time.Now().UTC(),
		Totals: Totals{Routers: t.Routers, Enabled: t.Enabled, Proxies: t.Proxies, Pending: t.Pending, Failed: t.Failed, Elsewhere: t.Elsewhere, Answered: t.Answered, Disabled: t.Disabled},
		Drift:  d.Loop.Drift(),
		Stuck:  []string{},
	}
	select {
	case <-d.Loop.Ready():
		s.Ready = true
	default:
	}
	s.LastFullSync = known(d.SyncedAt())
	if d.Trouble != nil {
		s.SourceTrouble = printable(d.Trouble(), maxText)
	}
	if s.Broker = d.Broker(); s.Broker != nil {
		b := s.Broker
		b.Since = b.Since.UTC()
		b.Endpoint, b.Blocked, b.LastError = printable(b.Endpoint, maxText), printable(b.Blocked, maxText), printable(b.LastError, maxText)
	}
	if s.Server = d.Server(); s.Server != nil {
		n := s.Server
		n.LastAnswer, n.FailingSince, n.LastError = inUTC(n.LastAnswer), inUTC(n.FailingSince), printable(n.LastError, maxText)
	}
	stuck := d.Overdue()
	for _, what := range stuck[:min(len(stuck), maxStuck)] {
		s.Stuck = append(s.Stuck, printable(what, maxText))
	}
	return s
}

func waiting(all map[string]string) (out []Waiting, left int) {
	ids := slices.Sorted(maps.Keys(all))
	n := min(len(ids), maxListed)
	out = make([]Waiting, 0, n)
	for _, id := range ids[:n] {
		out = append(out, Waiting{printable(id, maxText), printable(all[id], maxText)})
	}
	return out, len(ids) - n
}

func namespaces(all []agent.Namespace) (out []Namespace, left int) {
	slices.SortFunc(all, func(a, b agent.Namespace) int {
		return cmp.Or(state(a).order()-state(b).order(), cmp.Compare(a.Name, b.Name))
	})
	n := min(len(all), maxListed)
	out = make([]Namespace, 0, n)
	for _, ns := range all[:n] {
		out = append(out, Namespace{
			Name: printable(ns.Name, maxText), State: state(ns),
			Routers: ns.Routers, Proxies: ns.Proxies, Pending: ns.Pending, Failed: ns.Failed, Elsewhere: ns.Elsewhere,
			Trouble: printable(ns.Trouble, maxText), Refused: printable(ns.Refused, maxText), Notice: printable(ns.Notice, maxText),
			LookedAt: known(ns.At), Drift: nonzero(ns.Drift),
		})
	}
	return out, len(all) - n
}

func state(ns agent.Namespace) State {
	switch {
	case !ns.Looked:
		return StateNew
	case ns.Error || ns.Failed > 0:
		return StateFailed
	case ns.Trouble != "":
		return StateWaiting
	}
	return StateOK
}

// nonzero are the kinds of which there is any.
func nonzero(drift map[dataplane.Kind]int) map[dataplane.Kind]int {
	out := map[dataplane.Kind]int{}
	for kind, n := range drift {
		if n > 0 {
			out[kind] = n
		}
	}
	return out
}
