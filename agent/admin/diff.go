package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/plaintext"
)

// One answer of GET /v1/diff ends after that time or so many lines, and says where to go
// on: a host with thousands of namespaces is compared in many answers, and other
// questions come in between.
const (
	diffPage  = time.Second
	diffLines = 20_000
	diffLimit = 10 * time.Second // of one answer, for a namespace that is slow
)

// Comparing is what the daemon's loop offers for it; *agent.Agent does.
type Comparing interface {
	Ready() <-chan struct{}
	Select(ctx context.Context, s agent.Selection) ([]string, error)
	Compare(ctx context.Context, namespace string) (agent.Difference, error)
}

// Diff is what would be written now. Within v1 its JSON only grows.
type Diff struct {
	// Ready: the first full sync is applied. Before it nothing is taken away of which
	// nobody has said that it is unwanted.
	Ready bool `json:"ready"`
	// Namespaces are sorted by name.
	Namespaces []NamespaceDiff `json:"namespaces"`
	// Error is why namespaces may be missing; "" if none is.
	Error string `json:"error"`
	// Next is the first namespace that is not in this answer (the parameter "from");
	// "" if all are.
	Next string `json:"next"`
}

// DiffState is the answer for one namespace in a word.
type DiffState string

// States of a namespace.
const (
	DiffSame    DiffState = "same"    // nothing would be written
	DiffNobodys DiffState = "nobodys" // no router is in it and nothing of ours; only if it was asked for
	DiffDiffers DiffState = "differs" // Lines would
	DiffAbsent  DiffState = "absent"  // it does not exist
	DiffAlone   DiffState = "alone"   // nothing may be written, Notes say why
	DiffUnknown DiffState = "unknown" // it could not be compared, or not all of it
)

// NamespaceDiff is what would be written in one namespace.
type NamespaceDiff struct {
	Name    string    `json:"name"`
	State   DiffState `json:"state"`
	Routers []string  `json:"routers"`
	// Lines are in the form of [dataplane.Lines].
	Lines []string `json:"lines"`
	// Notes are what is in the way of something that is wanted.
	Notes []string `json:"notes"`
	Error string   `json:"error"`
}

// DiffMethod answers GET /v1/diff, with the parameters router or namespace (may be
// repeated), and from.
func DiffMethod(loop Comparing) Method {
	return Method{
		Pattern: "GET /v1/diff", Limit: diffLimit,
		Answer: func(ctx context.Context, query url.Values) (any, error) {
			s, err := selection(query, "from")
			if err != nil {
				return nil, err
			}
			return diff(ctx, loop, s, query.Get("from"))
		},
	}
}

// selection reads the parameters that name namespaces, and refuses unknown ones.
func selection(query url.Values, others ...string) (agent.Selection, error) {
	for name, values := range query {
		if !slices.Contains(append(others, "router", "namespace"), name) {
			return agent.Selection{}, Refuse(http.StatusBadRequest, "there is no parameter %q here", name)
		}
		if name != "namespace" && len(values) > 1 || slices.Contains(values, "") {
			return agent.Selection{}, Refuse(http.StatusBadRequest, "%s is to be given once, and not empty", name)
		}
	}
	s := agent.Selection{Router: query.Get("router"), Namespaces: query["namespace"]}
	if s.Router != "" && len(s.Namespaces) > 0 {
		return agent.Selection{}, Refuse(http.StatusBadRequest, "router and namespace exclude each other")
	}
	return s, nil
}

// unselected is the answer to a selection that can't be made.
func unselected(err error) error {
	if errors.Is(err, agent.ErrNotHere) {
		return Refuse(http.StatusNotFound, "%v", err)
	}
	return err
}

func diff(ctx context.Context, loop Comparing, s agent.Selection, from string) (Diff, error) {
	d := Diff{Ready: closed(loop.Ready()), Namespaces: []NamespaceDiff{}}
	names, err := loop.Select(ctx, s)
	if err != nil && len(names) == 0 {
		return Diff{}, unselected(err)
	}
	if err != nil {
		d.Error = printable(err.Error(), maxText)
	}
	start, lines := time.Now(), 0
	first, _ := slices.BinarySearch(names, from)
	for i, ns := range names[first:] {
		if i > 0 && (time.Since(start) > diffPage || lines > diffLines) {
			d.Next = ns
			break
		}
		c, err := loop.Compare(ctx, ns)
		if c.Nobodys && len(s.Namespaces) == 0 {
			continue
		}
		n := compared(c, err)
		lines += len(n.Lines)
		d.Namespaces = append(d.Namespaces, n)
	}
	return d, ctx.Err()
}

func compared(c agent.Difference, err error) NamespaceDiff {
	n := NamespaceDiff{Name: printable(c.Namespace, maxText), State: DiffSame, Routers: texts(c.Routers), Lines: texts(c.Lines), Notes: texts(c.Notes)}
	switch {
	case err != nil:
		n.State, n.Error = DiffUnknown, printable(err.Error(), maxText)
	case c.Nobodys:
		n.State = DiffNobodys
	case c.Absent:
		n.State = DiffAbsent
	case len(c.Lines) > 0:
		n.State = DiffDiffers
	case len(c.Notes) > 0:
		n.State = DiffAlone
	}
	return n
}

// texts are never null in JSON.
func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, printable(s, maxText))
	}
	return out
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Diff asks for all answers, and joins them.
func (c *Client) Diff(ctx context.Context, query url.Values) (Diff, error) {
	var all Diff
	for from := ""; ; {
		if from != "" {
			query.Set("from", from)
		}
		var d Diff
		if _, err := c.Get(ctx, "/v1/diff", query, &d); err != nil {
			return Diff{}, err
		}
		d.Namespaces = append(all.Namespaces, d.Namespaces...)
		if d.Error == "" {
			d.Error = all.Error
		}
		if all = d; d.Next == "" {
			return all, nil
		}
		if d.Next <= from {
			return Diff{}, fmt.Errorf("control socket %s: the answers go round in circles at %q", c.path, plaintext.Line(d.Next, maxText))
		}
		from = d.Next
	}
}

// Differs reports whether something would be written, Known whether all could be compared.
func (d Diff) Differs() bool {
	return slices.ContainsFunc(d.Namespaces, func(n NamespaceDiff) bool { return len(n.Lines) > 0 })
}

// Known is described with Differs.
func (d Diff) Known() bool {
	return d.Error == "" && !slices.ContainsFunc(d.Namespaces, func(n NamespaceDiff) bool { return n.State == DiffUnknown })
}

// PrintDiff writes it for people: a header for each namespace of which there is
// something to say, and the lines; with "#" in front what is no line. paint colours a
// line by its first character.
func PrintDiff(w io.Writer, d Diff, paint func(sign byte, line string) string) error {
	var b strings.Builder
	for _, n := range d.Namespaces {
		if len(n.Lines)+len(n.Notes) == 0 && n.Error == "" {
			continue
		}
		fmt.Fprintf(&b, "%s\n", paint('@', plaintext.Line("namespace "+n.Name, maxText)))
		lines := slices.Clone(n.Lines)
		for _, note := range n.Notes {
			lines = append(lines, "# "+note)
		}
		if n.Error != "" {
			lines = append(lines, "# could not be compared: "+n.Error)
		}
		for _, l := range lines {
			if l != "" {
				fmt.Fprintf(&b, "%s\n", paint(l[0], plaintext.Line(l, 2*maxText)))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
