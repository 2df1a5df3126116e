package terminal_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

func table() *terminal.Table {
	t := &terminal.Table{Head: []string{"NAME", "N", "STATE", "WHAT"}}
	n := func(s string) terminal.Cell { return terminal.Cell{Text: s, Right: true} }
	t.Row(terminal.Text("gäste"), n("7"), terminal.Cell{Text: "ok", Style: terminal.Good})
	t.Row(terminal.Text("b\x1b[2J"), n("1200"), terminal.Cell{Text: "failed", Style: terminal.Bad}, terminal.Text("the kernel says no, and it says so at length"))
	return t
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		screen terminal.Screen
		want   string
	}{
		{"no terminal", terminal.Screen{}, `NAME      N  STATE   WHAT
gäste     7  ok
b?[2J  1200  failed  the kernel says no, and it says so at length
`},
		{"wide", terminal.Screen{Terminal: true, Width: 200}, `NAME      N  STATE   WHAT
gäste     7  ok
b?[2J  1200  failed  the kernel says no, and it says so at length
`},
		{"narrow", terminal.Screen{Terminal: true, Width: 48}, `NAME      N  STATE   WHAT
gäste     7  ok
b?[2J  1200  failed  the kernel says no, and it
                     says so at length
`},
		{"narrower", terminal.Screen{Terminal: true, Width: 30}, `NAME      N  STATE   WHAT
gäste     7  ok
b?[2J  1200  failed
    the kernel says no, and it
    says so at length
`},
		{"colour", terminal.Screen{Terminal: true, Colour: true}, "\x1b[1mNAME\x1b[m      \x1b[1mN\x1b[m  \x1b[1mSTATE\x1b[m   \x1b[1mWHAT\x1b[m\n" +
			"gäste     7  \x1b[32mok\x1b[m\nb?[2J  1200  \x1b[31mfailed\x1b[m  the kernel says no, and it says so at length\n"},
	} {
		if diff := cmp.Diff(c.want, table().String(c.screen)); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
	}
}

// FuzzTable: whatever is in it, each line is printable, none is longer than the
// screen beyond what the columns before the last need, and no letter of the last
// column is lost.
func FuzzTable(f *testing.F) {
	f.Add("a", "b c d", 10)
	f.Add("\x1b[2J", strings.Repeat("word ", 50), 80)
	f.Add("", strings.Repeat("x", 50), 1)
	f.Fuzz(func(t *testing.T, first, last string, width int) {
		var table terminal.Table
		table.Row(terminal.Text(first), terminal.Text(last))
		width = max(0, min(width, 1000))
		got := table.String(terminal.Screen{Terminal: true, Width: width})
		for l := range strings.Lines(got) {
			l = strings.TrimSuffix(l, "\n")
			if !utf8.ValidString(l) || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q", l)
			}
			if n := utf8.RuneCountInString(l); width > 0 && n > max(width, utf8.RuneCountInString(first)) {
				t.Fatalf("%d columns of %d: %q", n, width, l)
			}
		}
		var one terminal.Table
		one.Row(terminal.Text(first), terminal.Text(last))
		if a, b := letters(got), letters(one.String(terminal.Screen{})); a != b {
			t.Fatalf("%q, want %q", a, b)
		}
	})
}

func letters(s string) string { return strings.Join(strings.Fields(s), "") }
