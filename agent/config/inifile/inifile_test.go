package inifile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// dump is a text form of what was read: sections, line numbers and quoted values.
func dump(f *File, err error) string {
	var b strings.Builder
	for _, s := range f.Sections {
		fmt.Fprintf(&b, "%d [%s]\n", s.Line, s.Name)
		for _, e := range s.Entries {
			fmt.Fprintf(&b, "%d   %s = %q\n", e.Line, e.Key, e.Value)
		}
	}
	if err != nil {
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"spacing", "[a]\nx=1\ny =  2 \nz: 3\n", "1 [a]\n2   x = \"1\"\n3   y = \"2\"\n4   z = \"3\"\n"},
		{"the first separator counts", "[a]\nx : 1=2\ny=1:2\n", "1 [a]\n2   x = \"1=2\"\n3   y = \"1:2\"\n"},
		{"no value", "[a]\nx =\ny:\n", "1 [a]\n2   x = \"\"\n3   y = \"\"\n"},
		{"comments only at the start of a line", "[a]\n#x = 1\n;y = 2\nz = 3 # no ; comment\n", "1 [a]\n4   z = \"3 # no ; comment\"\n"},
		{"quotes", "[a]\na = \"x\"\nb = 'x'\nc = \"x'\nd = \"x\" y\ne = \"\nf = \"\"\"\ng = \" x \"\n",
			"1 [a]\n2   a = \"x\"\n3   b = \"x\"\n4   c = \"\\\"x'\"\n5   d = \"\\\"x\\\" y\"\n6   e = \"\"\n7   f = \"\\\"\"\n8   g = \" x \"\n"},
		{"continuation", "[a]\nx = 1\n  2\n\t# 3\n\ny =\n  \"q\"\n", "1 [a]\n2   x = \"1\\n2\\n# 3\"\n6   y = \"\\n\\\"q\\\"\"\n"},
		{"quotes are looked at in the first line only", "[a]\nx = \"1\n  2\"\n", "1 [a]\n2   x = \"\\\"1\\n2\\\"\"\n"},
		{"a line of blanks is a blank line", "[a]\nx = 1\n \t \n 2\n",
			"1 [a]\n2   x = \"1\"\nf:4: a line that starts with white space continues the line before, but there is no value to continue\n"},
		{"nothing continues a comment", "[a]\nx = 1\n# c\n 2\n",
			"1 [a]\n2   x = \"1\"\nf:4: a line that starts with white space continues the line before, but there is no value to continue\n"},
		{"nothing continues a section", "[a]\n 2\n",
			"1 [a]\nf:2: a line that starts with white space continues the line before, but there is no value to continue\n"},
		{"repeated sections and keys are kept", "[a]\nx=1\nx=2\n[b]\n[a]\nx=3\n",
			"1 [a]\n2   x = \"1\"\n3   x = \"2\"\n4 [b]\n5 [a]\n6   x = \"3\"\n"},
		{"names as written", "[ Foo ]\nA-b = 1\n", "1 [ Foo ]\n2   A-b = \"1\"\n"},
		{"line ends of all kinds", "[a]\r\nx = 1\r\ny = 2\rz = 3", "1 [a]\n2   x = \"1\"\n3   y = \"2\"\n4   z = \"3\"\n"},
		{"a form feed ends no line", "[a]\nx = 1\x0cy = 2\n\x0bz=3\n", "1 [a]\n2   x = \"1\\fy = 2\"\n3   z = \"3\"\n"},
		{"no-break spaces are space", "[a]\n\u00a0x =\u00a0 1\u00a0\n\u00a0\n", "1 [a]\n2   x = \"1\"\n"},
		{"every bad line is reported, good ones are read", "[a\n[]\n[b]\nfoo\n=1\nx = 1\n", "3 [b]\n6   x = \"1\"\n" +
			"f:1: a section must end with ], and nothing may follow it\nf:2: a section needs a name\n" +
			"f:4: neither a section, nor a comment, nor an assignment: no = or : found\nf:5: an assignment needs a name before the = or :\n"},
		{"a comment after a section", "[a] # x\n", "f:1: a section must end with ], and nothing may follow it\n"},
		{"assignments without a section are one mistake", "x = 1\ny = 2\n",
			"f:1: an assignment before the first section; is [DEFAULT] missing?\n"},
		{"percent and dollar mean nothing here", "[a]\nx = %(y)s $z\n", "1 [a]\n2   x = \"%(y)s $z\"\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, dump(Parse("f", []byte(tc.in)))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestGolden reads a file that looks like what operators have.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/neutron.conf")
	if err != nil {
		t.Fatal(err)
	}
	got := dump(Parse("neutron.conf", data))
	golden := filepath.Join("testdata", "neutron.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestErrorsNeverQuoteTheFile(t *testing.T) {
	const secret = "hunter2hunter2"
	_, err := Parse("f", []byte("["+secret+"\n"+secret+"\n="+secret+"\n "+secret+"\n"+secret+"=1\n"))
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 1 {
		t.Fatalf("error = %v, want a SyntaxError in line 1", err)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 5 {
		t.Errorf("%d errors, want 5: %v", n, err)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error quotes the file: %v", err)
	}
}

// FuzzParse checks what must hold for any bytes: no panic, lines that rise and
// exist, keys and values without outer space, one error a line at most, and
// that writing down what was read and reading it again gives the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"[DEFAULT]\ntransport_url = rabbit://u:p@h/\n", "[a]\nx = 1\n  2\n\n[a]\ny: \"q\"\n", "x=1\n[\n =", "[a]\r\n\x1cx\u2028=\u0085\r y\r",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f", data)
		last := 0
		rise := func(n int) {
			if n <= last || n > len(data)+1 {
				t.Fatalf("line %d after %d", n, last)
			}
			last = n
		}
		var again strings.Builder
		for _, s := range file.Sections {
			rise(s.Line)
			fmt.Fprintf(&again, "[%s]\n", s.Name)
			for _, e := range s.Entries {
				rise(e.Line)
				if e.Key == "" || strings.TrimFunc(e.Key, isSpace) != e.Key || strings.ContainsAny(e.Key, "=:\n") {
					t.Fatalf("key %q", e.Key)
				}
				first, more, _ := strings.Cut(e.Value, "\n")
				// The vertical tab is trimmed, and lets a key begin with # or [.
				fmt.Fprintf(&again, "\v%s = \"%s\"\n", e.Key, first)
				if more != "" || strings.HasSuffix(e.Value, "\n") {
					fmt.Fprintf(&again, "  %s\n", strings.ReplaceAll(more, "\n", "\n  "))
				}
			}
		}
		if err != nil {
			return
		}
		reread, err := Parse("f", []byte(again.String()))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, again.String())
		}
		strip := func(f *File) *File {
			for i := range f.Sections {
				f.Sections[i].Line = 0
				for j := range f.Sections[i].Entries {
					f.Sections[i].Entries[j].Line = 0
				}
			}
			return f
		}
		if diff := cmp.Diff(strip(file), strip(reread)); diff != "" {
			t.Fatalf("-first +second reading\n%s", diff)
		}
	})
}
