package terminal

import (
	"math"
	"strings"
	"unicode/utf8"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

// Cell of a table.
type Cell struct {
	Text  string
	Style Style
	// Right aligns it there: numbers.
	Right bool
}

// Text is a cell without a style.
func Text(s string) Cell { return Cell{Text: s} }

// Table is rows of cells, aligned. On a terminal the last column is wrapped where the
// line ends; where that would leave it too little it begins on the next line.
type Table struct {
	Head []string // none: no head
	rows [][]Cell
}

// Row adds a row. It may be shorter than others.
func (t *Table) Row(cells ...Cell) { t.rows = append(t.rows, cells) }

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

const (
	gap    = 2 // between columns
	indent = 4 // of what has no room behind
	// narrowest is how much room the last column must have, to be on the same line.
	narrowest = 24
)

// String returns the table for a screen.
func (t *Table) String(s Screen) string {
	rows := make([][]Cell, 0, len(t.rows)+1)
	if len(t.Head) > 0 {
		var head []Cell
		for i, text := range t.Head {
			right := len(t.rows) > 0 && i < len(t.rows[0]) && t.rows[0][i].Right
			head = append(head, Cell{text, Strong, right})
		}
		rows = append(rows, head)
	}
	for _, row := range t.rows {
		plainly := make([]Cell, len(row))
		for i, c := range row {
			plainly[i] = Cell{plaintext.Line(c.Text, math.MaxInt), c.Style, c.Right}
		}
		rows = append(rows, plainly)
	}
	widths := widthsOf(rows)
	var b strings.Builder
	for _, row := range rows {
		line(&b, s, row, widths)
	}
	return b.String()
}

func widthsOf(rows [][]Cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.Text))
		}
	}
	return widths
}

// line writes one row. Blanks at its end are not written.
func line(b *strings.Builder, s Screen, row []Cell, widths []int) {
	column, owed := 0, 0 // where the text ends, and the blanks that are to follow
	for i, c := range row {
		length, last := utf8.RuneCountInString(c.Text), i == len(widths)-1
		blanks := widths[i] - length
		if last {
			blanks = 0
		}
		if c.Right {
			owed, blanks = owed+blanks, 0
		}
		if c.Text != "" {
			if last && s.Width > 0 && column+owed+length > s.Width {
				wrapped(b, s, c, column, owed)
				return
			}
			b.WriteString(strings.Repeat(" ", owed) + s.sgr(c.Style, c.Text))
			column, owed = column+owed+length, 0
		}
		owed += blanks + gap
	}
	b.WriteByte('\n')
}

// wrapped writes the last cell in lines of its own width.
func wrapped(b *strings.Builder, s Screen, c Cell, column, owed int) {
	from := column + owed
	if s.Width-from < narrowest {
		b.WriteByte('\n')
		from, owed = min(indent, max(s.Width-1, 0)), min(indent, max(s.Width-1, 0))
	}
	for i, part := range wrap(c.Text, s.Width-from) {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", from))
		} else {
			b.WriteString(strings.Repeat(" ", owed))
		}
		b.WriteString(s.sgr(c.Style, part) + "\n")
	}
}

// wrap divides a text into lines of at most width runes, at blanks where there are any.
func wrap(text string, width int) []string {
	var lines []string
	rest := []rune(text)
	for width > 0 && len(rest) > width {
		cut := width
		for cut > 0 && rest[cut] != ' ' {
			cut--
		}
		if cut == 0 { // a word that is too long
			lines, rest = append(lines, string(rest[:width])), rest[width:]
			continue
		}
		lines, rest = append(lines, strings.TrimRight(string(rest[:cut]), " ")), rest[cut+1:]
	}
	return append(lines, string(rest))
}
