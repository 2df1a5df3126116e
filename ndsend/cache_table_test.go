package ndsend

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table in docs/announcements.md anew")

const (
	tablePage  = "../docs/announcements.md"
	tableBegin = "<!-- measured by TestNeighbourCacheTable; make announcements writes it anew -->\n"
	tableEnd   = "<!-- end of what is measured -->\n"
)

// What one advertisement does to the neighbour cache of a Linux router is what
// the page for operators says, from every state and with every switch. The page
// itself shows why the flags are as they are: without Override a router keeps to
// the old place.
func TestNeighbourCacheTable(t *testing.T) {
	needUntracked(t)
	got := cacheTable(measureCaches(t))
	raw, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(raw), tableBegin)
	want, tail, closed := strings.Cut(rest, tableEnd)
	if !found || !closed {
		t.Fatalf("%s: no place for the table", tablePage)
	}
	if *update {
		if err := os.WriteFile(tablePage, []byte(head+tableBegin+got+tableEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the neighbour cache does something else than %s says (-want +got):\n%s", tablePage, diff)
	}
}

// cacheTable is the cells in Markdown. Set-ups of the receiver with the same
// outcome share a row.
func cacheTable(cells map[cell]string) string {
	var b strings.Builder
	row := func(fields ...string) { b.WriteString("| " + strings.Join(fields, " | ") + " |\n") }
	head := []string{"entry before", "`accept_untracked_na`", "`drop_unsolicited_na`"}
	for _, m := range cacheMessages {
		head = append(head, m.column)
	}
	row(head...)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for drop := range 2 {
		for _, state := range cacheStates {
			for _, group := range alike(cells, state.name, drop) {
				before := state.name
				if state.marked {
					before = "old MAC, " + before
				}
				fields := []string{before, strings.Join(group.untracked, ", "), strconv.Itoa(drop)}
				row(append(fields, group.outcome...)...)
			}
		}
	}
	return b.String()
}

// group is values of accept_untracked_na that make no difference.
type group struct {
	untracked []string
	outcome   []string // a text for each message
}

func alike(cells map[cell]string, state string, drop int) (groups []group) {
	for _, on := range receivers() {
		if on.drop != drop {
			continue
		}
		g := group{untracked: []string{strconv.Itoa(on.untracked)}}
		for _, m := range cacheMessages {
			g.outcome = append(g.outcome, cells[cell{state, on, m.column}])
		}
		if last := len(groups) - 1; last >= 0 && cmp.Equal(groups[last].outcome, g.outcome) {
			groups[last].untracked = append(groups[last].untracked, g.untracked...)
			continue
		}
		groups = append(groups, g)
	}
	return groups
}
