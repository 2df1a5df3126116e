package terminal

import (
	"errors"
	"io"
	"math"
	"strings"

	"golang.org/x/term"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

// Mode is the value of a flag --color; its zero value is auto.
type Mode string

// Usage of a flag of type Mode.
const Usage = "when to use colour: `auto`, always or never; auto is on a terminal, unless NO_COLOR is set"

const (
	auto   Mode = "auto"
	always Mode = "always"
	never  Mode = "never"
)

// Modes are the values of the flag.
func Modes() []Mode { return []Mode{auto, always, never} }

// String implements flag.Value.
func (m *Mode) String() string {
	if m == nil || *m == "" {
		return string(auto)
	}
	return string(*m)
}

// Set implements flag.Value.
func (m *Mode) Set(s string) error {
	switch v := Mode(s); v {
	case auto, always, never:
		*m = v
		return nil
	}
	return errors.New("it is auto, always or never")
}

// Screen is what is written to. The zero value is no terminal, and has no colour.
type Screen struct {
	// Terminal: somebody looks at it, or is meant to.
	Terminal bool
	// Colour: Paint does something.
	Colour bool
	// Width and Height are of the terminal, in cells; 0: not known, or no terminal.
	Width, Height int
}

// Of looks at where a command writes to. Width and height are those of this moment.
func Of(w io.Writer, mode Mode, lookupEnv func(string) (string, bool)) Screen {
	var s Screen
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		fd := int(f.Fd())
		s.Terminal = term.IsTerminal(fd)
		if width, height, err := term.GetSize(fd); s.Terminal && err == nil {
			s.Width, s.Height = width, height
		}
	}
	set := func(name string) string { v, _ := lookupEnv(name); return v }
	s.Colour = mode == always || mode != never && s.Terminal && set("NO_COLOR") == "" && set("TERM") != "dumb"
	return s
}

// Style is how a text looks, by what it means.
type Style string

// Styles: parameters of SGR (ECMA-48), the eight colours every terminal has.
const (
	Plain  Style = ""
	Good   Style = "32"
	Warn   Style = "33"
	Bad    Style = "31"
	Faint  Style = "2"
	Strong Style = "1"
)

// Paint returns the text in a style, and printable.
func (s Screen) Paint(style Style, text string) string {
	return s.sgr(style, plaintext.Line(text, math.MaxInt))
}

func (s Screen) sgr(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[m"
}

// Redraw returns what shows a text of lines in the place of the one before, from the
// top of the terminal on. What has no room below is left out. first: there is none
// before, so whatever is on the screen goes.
func (s Screen) Redraw(text string, first bool) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if s.Height > 1 && len(lines) > s.Height-1 { // the last one is the cursor's
		lines = append(lines[:s.Height-2], s.Paint(Faint, "(the screen ends here)"))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	if first {
		b.WriteString("\x1b[2J")
	}
	// Each line's rest is cleared, and not all before: that would flicker.
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}
