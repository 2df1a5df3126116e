package inifile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// File is one parsed file.
type File struct {
	Path     string
	Sections []Section // in the order of their headers; a name may be repeated
}

// Section is what stands between one header and the next.
type Section struct {
	Name    string // as written: oslo.config folds case later, and not for DEFAULT
	Line    int    // of the header, from 1
	Entries []Entry
}

// Entry is one assignment.
type Entry struct {
	Key   string
	Value string // without the outer quotes; "\n" between continued lines
	Line  int    // where the assignment starts, from 1
}

// SyntaxError is a line that oslo.config refuses. It never quotes the line,
// which may hold a password.
type SyntaxError struct {
	Path string
	Line int // from 1
	Text string
}

// Error implements error: path:line: text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Text)
}

// Parse reads data, which came from path. Path is used for messages only.
// Where oslo.config would stop at the first bad line, Parse goes on: the error
// joins one *SyntaxError for each, and the File holds everything that could be
// read.
func Parse(path string, data []byte) (*File, error) {
	p := parser{file: &File{Path: path}}
	for i, line := range lines(string(data)) {
		p.line(i+1, strings.TrimRightFunc(line, isSpace))
	}
	p.flush()
	return p.file, errors.Join(p.errs...)
}

type parser struct {
	file     *File
	pending  *Entry // the assignment that the next line may continue
	homeless bool   // a complaint about assignments before any header was made
	errs     []error
}

func (p *parser) line(n int, line string) {
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		if p.pending == nil {
			p.fail(n, "a line that starts with white space continues the line before, but there is no value to continue")
			return
		}
		p.pending.Value += "\n" + strings.TrimLeftFunc(line, isSpace)
		return
	}
	p.flush()
	switch {
	case line == "" || line[0] == '#' || line[0] == ';':
	case line[0] == '[':
		p.header(n, line)
	default:
		p.assignment(n, line)
	}
}

func (p *parser) header(n int, line string) {
	switch {
	case !strings.HasSuffix(line, "]"):
		p.fail(n, "a section must end with ], and nothing may follow it")
	case len(line) == 2:
		p.fail(n, "a section needs a name")
	default:
		p.file.Sections = append(p.file.Sections, Section{Name: line[1 : len(line)-1], Line: n})
	}
}

func (p *parser) assignment(n int, line string) {
	at := strings.IndexAny(line, "=:")
	if at < 0 {
		p.fail(n, "neither a section, nor a comment, nor an assignment: no = or : found")
		return
	}
	key := strings.TrimFunc(line[:at], isSpace)
	if key == "" {
		p.fail(n, "an assignment needs a name before the = or :")
		return
	}
	p.pending = &Entry{Key: key, Value: unquote(strings.TrimFunc(line[at+1:], isSpace)), Line: n}
}

// flush stores the pending assignment in the section it belongs to.
func (p *parser) flush() {
	e := p.pending
	p.pending = nil
	if e == nil {
		return
	}
	if len(p.file.Sections) == 0 {
		if !p.homeless { // one complaint is enough for a file without a header
			p.fail(e.Line, "an assignment before the first section; is [DEFAULT] missing?")
		}
		p.homeless = true
		return
	}
	s := &p.file.Sections[len(p.file.Sections)-1]
	s.Entries = append(s.Entries, *e)
}

func (p *parser) fail(n int, text string) {
	p.errs = append(p.errs, &SyntaxError{Path: p.file.Path, Line: n, Text: text})
}

// unquote removes one pair of equal quotes. A lone quote counts as both ends of
// an empty pair, as it does for oslo.config.
func unquote(v string) string {
	if v == "" || (v[0] != '"' && v[0] != '\'') || v[0] != v[len(v)-1] {
		return v
	}
	if len(v) == 1 {
		return ""
	}
	return v[1 : len(v)-1]
}

// lines splits like Python's universal newlines: \n, \r\n and a lone \r all end
// a line.
func lines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	return strings.Split(s, "\n")
}

// isSpace is Python's str.isspace: Unicode's white space plus the four
// information separators.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
}
