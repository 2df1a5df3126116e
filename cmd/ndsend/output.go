package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"neutron-ndp-proxy-agent/ndsend"
)

// printer writes to the streams and remembers when nobody got it.
type printer struct {
	streams
	failed bool
}

func (p *printer) print(text string) {
	if _, err := io.WriteString(p.out, text); err != nil && !p.failed {
		p.failed = true
		p.complain(fmt.Errorf("standard output: %w", err))
	}
}

// line prints one line of words, whatever is in them.
func (p *printer) line(format string, args ...any) {
	p.print(plain(fmt.Sprintf(format, args...)) + "\n")
}

// object prints a JSON object, a line of ASCII control characters free.
func (p *printer) object(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		// Texts, numbers and truth values always can be.
		p.complain(err)
		p.failed = true
		return
	}
	p.print(escapeControls(text) + "\n")
}

// complain says what is wrong, in one line.
func (p *printer) complain(err error) {
	fmt.Fprintf(p.err, "ndsend: %s\n", plain(err.Error()))
}

// code is the exit code of a command that ends with one: what nobody could get
// is a system error.
func (p *printer) code(code int) int {
	if p.failed {
		return exitSystem
	}
	return code
}

// plain escapes what a terminal might obey or not show: names of interfaces and
// words of standard input may hold anything.
func plain(text string) string {
	if !strings.ContainsFunc(text, unprintable) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case unprintable(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// escapeControls escapes the controls that JSON lets pass, DEL to U+009F, and
// others that do not print; they can only be within a string.
func escapeControls(text []byte) string {
	if !bytes.ContainsFunc(text, unprintable) {
		return string(text)
	}
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}

// head is what each JSON object begins with.
type head struct {
	Action    string        `json:"action"` // announce, dry-run, verify
	Address   string        `json:"address"`
	Interface string        `json:"interface"`
	Netns     string        `json:"netns,omitempty"`
	OK        bool          `json:"ok"`
	Error     string        `json:"error,omitempty"`
	Reason    ndsend.Reason `json:"reason,omitempty"`
}

// head is that of an item, which failed if err is not nil.
func (j *job) head(action string, i item, err error) head {
	h := head{Action: action, Address: i.text, Interface: j.device, Netns: j.netns, OK: err == nil}
	if i.err == nil {
		h.Address = i.target.String()
	}
	if err != nil {
		h.Error, h.Reason = err.Error(), ndsend.ReasonOf(err)
	}
	return h
}

// flagNames are the flags as --flags takes them.
func flagNames(flags ndsend.Flags) []string {
	names := []string{}
	if !flags.NoOverride {
		names = append(names, "override")
	}
	if flags.Router {
		names = append(names, "router")
	}
	return names
}
