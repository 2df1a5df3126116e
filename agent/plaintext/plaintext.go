package plaintext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes a text fit for one line of a terminal, with ? for what is not printable,
// and cuts it to most bytes.
func Line(s string, most int) string {
	const cut = "..."
	if len(s) > most {
		n := most - len(cut)
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + cut
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}
