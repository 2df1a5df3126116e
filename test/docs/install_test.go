package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestInstallTable: docs/install.md names each file that make install installs,
// or the directory that it is in, and nothing that is not installed.
func TestInstallTable(t *testing.T) {
	var named []string
	for _, p := range pages(t) {
		if p.Path != "docs/install.md" {
			continue
		}
		for _, table := range p.Tables {
			if !strings.HasPrefix(table[0], "| path |") {
				continue
			}
			for _, row := range table[2:] {
				first := strings.Split(row, "|")[1]
				for _, m := range regexp.MustCompile("`(/[^`]+)`").FindAllStringSubmatch(first, -1) {
					named = append(named, m[1])
				}
			}
		}
	}
	if len(named) < 10 {
		t.Fatalf("only %d paths in the table", len(named))
	}
	installed := installed(t)
	for _, path := range named {
		if !slices.ContainsFunc(installed, func(f string) bool { return f == path || strings.HasSuffix(path, "/") && strings.HasPrefix(f, path) }) {
			t.Errorf("%s is in the table and not installed", path)
		}
	}
	for _, f := range installed {
		if !slices.ContainsFunc(named, func(path string) bool { return f == path || strings.HasSuffix(path, "/") && strings.HasPrefix(f, path) }) {
			t.Errorf("%s is installed and not in the table", f)
		}
	}
}

// installed runs make install on a tree that is this one, but for binaries that
// nobody has to build, under a umask that would leave all of it to root alone, and lists
// the files. The daemon's user has to get at them.
func installed(t *testing.T) (files []string) {
	t.Helper()
	tree, dest := t.TempDir(), t.TempDir()
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(here)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if slices.Contains([]string{"bin", "dist", ".git"}, e.Name()) {
			continue
		}
		if err := os.Symlink(filepath.Join(here, e.Name()), filepath.Join(tree, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(tree, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"neutron-ndp-proxy-agent", "ndsend"} {
		if err := os.WriteFile(filepath.Join(tree, "bin", name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask 077; exec "$@"`, "sh", "make", "-C", tree, "--no-print-directory", "-o", "build", "install", "DESTDIR="+dest)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	err = filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || path != dest && info.Mode().Perm()&0o004 == 0 {
			t.Errorf("%s: not for everybody: %v, %v", path, info.Mode(), err)
		}
		if !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dest))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
