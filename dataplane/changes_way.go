package dataplane

import (
	"fmt"
	"slices"
	"strings"
)

// RouteChange is what has to be written to the routing tables: what is set
// before the first entry is made, and what goes after the last was withdrawn.
type RouteChange struct {
	// Set is in the order in which it is made: wide destinations first, so that
	// the way back stands before anybody is let in.
	Set []RouteSet
	// Delete are those of ours that are no longer wanted; Remove somebody
	// else's, which an exclusive device does not tolerate.
	Delete, Remove []FoundRoute
}

// RouteSet is one route to make.
type RouteSet struct {
	Route Route
	// Index of the device that was observed.
	Index int
	// Present: it is there, and others in its place with it.
	Present bool
	// Replaces are the routes that have its place, whoever made them.
	Replaces []FoundRoute
	// Held are our entries for the destination of a host route: they go if the
	// route cannot be made.
	Held []HeldEntry
}

// HeldEntry is one proxy neighbour that stands and falls with a route.
type HeldEntry struct {
	Device string
	Index  int
	// Answered: the kernel answered for it.
	Answered bool
}

// RuleChange is what has to be written to the list of rules.
type RuleChange struct {
	Add    []Rule
	Delete []FoundRule
	// Kept are the wanted rules that are there already.
	Kept []Rule
}

func (c RouteChange) empty() bool { return len(c.Set)+len(c.Delete)+len(c.Remove) == 0 }

func (c RuleChange) empty() bool { return len(c.Add)+len(c.Delete) == 0 }

// writeSet writes what is made before the first entry.
func (c Changes) writeSet(b *strings.Builder) {
	for _, r := range c.Rules.Add {
		fmt.Fprintf(b, "rule + %s\n", r)
	}
	for _, s := range c.Routes.Set {
		fmt.Fprintf(b, "route %s %s\n", s.verb(), s.Route)
		if len(s.Replaces) > 1 || s.Present {
			for _, f := range s.Replaces {
				fmt.Fprintf(b, "route replace %s\n", f.text())
			}
		}
	}
}

func (s RouteSet) verb() string {
	foreign := func(f FoundRoute) bool { return !f.Ours }
	switch {
	case slices.ContainsFunc(s.Replaces, foreign):
		return "adopt"
	case len(s.Replaces) > 0:
		return "change"
	}
	return "+"
}

// text is the route with what a [Route] does not say.
func (f FoundRoute) text() string {
	return fmt.Sprintf("%s metric %d proto %d", f.Route, f.Kernel.Metric, f.Kernel.Protocol)
}

// writeDelete writes what goes after the last entry.
func (c Changes) writeDelete(b *strings.Builder) {
	for _, f := range c.Routes.Delete {
		fmt.Fprintf(b, "route - %s\n", f.Route)
	}
	for _, f := range c.Routes.Remove {
		fmt.Fprintf(b, "route remove %s\n", f.text())
	}
	for _, f := range c.Rules.Delete {
		fmt.Fprintf(b, "rule - %s\n", f.Rule)
	}
}
