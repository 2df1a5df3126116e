package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Options stand before, between and after the words.
func TestWordsAndOptions(t *testing.T) {
	c := command{name: "try", words: "<address>", summary: "try it"}
	for _, tc := range []struct {
		arguments string
		words     string
		json      bool
		code      int
		says      string
	}{
		{"a", "a", false, exitOK, ""},
		{"--json a", "a", true, exitOK, ""},
		{"a --json", "a", true, exitOK, ""},
		{"a --json b", "a b", true, exitOK, ""},
		{"--json -- --json", "--json", true, exitOK, ""},
		{"a -- --json", "a --json", false, exitOK, ""},
		{"--json", "", true, exitUsage, "<address> is missing"},
		{"a b c", "", false, exitUsage, `unexpected argument "c"`},
		{"a --unknown", "", false, exitUsage, "flag provided but not defined: -unknown"},
		{"a -h", "", false, exitOK, "usage: neutron-ndp-proxy-agent try [options] <address>\ntry it\n"},
	} {
		var stderr bytes.Buffer
		l := newCommandLine(c, &stderr)
		asJSON := l.Bool("json", false, "as JSON")
		words, code, ok := l.parse(strings.Fields(tc.arguments), 1, 2)
		if ok && (!slices.Equal(words, strings.Fields(tc.words)) || *asJSON != tc.json) || code != tc.code ||
			ok != (tc.says == "") || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%q: words %q, json %v, code %d, ok %v, says %q", tc.arguments, words, *asJSON, code, ok, stderr.String())
		}
	}
}

// Each command shows its own usage, and the program's lists it.
func TestUsage(t *testing.T) {
	var all bytes.Buffer
	if code := run([]string{"-h"}, &bytes.Buffer{}, &all); code != exitOK {
		t.Errorf("-h: code %d", code)
	}
	for _, c := range commands() {
		var stdout, stderr bytes.Buffer
		if code := run([]string{c.name, "-h"}, &stdout, &stderr); code != exitOK || stdout.Len() > 0 ||
			!strings.HasPrefix(stderr.String(), "usage: neutron-ndp-proxy-agent "+c.name+" ") {
			t.Errorf("%s -h: code %d, %q, %q", c.name, code, stdout.String(), stderr.String())
		}
		if !strings.Contains(all.String(), c.summary) || strings.HasSuffix(c.summary, ".") {
			t.Errorf("%s: %q should be listed in\n%s", c.name, c.summary, all.String())
		}
	}
}
