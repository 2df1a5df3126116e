package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// command is what the program does besides serving: its first argument.
type command struct {
	name string
	// words are what stands after the options, for the usage: "<address>".
	words string
	// summary is one line, without a full stop.
	summary string
	// run returns an exit code.
	run func(c command, arguments []string, stdout, stderr io.Writer) int
}

// commands are all there are, in the order of the usage.
func commands() []command {
	return []command{
		{"status", "", "how the daemon is, and each router; or single addresses", status},
		{"explain", "<address>", "why an address is answered for here, or why not", explainAddress},
		{"check", "", "whether all that the daemon depends on is as it has to be, and what to do", check},
		{"diff", "", "what would be written now", diff},
		{"reconcile", "", "have the daemon make everything true now", reconcile},
		{"announce", "<address|router>", "have the daemon announce an address, or all of a router, again", announce},
		{"cleanup", "", "remove everything of ours from every namespace", cleanup},
		{"log-level", "[debug|info|warning|error]", "show how much the daemon logs, or change it until it ends", logLevel},
	}
}

// find returns the command that the arguments begin with.
func find(arguments []string) (command, bool) {
	if len(arguments) == 0 {
		return command{}, false
	}
	for _, c := range commands() {
		if c.name == arguments[0] {
			return c, true
		}
	}
	return command{}, false
}

// listCommands is the part of the usage about them.
func listCommands(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		name := c.name
		if c.words != "" {
			name += " " + c.words
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", name, c.summary) // shown as a whole below
	}
	_ = table.Flush() // to a terminal, where nothing can be done about it
}
