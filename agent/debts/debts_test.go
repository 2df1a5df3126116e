package debts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// book is what is owed, by namespace.
type book map[string]bool

func (b book) owing(ns string) bool { return b[ns] }

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMarkers(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(m *Markers, owed book)
		want  []string
	}{
		{"owed", func(m *Markers, owed book) {
			m.Begin("a")
			m.Mark("a")
			owed["a"] = true
			m.End("a")
		}, []string{"a"}},
		{"a look that owes nothing in the end", func(m *Markers, _ book) {
			m.Begin("a")
			m.Mark("a")
			m.End("a")
		}, nil},
		{"killed in a look", func(m *Markers, _ book) {
			m.Begin("a")
			m.Mark("a")
		}, []string{"a"}},
		{"settled", func(m *Markers, owed book) {
			m.Begin("a")
			m.Mark("a")
			m.Mark("a")
			owed["a"] = true
			m.End("a")
			owed["a"] = false
			m.Settled("a")
			m.Settled("a")
		}, nil},
		{"an earlier debt is settled during a look", func(m *Markers, _ book) {
			m.Begin("a")
			m.Mark("a")
			m.Settled("a")
		}, []string{"a"}},
		{"settled too early", func(m *Markers, owed book) {
			m.Begin("a")
			m.Mark("a")
			owed["a"] = true
			m.End("a")
			m.Settled("a")
			m.Settled("b")
		}, []string{"a"}},
		{"each for itself", func(m *Markers, owed book) {
			for _, ns := range []string{"a", "b"} {
				m.Begin(ns)
				m.Mark(ns)
				owed[ns] = true
				m.End(ns)
			}
			owed["a"] = false
			m.Settled("a")
		}, []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run", "owed")
			owed := book{}
			m := Open(Options{Dir: dir, Owing: owed.owing, Log: zap.NewNop()})
			c.steps(m, owed)
			if diff := cmp.Diff(c.want, files(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			next := Open(Options{Dir: dir, Owing: owed.owing, Log: zap.NewNop()}).Marked()
			slices.Sort(next)
			if diff := cmp.Diff(c.want, append([]string(nil), next...)); diff != "" {
				t.Errorf("the next process finds (-want +got):\n%s", diff)
			}
		})
	}
}

// Where the directory can't be used the operator hears of it once, and
// everything else goes on.
func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	m := Open(Options{Dir: filepath.Join(file, "owed"), Owing: book{}.owing, Log: zap.New(core)})
	for _, ns := range []string{"a", "b"} {
		m.Begin(ns)
		m.Mark(ns)
		m.End(ns)
	}
	if got := m.Marked(); len(got) != 0 {
		t.Errorf("marked %v", got)
	}
	if logs.Len() != 1 {
		t.Errorf("said %d times, want once: %v", logs.Len(), logs.All())
	}
}

// Without a directory nothing is written anywhere.
func TestNoDirectory(t *testing.T) {
	m := Open(Options{Owing: book{}.owing, Log: zap.NewNop()})
	m.Begin("a")
	m.Mark("a")
	m.End("a")
	if got := m.Marked(); len(got) != 0 {
		t.Errorf("marked %v", got)
	}
}

// When there is a directory again, or somebody removed it, it is used again; each
// trouble is said once.
func TestDirectoryComesBack(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "run")
	put := func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put()
	core, logs := observer.New(zap.InfoLevel)
	dir := filepath.Join(file, "owed")
	owed := book{}
	m := Open(Options{Dir: dir, Owing: owed.owing, Log: zap.New(core)})
	mark := func(ns string) {
		m.Begin(ns)
		m.Mark(ns)
		owed[ns] = true
		m.End(ns)
	}
	for round := range 2 {
		mark("a")
		mark("b")
		if got := logs.TakeAll(); len(got) != 1 || got[0].Level != zap.WarnLevel {
			t.Errorf("round %d: said %v", round, got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		mark("c")
		mark("d")
		if got := logs.TakeAll(); len(got) != 1 || got[0].Level != zap.InfoLevel {
			t.Errorf("round %d: said %v", round, got)
		}
		if diff := cmp.Diff([]string{"c", "d"}, files(t, dir)); diff != "" {
			t.Errorf("round %d: files (-want +got):\n%s", round, diff)
		}
		for _, ns := range []string{"c", "d"} {
			owed[ns] = false
			m.Settled(ns)
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		put()
	}
}
