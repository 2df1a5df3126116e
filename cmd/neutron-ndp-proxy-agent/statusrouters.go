package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/plaintext"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

// wide is from which width on a table has names too. Where nobody looks at it, it has.
const wide = 120

func (p *statusPage) wide() bool { return p.screen.Width == 0 || p.screen.Width >= wide }

// routers has a row for each device of a router, and one for a router that has none
// here. Those that are to publish nothing have none.
func (p *statusPage) routers() *terminal.Table {
	t := &terminal.Table{Head: []string{"ROUTER", "KIND", "DEVICE", "ROLE", "ANSWERED", "PENDING", "FAILED", "WHAT"}}
	if p.wide() {
		t.Head = []string{"ROUTER", "KIND", "NAMESPACE", "DEVICE", "ROLE", "ANSWERED", "PENDING", "FAILED", "WHAT"}
	}
	row := func(r admin.Router, at admin.Attachment, answered, pending, failed int, what string) {
		cells := []terminal.Cell{terminal.Text(p.called(r)), dash(string(r.Kind))}
		if p.wide() {
			cells = append(cells, dash(at.Namespace))
		}
		t.Row(append(cells, dash(at.Device), roleCell(at.Role), number(answered, terminal.Plain),
			number(pending, terminal.Warn), number(failed, terminal.Bad), terminal.Text(what))...)
	}
	for _, r := range p.s.Routers {
		if r.State == admin.StateDisabled {
			continue
		}
		for _, at := range r.Attachments {
			row(r, at, at.Answered, at.Pending, at.Failed, both(at.Why, at.Trouble))
		}
		if len(r.Attachments) == 0 {
			row(r, admin.Attachment{}, r.Answered, r.Pending, r.Failed, r.Obstacle)
		}
	}
	return t
}

// called is the beginning of an id, which is what --router takes, and the name where
// there is room.
func (p *statusPage) called(r admin.Router) string {
	const uuid, first, name = 36, 8, 16
	text := r.ID
	if len(text) == uuid && text[first] == '-' {
		text = text[:first]
	}
	if p.wide() && r.Name != "" && r.Name != r.ID {
		text += " " + plaintext.Line(r.Name, name)
	}
	return text
}

func dash(s string) terminal.Cell {
	return terminal.Text(cmp.Or(s, "-"))
}

func number(n int, style terminal.Style) terminal.Cell {
	if n == 0 {
		style = terminal.Plain
	}
	return terminal.Cell{Text: strconv.Itoa(n), Style: style, Right: true}
}

func roleCell(r agent.Role) terminal.Cell {
	c := dash(string(r))
	switch r {
	case agent.Active:
		c.Style = terminal.Good
	case agent.Absent, agent.Unknown:
		c.Style = terminal.Warn
	case agent.Standby, agent.Idle:
	}
	return c
}

func both(texts ...string) string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

// namespaces are those of which the routers do not tell all.
func (p *statusPage) namespaces() *terminal.Table {
	t := &terminal.Table{Head: []string{"NAMESPACE", "STATE", "DRIFT", "WHAT"}}
	for _, n := range p.s.Namespaces {
		what := both(n.Trouble, n.Refused, n.Notice)
		if n.State != admin.StateFailed && n.Refused == "" && n.Notice == "" && len(n.Drift) == 0 && n.Routers > 0 {
			continue
		}
		style := terminal.Plain
		if n.State == admin.StateFailed {
			style = terminal.Bad
		}
		t.Row(terminal.Text(n.Name), terminal.Cell{Text: string(n.State), Style: style}, terminal.Text(drift(n.Drift)), terminal.Text(what))
	}
	return t
}

// router is one with all its addresses.
func (p *statusPage) router(r admin.Router) {
	text := r.ID
	if r.Name != "" && r.Name != r.ID {
		text += " " + strconv.Quote(r.Name)
	}
	if r.Kind != "" {
		text += ", " + string(r.Kind)
	}
	p.line("router", terminal.Strong, "%s", text)
	if r.Obstacle != "" {
		p.line("", terminal.Warn, "%s", r.Obstacle)
	}
	for _, at := range r.Attachments {
		p.line("namespace", terminal.Plain, "%s", at.Namespace)
		p.line("device", terminal.Plain, "%s", at.Device)
		style := roleCell(at.Role).Style
		role := string(at.Role)
		if at.Since != nil {
			role += " since " + p.when(*at.Since)
		}
		if at.Why != "" {
			role += ": " + at.Why
		}
		p.line("role", style, "%s", role)
		if at.LookedAt != nil {
			p.line("looked at", terminal.Plain, "%s", p.when(*at.LookedAt))
		}
	}
	p.line("proxies", terminal.Plain, "%d: %d answered, %d pending, %d failed, %d on other hosts", r.Proxies, r.Answered, r.Pending, r.Failed, r.Elsewhere)
	if table := p.addresses(r); table.Len() > 0 {
		p.b.WriteString("\n" + table.String(p.screen))
	}
}

func (p *statusPage) addresses(r admin.Router) *terminal.Table {
	t := &terminal.Table{Head: []string{"ADDRESS", "STATE", "SINCE", "WHAT"}}
	if p.wide() {
		t.Head = []string{"ADDRESS", "STATE", "SINCE", "PROXY", "WHAT"}
	}
	for _, a := range r.Addresses {
		since := "before the start"
		if a.Since != nil {
			since = a.Since.UTC().Format(time.RFC3339)
		}
		if a.State == agent.Disabled || a.State == agent.Elsewhere && a.Since == nil || a.Since == nil && a.Why != "" {
			since = "-"
		}
		row := []terminal.Cell{terminal.Text(fmt.Sprint(a.Address)), {Text: string(a.State), Style: addressStyle(a.State)}, terminal.Text(since)}
		if p.wide() {
			row = append(row, terminal.Text(a.Proxy))
		}
		t.Row(append(row, terminal.Text(a.Why))...)
	}
	return t
}

func addressStyle(s agent.AddressState) terminal.Style {
	switch s {
	case agent.Answered:
		return terminal.Good
	case agent.Pending:
		return terminal.Warn
	case agent.Failed:
		return terminal.Bad
	case agent.Elsewhere, agent.Disabled:
		return terminal.Faint
	}
	return terminal.Plain
}
