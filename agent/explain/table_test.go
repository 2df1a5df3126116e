package explain_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/explain"
)

var update = flag.Bool("update", false, "write the table of docs/explain.md")

const (
	page     = "../../docs/explain.md"
	tableTop = "<!-- table: written by go test ./agent/explain -run TestBreakages -update -->\n"
	tableEnd = "<!-- end of table -->\n"
)

// row is one breakage and what was said of it.
type row struct{ what, link, facts, do string }

var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func newRow(what string, a explain.Answer) row {
	r := row{what: what, link: a.Broken, do: a.Do}
	for _, l := range a.Links {
		if l.Name == a.Broken {
			r.facts = l.Facts
		}
	}
	for _, text := range []*string{&r.facts, &r.do} {
		*text = times.ReplaceAllString(*text, "(time)")
		*text = regexp.MustCompile(`/tmp/\S*/control.sock`).ReplaceAllString(*text, "/run/neutron-ndp-proxy-agent/control.sock")
	}
	return r
}

func (r row) has(facts, do string) bool {
	return strings.Contains(r.facts, facts) && strings.Contains(r.do, do)
}

// compareTable compares the table in the documents with what was said, or writes it.
func compareTable(t *testing.T, rows []row) {
	t.Helper()
	if t.Failed() {
		return
	}
	var b strings.Builder
	b.WriteString("| what was broken | link | what explain says | to do |\n|---|---|---|---|\n")
	for _, r := range rows {
		cell := func(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(s) }
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(r.what), r.link, cell(r.facts), cell(r.do))
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	top, rest, ok := bytes.Cut(have, []byte(tableTop))
	_, end, closed := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", page)
	}
	want := append(append(append(bytes.Clone(top), tableTop...), b.String()...), append([]byte(tableEnd), end...)...)
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s does not say what is said now: go test ./agent/explain -run TestBreakages -update\n%s", page, cmp.Diff(string(have), string(want)))
	}
}
