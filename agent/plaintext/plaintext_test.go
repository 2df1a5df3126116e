package plaintext_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "qrouter-1": "qrouter-1", "ä b": "ä b",
		"\x1b[2J": "?[2J", "a\nb\tc\x00\x7f": "a?b?c??", "\u009b\u202e": "??", "\xff": "?",
		"0123456789abc": "0123456...", "ööööööö": "ööö...",
	} {
		if got := plaintext.Line(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b]0;x\x07", 10)
	f.Add(strings.Repeat("ü", 10), 7)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < len("...") {
			return
		}
		got := plaintext.Line(s, most)
		if len(s) <= most && len(got) > len(s) || len(s) > most && len(got) > most || !utf8.ValidString(got) ||
			strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", got)
		}
	})
}
