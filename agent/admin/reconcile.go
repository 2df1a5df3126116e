package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"neutron-ndp-proxy-agent/agent"
)

// How long an order may be waited for (the parameter "wait"), and how long if nothing is
// said.
const (
	DefaultWait = 30 * time.Second
	longestWait = 5 * time.Minute
	// orderSlack is for the answer itself.
	orderSlack = 5 * time.Second
)

// Reconciling is what the daemon's loop offers for it; *agent.Agent does.
type Reconciling interface {
	Reconcile(ctx context.Context, s agent.Selection, sync func(ctx context.Context) error) (agent.Reconciled, error)
}

// Reconciled is the answer to POST /v1/reconcile. Within v1 its JSON only grows.
type Reconciled struct {
	// Sync is "done", "failed" (SyncError says why), or "none" where the source has no
	// server to ask.
	Sync       string       `json:"sync"`
	SyncError  string       `json:"sync_error"`
	Namespaces []Reconciles `json:"namespaces"`
}

// What came of asking the source.
const (
	SyncDone   = "done"
	SyncFailed = "failed"
	SyncNone   = "none"
)

// Reconciles is what was done in one namespace.
type Reconciles struct {
	Name string `json:"name"`
	// Looked: a look has ended since. Without one the rest says little.
	Looked bool  `json:"looked"`
	State  State `json:"state"`
	// Lines were written, see [dataplane.Lines], but for what Failed.
	Lines   []string `json:"lines"`
	Failed  []string `json:"failed"`
	Trouble string   `json:"trouble"`
}

// ReconcileMethod answers POST /v1/reconcile, with the parameters router or namespace
// (may be repeated), and wait (seconds, or with a unit). sync asks the source for
// everything and waits; nil: there is nothing to ask.
func ReconcileMethod(loop Reconciling, sync func(ctx context.Context) error) Method {
	return Method{
		Pattern: "POST /v1/reconcile", Limit: longestWait + orderSlack,
		Answer: func(ctx context.Context, query url.Values) (any, error) {
			s, err := selection(query, "wait")
			if err != nil {
				return nil, err
			}
			wait, err := waitOf(query)
			if err != nil {
				return nil, err
			}
			bounded, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			r, err := loop.Reconcile(bounded, s, sync)
			if err != nil {
				return nil, unselected(err)
			}
			return reconciled(r, sync != nil), ctx.Err()
		},
	}
}

func reconciled(r agent.Reconciled, synced bool) Reconciled {
	out := Reconciled{Sync: SyncNone, Namespaces: make([]Reconciles, 0, len(r.Looks))}
	switch {
	case r.Unsynced != nil:
		out.Sync, out.SyncError = SyncFailed, printable(r.Unsynced.Error(), maxText)
	case synced:
		out.Sync = SyncDone
	}
	for _, l := range r.Looks {
		out.Namespaces = append(out.Namespaces, Reconciles{
			Name: printable(l.Namespace, maxText), Looked: l.Looked, State: state(agent.Namespace{Looked: l.Looked, Error: l.Error || len(l.Failed) > 0, Trouble: l.Trouble}),
			Lines: texts(l.Lines), Failed: texts(l.Failed), Trouble: printable(l.Trouble, maxText),
		})
	}
	return out
}

// waitOf reads the parameter wait.
func waitOf(query url.Values) (time.Duration, error) {
	if !query.Has("wait") {
		return DefaultWait, nil
	}
	wait, err := time.ParseDuration(query.Get("wait"))
	if err != nil || wait <= 0 || wait > longestWait {
		return 0, Refuse(http.StatusBadRequest, "wait is to be a time up to %v, like 30s", longestWait)
	}
	return wait, nil
}

// Order posts an order that is waited for.
func (c *Client) Order(ctx context.Context, path string, query url.Values, wait time.Duration, into any) (raw []byte, err error) {
	query.Set("wait", wait.String())
	ctx, cancel := context.WithTimeout(ctx, wait+2*orderSlack)
	defer cancel()
	return c.Post(ctx, path, query, into)
}

// Well reports whether everything was looked at and nothing failed, at the source either.
func (r Reconciled) Well() bool {
	for _, n := range r.Namespaces {
		if !n.Looked || n.State == StateFailed {
			return false
		}
	}
	return r.Sync != SyncFailed
}

// Summary is one line of counts.
func (r Reconciled) Summary() string {
	looked, changed, failed := 0, 0, 0
	for _, n := range r.Namespaces {
		if n.Looked {
			looked++
		}
		if len(n.Lines) > 0 {
			changed++
		}
		if n.State == StateFailed {
			failed++
		}
	}
	return fmt.Sprintf("%d of %d namespaces looked at, %d changed, %d failed", looked, len(r.Namespaces), changed, failed)
}
