package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
	"neutron-ndp-proxy-agent/dataplane"
)

// statusPage is a status for people. What is in it may come from whoever listens on the
// socket: all of it goes through [terminal].
type statusPage struct {
	s      admin.Status
	screen terminal.Screen
	b      strings.Builder
}

// page is of the whole daemon, with a row for each device of a router that publishes.
func page(s admin.Status, screen terminal.Screen) string {
	p := statusPage{s: s, screen: screen}
	p.head()
	if table := p.routers(); table.Len() > 0 {
		p.b.WriteString("\n" + table.String(screen))
	}
	if table := p.namespaces(); table.Len() > 0 {
		p.b.WriteString("\n" + table.String(screen))
	}
	p.omitted()
	return p.b.String()
}

// details is of some routers and their addresses.
func details(s admin.Status, screen terminal.Screen) string {
	p := statusPage{s: s, screen: screen}
	p.state()
	p.stuck()
	for _, r := range s.Routers {
		p.b.WriteByte('\n')
		p.router(r)
	}
	if table := p.namespaces(); table.Len() > 0 {
		p.b.WriteString("\n" + table.String(screen))
	}
	p.omitted()
	return p.b.String()
}

func (p *statusPage) omitted() {
	if p.s.Omitted > 0 {
		p.b.WriteString(p.screen.Paint(terminal.Warn, fmt.Sprintf("and %d more", p.s.Omitted)) + "\n")
	}
}

const label = "%-16s"

func (p *statusPage) line(name string, style terminal.Style, format string, args ...any) {
	table := terminal.Table{}
	table.Row(terminal.Text(fmt.Sprintf(label, name)[:14]), terminal.Cell{Text: fmt.Sprintf(format, args...), Style: style})
	p.b.WriteString(table.String(p.screen))
}

func (p *statusPage) head() {
	s := p.s
	p.line("host", terminal.Plain, "%s, agent_mode %s, source %s", s.Host, s.AgentMode, s.Source)
	p.line("version", terminal.Plain, "%s, started %s", s.Version, p.when(s.Started))
	p.state()
	if s.Broker != nil {
		text, style := p.broker(s.Broker)
		p.line("broker", style, "%s", text)
	}
	if s.Server != nil {
		text, style := p.server(s.Server)
		p.line("server", style, "%s", text)
	}
	if s.SourceTrouble != "" {
		p.line("not used", terminal.Bad, "%s", s.SourceTrouble)
	}
	if s.LastFullSync != nil {
		p.line("last full sync", terminal.Plain, "%s", p.when(*s.LastFullSync))
	}
	t := s.Totals
	p.line("routers", terminal.Plain, "%d, of which %d publish", t.Routers, t.Enabled)
	style := terminal.Plain
	if t.Failed > 0 {
		style = terminal.Bad
	}
	off := ""
	if t.Disabled > 0 {
		off = fmt.Sprintf(", %d of routers that are off", t.Disabled)
	}
	p.line("proxies", style, "%d: %d answered, %d pending, %d failed, %d on other hosts%s", t.Proxies, t.Answered, t.Pending, t.Failed, t.Elsewhere, off)
	p.line("drift repaired", terminal.Plain, "%s", drift(s.Drift))
	p.stuck()
	listed := map[string]bool{} // in the table, with the same words
	for _, r := range s.Routers {
		listed[r.ID] = true
	}
	for _, r := range s.Waiting {
		if listed[r.Router] {
			continue
		}
		p.line("router waits", terminal.Warn, "%s: for %s", r.Router, r.For)
	}
}

func (p *statusPage) stuck() {
	for _, what := range p.s.Stuck {
		p.line("stuck", terminal.Bad, "%s", what)
	}
}

func (p *statusPage) state() {
	s := p.s
	text, style := "in sync, with failures", terminal.Bad
	switch {
	case len(s.Stuck) > 0:
		text = "stuck"
	case !s.Ready:
		text, style = "waiting for the first full sync", terminal.Warn
	case s.Well():
		text, style = "in sync", terminal.Good
	case s.Broker != nil && !s.Broker.Connected:
		text, style = "was in sync, and has no connection to the broker now", terminal.Warn
	case s.Deaf():
		text, style = "was in sync, and the server does not answer now", terminal.Warn
	}
	p.line("state", style, "%s", text)
}

func (p *statusPage) broker(b *admin.Broker) (string, terminal.Style) {
	switch {
	case !b.Connected:
		text := "not connected since " + p.when(b.Since)
		if b.LastError != "" {
			text += ": " + b.LastError
		}
		return text, terminal.Bad
	case b.Blocked != "":
		return "connected to " + b.Endpoint + ", which blocks publishers: " + b.Blocked, terminal.Bad
	case !b.Subscribed:
		return "connected to " + b.Endpoint + ", not subscribed yet", terminal.Warn
	}
	return "connected to " + b.Endpoint + " since " + p.when(b.Since), terminal.Good
}

func (p *statusPage) server(n *admin.NeutronServer) (string, terminal.Style) {
	last := ", never before"
	if n.LastAnswer != nil {
		last = ", last " + p.when(*n.LastAnswer)
	}
	switch {
	case n.FailingSince != nil:
		return "no answer since " + p.when(*n.FailingSince) + last + ": " + n.LastError, terminal.Bad
	case n.LastAnswer == nil:
		return "not asked yet", terminal.Warn
	case n.LastError != "":
		return "answers" + last + ", but with a failure: " + n.LastError, terminal.Warn
	}
	return "answers" + last, terminal.Good
}

func drift(kinds map[dataplane.Kind]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if n := kinds[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// when is a time, and how long ago it was when the daemon answered.
func (p *statusPage) when(t time.Time) string {
	text := t.UTC().Format(time.RFC3339)
	if ago := p.s.Time.Sub(t); ago >= 0 && !p.s.Time.IsZero() {
		text += " (" + age(ago) + " ago)"
	}
	return text
}

// age is a duration in its two greatest units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
