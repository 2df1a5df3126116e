package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/test/docs"
)

// TestDocumentedCommands: each command, and each of its options, that the pages
// name is one that the program has; and each that it has is in a page.
func TestDocumentedCommands(t *testing.T) {
	pages, err := docs.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	usage := func(arguments ...string) string {
		var out bytes.Buffer
		if code := run(append(arguments, "--help"), &out, &out); code != exitOK {
			t.Errorf("%v --help: exit code %d: %s", arguments, code, &out)
		}
		return out.String()
	}
	daemon := usage()
	commandsOf := map[string]string{}
	for _, c := range commands() {
		commandsOf[c.name] = usage(c.name)
	}
	// at the beginning of a line or after a path or prompt, so not in the name of a file
	call := regexp.MustCompile(`(?:^|[\s/])neutron-ndp-proxy-agent(?: ([a-z-][^|#;&)]*))?`)
	flag := regexp.MustCompile(`^--?([a-z][a-z-]*)`)
	command := regexp.MustCompile(`^[a-z][a-z-]*$`)
	named := map[string]bool{}
	for _, p := range pages {
		for _, line := range p.Code() {
			if regexp.MustCompile(`^(systemctl|journalctl|apt|dpkg|rpm|make|cd|\./)`).MatchString(line) || strings.HasPrefix(line, "/") && !strings.HasPrefix(line, "/usr/bin/") {
				continue // there it is the unit, a package or part of a path
			}
			for _, m := range call.FindAllStringSubmatch(line, -1) {
				words := strings.Fields(m[1])
				help := daemon
				if len(words) > 0 && command.MatchString(words[0]) {
					if help = commandsOf[words[0]]; help == "" {
						t.Errorf("%s: %q: no such command", p.Path, line)
						continue
					}
					named[words[0]] = true
				}
				for _, word := range words {
					if f := flag.FindStringSubmatch(word); f != nil && !regexp.MustCompile(`(?m)^\s*--?`+f[1]+`\b`).MatchString(help) {
						t.Errorf("%s: %q: no option --%s", p.Path, line, f[1])
					}
				}
			}
		}
	}
	for name := range commandsOf {
		if !named[name] {
			t.Errorf("no page has the command %s", name)
		}
	}
}

// TestSynopsis: the manual's synopsis has a line for the daemon and for each command,
// with the options that there are.
func TestSynopsis(t *testing.T) {
	page, err := os.ReadFile("../../docs/man/neutron-ndp-proxy-agent.8")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), ".SH SYNOPSIS\n")
	synopsis, _, _ := strings.Cut(strings.ReplaceAll(rest, `\-`, "-"), ".SH ")
	of := map[string][]string{}
	option := regexp.MustCompile(`--([a-z][a-z-]*)`)
	for entry := range strings.SplitSeq(synopsis, ".br\n") {
		first, _, _ := strings.Cut(entry, "\n")
		name := strings.TrimSpace(strings.TrimPrefix(first, ".B neutron-ndp-proxy-agent"))
		if strings.HasPrefix(name, "--") {
			name = "" // the daemon's, on a line of its own
		}
		for _, m := range option.FindAllStringSubmatch(entry, -1) {
			of[name] = append(of[name], m[1])
		}
	}
	has := func(arguments ...string) (options []string) {
		var out bytes.Buffer
		run(append(arguments, "--help"), &out, &out)
		for _, m := range regexp.MustCompile(`(?m)^  -([a-z][a-z-]*)`).FindAllStringSubmatch(out.String(), -1) {
			options = append(options, m[1])
		}
		return options
	}
	want := map[string][]string{"": has()}
	for _, c := range commands() {
		want[c.name] = has(c.name)
	}
	for name, options := range want {
		slices.Sort(of[name])
		if slices.Sort(options); len(options) < 3 || !slices.Equal(of[name], options) {
			t.Errorf("%q: the manual has %v, the program %v", name, of[name], options)
		}
		delete(of, name)
	}
	for name := range of {
		t.Errorf("%q: no such command", name)
	}
}
