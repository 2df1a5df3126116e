package amqp

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzClean: what is cleaned is printable and short, and what was fine is as it was.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[2J", "\u009b", "\u202e", "\xff\xfe", strings.Repeat("é", 300), strings.Repeat("\x00", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := Clean(s)
		if !utf8.ValidString(c) || strings.ContainsFunc(c, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q became %q", s, c)
		}
		// Six bytes for one of a control character's, and the dots.
		if len(c) > 6*maxText+3 {
			t.Fatalf("%d bytes became %d", len(s), len(c))
		}
		fine := len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
		if fine && c != s {
			t.Fatalf("%q became %q", s, c)
		}
	})
}
