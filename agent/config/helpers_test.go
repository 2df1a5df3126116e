package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// write makes a file in dir and returns its path.
func write(t *testing.T, dir, file, text string) string {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const minimal = "[DEFAULT]\ntransport_url = rabbit://u:p@broker/\n"

// loadText loads one file with the text behind a minimal neutron.conf. Paths in
// what comes back are relative to the directory of the files.
func loadText(t *testing.T, text string) (*Config, []string, string) {
	t.Helper()
	dir := t.TempDir()
	return load(t, dir, Args{Sources: []Source{
		File(write(t, dir, "neutron.conf", minimal)),
		File(write(t, dir, "ndp.ini", text)),
	}})
}

func load(t *testing.T, dir string, a Args) (c *Config, warnings []string, failure string) {
	t.Helper()
	if a.Defaults == nil {
		a.Defaults = []Source{}
	}
	if a.Hostname == nil {
		a.Hostname = func() (string, error) { return "node1", nil }
	}
	c, ws, err := Load(a)
	short := func(s string) string { return strings.ReplaceAll(s, dir+"/", "") }
	for _, w := range ws {
		warnings = append(warnings, short(w.String()))
	}
	if err != nil {
		failure = short(err.Error())
	}
	if (c == nil) != (err != nil) {
		t.Fatalf("Load returned config %v and error %v", c, err)
	}
	return c, warnings, failure
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // committed to the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // a constant of the test
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got (go test -update rewrites it)\n%s", path, diff)
	}
}

var errNoName = errors.New("no name today")
