package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLogLines: what docs/troubleshoot.md says that the log or status says is in the
// program's code, so nobody looks for a line that has been renamed.
func TestLogLines(t *testing.T) {
	var code strings.Builder
	for _, dir := range []string{"agent", "cmd", "dataplane", "ndsend", "rpc"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, p := range pages(t) {
		if p.Path != "docs/troubleshoot.md" {
			continue
		}
		for _, table := range p.Tables {
			head := strings.TrimSpace(strings.Split(table[0], "|")[1])
			for _, row := range table[2:] {
				first := strings.TrimSpace(strings.Split(row, "|")[1])
				var words []string
				switch head {
				case "line":
					words = []string{strings.Trim(first, "`")}
				case "reason":
					words = regexp.MustCompile(`\.\.\.|;`).Split(first, -1)
				case "state of a namespace":
					_, what, _ := strings.Cut(first, ": ")
					words = regexp.MustCompile(`\.\.\.|, `).Split(what, -1)
				}
				for _, w := range words {
					w = strings.TrimSpace(w)
					w = strings.TrimPrefix(w, "device ") // "device " + name + " does not exist"
					if w = strings.TrimPrefix(w, "Neutron: "); len(w) < 4 {
						continue
					}
					n++
					if !strings.Contains(code.String(), w) {
						t.Errorf("%s: %q: no such words in the code", p.Path, w)
					}
				}
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d lines were found", n)
	}
}
