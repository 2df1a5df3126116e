package admin

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Well reports whether the daemon is in sync, with the broker too, nothing is refused
// and nothing is stuck. What waits for something outside is well.
func (s Status) Well() bool {
	return s.Ready && s.Totals.Failed == 0 && len(s.Stuck) == 0 &&
		(s.Broker == nil || s.Broker.Connected && s.Broker.Subscribed && s.Broker.Blocked == "") &&
		!slices.ContainsFunc(s.Namespaces, func(n Namespace) bool { return n.State == StateFailed })
}

// Print writes the status for people. What is in it may come from whoever listens on
// the socket.
func Print(w io.Writer, s Status) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-16s%s\n", label, printable(fmt.Sprintf(format, args...), 2*maxText))
	}
	line("host", "%s, agent_mode %s, source %s", s.Host, s.AgentMode, s.Source)
	line("version", "%s, started %s", s.Version, when(s.Started))
	line("state", "%s", s.summary())
	if s.Broker != nil {
		line("broker", "%s", s.Broker.summary())
	}
	if s.LastFullSync != nil {
		line("last full sync", "%s", when(*s.LastFullSync))
	}
	t := s.Totals
	line("routers", "%d, of which %d publish", t.Routers, t.Enabled)
	line("proxies", "%d: %d pending, %d failed, %d on other hosts", t.Proxies, t.Pending, t.Failed, t.Elsewhere)
	line("drift repaired", "%s", s.drift())
	for _, what := range s.Stuck {
		line("stuck", "%s", what)
	}
	for _, r := range s.Waiting {
		line("router waits", "%s: for %s", r.Router, r.For)
	}
	if len(s.Namespaces) > 0 {
		b.WriteByte('\n')
		s.table(&b)
	}
	if s.Omitted > 0 {
		fmt.Fprintf(&b, "and %d more\n", s.Omitted)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Status) table(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAMESPACE\tSTATE\tROUTERS\tPROXIES\tPENDING\tFAILED\tELSEWHERE\tWHAT") // into memory
	for _, n := range s.Namespaces {
		var what []string
		for _, text := range []string{n.Trouble, n.Refused, n.Notice} {
			if text != "" {
				what = append(what, text)
			}
		}
		row := fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t", printable(n.Name, maxText), printable(string(n.State), maxText),
			n.Routers, n.Proxies, n.Pending, n.Failed, n.Elsewhere)
		_, _ = fmt.Fprintln(table, row+printable(strings.Join(what, "; "), 4*maxText))
	}
	_ = table.Flush()
}

func (s Status) summary() string {
	switch {
	case len(s.Stuck) > 0:
		return "stuck"
	case !s.Ready:
		return "waiting for the first full sync"
	case s.Well():
		return "in sync"
	case s.Broker != nil && !s.Broker.Connected:
		return "was in sync, and has no connection to the broker now"
	}
	return "in sync, with failures"
}

func (b *Broker) summary() string {
	switch {
	case !b.Connected:
		text := "not connected since " + when(b.Since)
		if b.LastError != "" {
			text += ": " + b.LastError
		}
		return text
	case b.Blocked != "":
		return "connected to " + b.Endpoint + ", which blocks publishers: " + b.Blocked
	case !b.Subscribed:
		return "connected to " + b.Endpoint + ", not subscribed yet"
	}
	return "connected to " + b.Endpoint + " since " + when(b.Since)
}

func (s Status) drift() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(s.Drift)) {
		if n := s.Drift[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
