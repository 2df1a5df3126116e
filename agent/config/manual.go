package config

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// GenerateManual writes docs/man/ndp_proxy_agent.ini.5: the format of the file, and
// every option of [ndp_proxy], in roff's man macros.
func GenerateManual(w io.Writer) error {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, o := range Options() {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(o.Name), paragraphs(o.Help))
		if len(o.Choices) > 0 {
			b.WriteString(".RS\n")
			for _, c := range o.Choices {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Value), paragraphs(c.Help+"."))
			}
			b.WriteString(".RE\n.IP\n")
		}
		fmt.Fprintf(&b, ".br\n%s.\n", roff(o.manualFacts()))
	}
	b.WriteString(manualEnd)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the manual page of the configuration: %w", err)
	}
	return nil
}

const manualHead = `.\" Generated from agent/config; after a change: go generate ./agent/config
.TH NDP_PROXY_AGENT.INI 5 "" "neutron\-ndp\-proxy\-agent" "File formats"
.SH NAME
ndp_proxy_agent.ini \- configuration of neutron\-ndp\-proxy\-agent
.SH SYNOPSIS
.I /etc/neutron/ndp_proxy_agent.ini
.SH DESCRIPTION
The file is in oslo.config's format: groups in brackets, in them lines of
.IB option " = " value\fR,
and comments that begin with # or ;.
.PP
.BR neutron\-ndp\-proxy\-agent (8)
also reads Neutron's own
.I neutron.conf
and
.I l3_agent.ini
as they are.
Nothing in them has to be repeated here: broker, host, agent mode, report interval and
logging.
What is repeated here wins, for this daemon only.
.PP
It reads the files
.I *.conf
in
.I /etc/neutron/neutron\-ndp\-proxy\-agent.conf.d
after this one.
What is set there survives each upgrade of a package without a question.
.PP
A change takes effect at the next start, which costs no packet.
An option of the group
.B [ndp_proxy]
that does not exist, or a value that makes no sense, is an error that names the file and
the line, and the daemon does not start with it.
.PP
The file may hold the broker's password: it should be readable by root and the group
neutron only.
.SH THE GROUP [ndp_proxy]
`

const manualEnd = `.SH EXAMPLE
A host without Neutron:
.PP
.RS
.nf
[ndp_proxy]
source = file
source_file = /etc/neutron/ndp_proxy.yaml
.fi
.RE
.SH SEE ALSO
.BR neutron\-ndp\-proxy\-agent (8)
.PP
.I /usr/share/doc/neutron\-ndp\-proxy\-agent/docs/options.md
also names what is read of Neutron's options.
`

// manualFacts are type, range and default, in words.
func (o Option) manualFacts() string {
	kind := o.typeText()
	words := []string{strings.ToUpper(kind[:1]) + kind[1:]}
	if r := o.Range; r != nil {
		words = append(words, "from "+number(r.Min))
		if !math.IsInf(r.Max, 1) {
			words[len(words)-1] += " to " + number(r.Max)
		}
	}
	if o.Default == "" {
		return strings.Join(append(words, "empty by default"), "; ")
	}
	return strings.Join(append(words, "default "+o.Default), "; ")
}

// paragraphs is a help text as lines of a page.
func paragraphs(help string) string {
	var lines []string
	for _, l := range wrap(help, 80) {
		if l == "" {
			l = ".IP"
		} else {
			l = roff(l)
		}
		lines = append(lines, l)
	}
	return strings.Join(lines, "\n")
}

// roff shows text as it is: a hyphen is the one that can be typed, and nothing at the
// beginning of a line is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
