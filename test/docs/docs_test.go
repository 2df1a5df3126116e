package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func pages(t *testing.T) []Page {
	t.Helper()
	all, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinks: each link to a place in the project leads there, the heading
// included, and each page is linked from another one.
func TestLinks(t *testing.T) {
	all := pages(t)
	anchors := map[string][]string{}
	for _, p := range all {
		anchors[p.Path] = p.Anchors
	}
	linked := map[string]bool{"README.md": true}
	n := 0
	for _, p := range all {
		for _, target := range p.Links {
			u, err := url.Parse(target)
			if err != nil {
				t.Errorf("%s: %v", p.Path, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			n++
			to := p.Path
			if u.Path != "" {
				to = path.Join(path.Dir(p.Path), u.Path)
			}
			if to != p.Path {
				linked[to] = true
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s links to %s: %v", p.Path, target, err)
			} else if u.Fragment != "" && !slices.Contains(anchors[to], u.Fragment) {
				t.Errorf("%s links to %s: there is no such heading", p.Path, target)
			}
		}
	}
	for _, p := range all {
		if path.Dir(p.Path) == "docs/decisions" {
			continue // a list of a directory
		}
		if !linked[p.Path] {
			t.Errorf("no other page links to %s", p.Path)
		}
	}
	if n < 100 {
		t.Errorf("only %d links were found", n)
	}
}

// options are those of docs/options.md, which is generated from the table:
// ours, and Neutron's that are read.
func options(t *testing.T, all []Page) (ours, theirs []string) {
	t.Helper()
	for _, p := range all {
		if p.Path != "docs/options.md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, "docs", "options.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)^### `([a-z_]+)`$").FindAllStringSubmatch(string(text), -1) {
			ours = append(ours, m[1])
		}
		for _, m := range regexp.MustCompile("(?m)^\\| `\\[[A-Za-z_]+\\]` \\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
			theirs = append(theirs, m[1])
		}
	}
	if len(ours) < 20 || len(theirs) < 40 {
		t.Fatalf("only %d and %d options in docs/options.md", len(ours), len(theirs))
	}
	return ours, theirs
}

// notOurs are options of other programs that the pages speak of.
var notOurs = []string{"service_plugins"} // neutron-server's

// TestOptions: what the pages set are options that there are, and what they set in
// [ndp_proxy] are ours.
func TestOptions(t *testing.T) {
	all := pages(t)
	ours, theirs := options(t, all)
	known := slices.Concat(ours, theirs, notOurs)
	setting := regexp.MustCompile(`^([a-z]+(?:_[a-z]+)*) = [^=]*$`)
	section := regexp.MustCompile(`^\[([A-Za-z_]+)\]$`)
	n := 0
	check := func(p Page, line string, among []string) {
		if m := setting.FindStringSubmatch(line); m != nil {
			n++
			if !slices.Contains(among, m[1]) {
				t.Errorf("%s: %q: there is no option of that name", p.Path, line)
			}
		}
	}
	for _, p := range all {
		for _, line := range p.Spans {
			if strings.Contains(line, "_") { // as each has that is not of one word
				check(p, line, known)
			}
		}
		for _, block := range p.Blocks {
			group := ""
			for line := range strings.Lines(block) {
				line = strings.TrimSpace(line)
				if m := section.FindStringSubmatch(line); m != nil {
					group = m[1]
					continue
				}
				switch group {
				case "ndp_proxy":
					check(p, line, ours)
				case "DEFAULT", "agent", "oslo_messaging_rabbit":
					check(p, line, known)
				}
			}
		}
		if p.Path == "docs/configure.md" {
			for _, name := range bullets(t, p) {
				n++
				if !slices.Contains(ours, name) {
					t.Errorf("%s explains %s: there is no option of that name", p.Path, name)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d settings were found", n)
	}
}

// bullets are the options that the list of a page explains: "* `a`, `b`: ...".
func bullets(t *testing.T, p Page) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.Path)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\* (`[a-z_]+`(?:, `[a-z_]+`)*):").FindAllStringSubmatch(string(text), -1) {
		names = append(names, strings.Split(strings.ReplaceAll(m[1], "`", ""), ", ")...)
	}
	return names
}

// TestTargets: make knows each target that the pages name.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9 -]+):(?:[^=]|$)`).FindAllStringSubmatch(string(makefile), -1) {
		for _, name := range strings.Fields(m[1]) {
			known[name] = true
		}
	}
	call := regexp.MustCompile(`(?:^|\s)make ((?:[A-Z]+=\S+ )*)([a-z0-9-]+)`)
	n := 0
	for _, p := range pages(t) {
		for _, line := range p.Code() {
			line, _, _ = strings.Cut(line, " # ")
			for _, m := range call.FindAllStringSubmatch(line, -1) {
				n++
				if !known[m[2]] {
					t.Errorf("%s: %q: no such target", p.Path, line)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d calls of make were found", n)
	}
}
