package config

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// GenerateReference writes docs/options.md: every option that is read, ours with
// all there is to say, Neutron's with what is made of them here.
func GenerateReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, o := range Options() {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n", o.Name, strings.Join(wrap(o.facts(), 80), "\n"))
		b.WriteString(strings.Join(wrap(markdown(o.Help), 80), "\n") + "\n")
		for i, c := range o.Choices {
			if i == 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "* `%s`: %s\n", c.Value, markdown(c.Help))
		}
	}
	b.WriteString(referenceOfNeutron)
	for _, r := range append(neutronRows(), rabbitRows()...) {
		fmt.Fprintf(&b, "| `[%s]` | `%s` | %s | %s |\n", r.Group, r.Name, code(r.Default), markdown(r.remark()))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the reference of the options: %w", err)
	}
	return nil
}

const referenceHead = "# Options\n\n" +
	"<!-- generated from agent/config; after a change: go generate ./agent/config -->\n\n" +
	"Every option that the daemon reads. Where the files are and what is worth a thought:\n" +
	"[configure.md](configure.md). The sample file has the same of our own options:\n" +
	"`neutron-ndp-proxy-agent --generate-config`.\n\n" +
	"## Our own: `[ndp_proxy]`\n"

const referenceOfNeutron = "\n## Neutron's, read from its own files\n\n" +
	"With Neutron's meaning and default, which Neutron's own documentation explains.\n" +
	"\"No effect\" are those that somebody may count on: they cause a warning when they\n" +
	"are set. Without `host` the machine's name counts.\n\n" +
	"| group | option | default | here |\n|---|---|---|---|\n"

// facts is the line under an option's name.
func (o Option) facts() string {
	words := []string{o.typeText()}
	if r := o.Range; r != nil {
		words = append(words, "from "+number(r.Min))
		if !math.IsInf(r.Max, 1) {
			words[len(words)-1] += " to " + number(r.Max)
		}
	}
	standing := code(o.Default)
	if standing == "" {
		standing = "empty"
	}
	words = append(words, "default "+standing)
	if o.Since != "" {
		words = append(words, "since "+o.Since)
	}
	return strings.Join(words, "; ") + "."
}

// remark is what there is to say of an option of Neutron's, "" for most.
func (r row) remark() string {
	var parts []string
	if r.unused != "" {
		parts = append(parts, "no effect: "+r.unused)
	}
	if len(r.aliases) > 0 {
		var old []string
		for _, a := range r.aliases {
			old = append(old, "`["+a.group+"] "+a.option+"`")
		}
		parts = append(parts, "also as "+strings.Join(old, ", ")+", with a warning")
	}
	return strings.Join(parts, "; ")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// markdown shows text as it is: outside of backquotes <device> is no element of
// HTML, * nothing to emphasize, and | ends no cell.
func markdown(text string) string {
	escape := strings.NewReplacer("<", "&lt;", ">", "&gt;", "|", "\\|", "*", "\\*")
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = escape.Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
