package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMessage bounds what is said of one mistake, which may quote a whole file
// that was pasted into a value.
const maxMessage = 2048

// printable makes a message fit for a terminal: what is in a file may be
// anything, and control characters would be obeyed.
func printable(s string) string {
	if len(s) > maxMessage {
		n := maxMessage
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
