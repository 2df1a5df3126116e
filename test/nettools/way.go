package nettools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Route is an IPv6 route as iproute2 shows it.
type Route struct {
	Dst      string     `json:"dst"` // "default", a prefix, or an address
	Via      netip.Addr `json:"gateway"`
	Device   string     `json:"dev"`
	Table    string     `json:"table"` // "" is main
	Protocol string     `json:"protocol"`
}

func (r Route) String() string {
	s := r.Dst
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	s += " dev " + r.Device
	if r.Table != "" && r.Table != "main" {
		s += " table " + r.Table
	}
	return s
}

// Rule is an IPv6 routing policy rule as iproute2 shows it.
type Rule struct {
	Priority int    `json:"priority"`
	IIF      string `json:"iif"`
	Table    string `json:"table"`
	Protocol string `json:"protocol"`
}

func (r Rule) String() string { return fmt.Sprintf("%d iif %s table %s", r.Priority, r.IIF, r.Table) }

// Way is what a namespace has of one protocol number besides proxy entries.
type Way struct {
	Routes []Route // all tables, sorted
	Rules  []Rule  // sorted
}

// Empty tells whether there is nothing of it.
func (w Way) Empty() bool { return len(w.Routes)+len(w.Rules) == 0 }

func (w Way) String() string {
	var b strings.Builder
	for _, r := range w.Routes {
		fmt.Fprintf(&b, "  route %s\n", r)
	}
	for _, r := range w.Rules {
		fmt.Fprintf(&b, "  rule %s\n", r)
	}
	return b.String()
}

// ReadWay dumps the IPv6 routes and rules of a namespace that carry the protocol number.
func ReadWay(ctx context.Context, ns string, protocol int) (Way, error) {
	var w Way
	mark := strconv.Itoa(protocol)
	out, err := IP(ctx, ns, "-6", "-d", "-json", "route", "show", "table", "all", "proto", mark)
	if err != nil {
		return w, err
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &w.Routes); err != nil {
			return w, fmt.Errorf("routes of %s: %w", ns, err)
		}
	}
	if out, err = IP(ctx, ns, "-6", "-d", "-json", "rule", "show"); err != nil {
		return w, err
	}
	if err := json.Unmarshal(out, &w.Rules); err != nil {
		return w, fmt.Errorf("rules of %s: %w", ns, err)
	}
	// iproute2 filters routes by protocol, but not rules
	w.Rules = slices.DeleteFunc(w.Rules, func(r Rule) bool { return r.Protocol != mark })
	slices.SortFunc(w.Routes, func(a, b Route) int { return strings.Compare(a.String(), b.String()) })
	slices.SortFunc(w.Rules, func(a, b Rule) int { return strings.Compare(a.String(), b.String()) })
	return w, nil
}

// Snapshot is a namespace's IPv6 routing, rules of both families, proxy entries, packet filters
// (without counters) and the sysctls of [ReadKernel], one line each: two of them compare as text. The
// routes of the local table and what the kernel makes of link-local addresses are not in it.
func Snapshot(ctx context.Context, ns string) (string, error) {
	var b strings.Builder
	for _, show := range [][]string{{"-6", "-d", "route", "show", "table", "all"}, {"-6", "-d", "rule", "show"}, {"-4", "-d", "rule", "show"}} {
		out, err := IP(ctx, ns, show...)
		if err != nil {
			return "", err
		}
		var lines []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "table local") || strings.HasPrefix(line, "fe80::") || strings.HasPrefix(line, "unicast fe80::") {
				continue
			}
			lines = append(lines, strings.TrimSpace(line)+"\n")
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	k, err := ReadKernel(ctx, ns, "")
	if err != nil {
		return "", err
	}
	b.WriteString(k.String())
	ruleset, err := Exec(ctx, ns, "nft", "--stateless", "list", "ruleset")
	b.Write(ruleset)
	return b.String(), err
}
