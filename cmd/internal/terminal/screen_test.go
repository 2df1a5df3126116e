package terminal_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"

	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
}

// modeOf is what a flag makes of an argument.
func modeOf(t *testing.T, arguments ...string) terminal.Mode {
	t.Helper()
	var m terminal.Mode
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.Var(&m, "color", terminal.Usage)
	if err := f.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return m
}

// When there is colour: on a terminal, and never against the operator's word.
func TestColour(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer tty.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 30, Cols: 90}); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name   string
		w      io.Writer
		flags  []string
		env    []string
		colour bool
	}{
		{"a terminal", tty, nil, []string{"TERM=xterm"}, true},
		{"a terminal, auto", tty, []string{"--color=auto"}, nil, true},
		{"a terminal, NO_COLOR", tty, nil, []string{"NO_COLOR=1"}, false},
		{"a terminal, an empty NO_COLOR", tty, nil, []string{"NO_COLOR="}, true},
		{"a terminal, dumb", tty, nil, []string{"TERM=dumb"}, false},
		{"a terminal, never", tty, []string{"--color=never"}, nil, false},
		{"a terminal, always beats NO_COLOR", tty, []string{"--color", "always"}, []string{"NO_COLOR=1"}, true},
		{"a file", file, nil, nil, false},
		{"a file, always", file, []string{"--color=always"}, nil, true},
		{"memory", &bytes.Buffer{}, nil, nil, false},
	} {
		s := terminal.Of(c.w, modeOf(t, c.flags...), environment(c.env...))
		if s.Colour != c.colour {
			t.Errorf("%s: colour %v", c.name, s.Colour)
		}
		if onTTY := c.w == io.Writer(tty); s.Terminal != onTTY || onTTY && (s.Width != 90 || s.Height != 30) || !onTTY && s.Width != 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
	var m terminal.Mode
	if err := m.Set("blue"); err == nil || m.String() != "auto" {
		t.Errorf("%v, %s", err, m.String())
	}
}

func TestPaint(t *testing.T) {
	with, without := terminal.Screen{Colour: true}, terminal.Screen{}
	for _, c := range []struct{ got, want string }{
		{with.Paint(terminal.Bad, "no"), "\x1b[31mno\x1b[m"},
		{with.Paint(terminal.Bad, ""), ""},
		{with.Paint(terminal.Plain, "x"), "x"},
		{without.Paint(terminal.Bad, "no"), "no"},
		{with.Paint(terminal.Good, "a\x1b[2Jb\n"), "\x1b[32ma?[2Jb?\x1b[m"},
		{without.Paint(terminal.Good, "a\x1bb"), "a?b"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestRedraw(t *testing.T) {
	s := terminal.Screen{Terminal: true, Height: 4}
	for _, c := range []struct{ got, want string }{
		{s.Redraw("a\nb\n", true), "\x1b[H\x1b[2Ja\x1b[K\nb\x1b[K\n\x1b[J"},
		{s.Redraw("a\nb\nc\n", false), "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J"},
		{s.Redraw("a\nb\nc\nd\n", false), "\x1b[Ha\x1b[K\nb\x1b[K\n(the screen ends here)\x1b[K\n\x1b[J"},
		{terminal.Screen{}.Redraw("a\nb\nc\nd\n", false), "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\nd\x1b[K\n\x1b[J"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
