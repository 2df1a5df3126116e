package debts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"
)

// Options of [Open].
type Options struct {
	// Dir is made if it is missing; "": nothing outlasts the process.
	Dir string
	// Owing tells whether anything is owed in a namespace. It is called with
	// the markers locked, so it must not call them.
	Owing func(namespace string) bool
	Log   *zap.Logger
}

// Markers are the files of one process. Safe for concurrent use. A directory
// that cannot be written is said once, until it can, and costs only what the
// package is for.
type Markers struct {
	o Options

	mu      sync.Mutex
	marked  map[string]bool
	looking map[string]bool // namespaces that may come to owe something at any moment
	said    bool
}

// Open reads what an earlier process left.
func Open(o Options) *Markers {
	m := &Markers{o: o, marked: map[string]bool{}, looking: map[string]bool{}}
	if o.Dir == "" {
		return m
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		m.complain(err)
		return m
	}
	files, err := os.ReadDir(o.Dir)
	if err != nil {
		m.complain(fmt.Errorf("read %s: %w", o.Dir, err))
	}
	for _, f := range files {
		if f.Type().IsRegular() {
			m.marked[f.Name()] = true
		}
	}
	return m
}

// Marked are the namespaces that have a file now; at the start those in which
// an earlier process owed something.
func (m *Markers) Marked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.marked))
	for ns := range m.marked {
		names = append(names, ns)
	}
	return names
}

// Begin says that a look at the namespace begins: until its End nothing that is
// marked there is taken for settled.
func (m *Markers) Begin(ns string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looking[ns] = true
}

// Mark is called before something becomes owed, between Begin and End.
func (m *Markers) Mark(ns string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marked[ns] || m.o.Dir == "" {
		return
	}
	file, err := m.create(ns)
	if err != nil {
		m.complain(err)
		return
	}
	m.marked[ns] = true
	if err := file.Close(); err != nil {
		m.complain(err)
		return
	}
	if m.said {
		m.said = false
		m.o.Log.Info("announcements that are owed outlast the daemon again: the runtime directory can be used")
	}
}

// create also makes the directory, which could not be made at the start, or which
// somebody removed.
func (m *Markers) create(ns string) (*os.File, error) {
	const flags = os.O_CREATE | os.O_WRONLY
	file, err := os.OpenFile(m.path(ns), flags, 0o600) // #nosec G304 -- our own directory
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if err := os.MkdirAll(m.o.Dir, 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(m.path(ns), flags, 0o600) // #nosec G304 -- our own directory
}

// End says that the look is over.
func (m *Markers) End(ns string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.looking, ns)
	m.clear(ns)
}

// Settled says that nothing may be owed in the namespace any more.
func (m *Markers) Settled(ns string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear(ns)
}

func (m *Markers) clear(ns string) {
	if !m.marked[ns] || m.looking[ns] || m.o.Owing(ns) {
		return
	}
	delete(m.marked, ns)
	if err := os.Remove(m.path(ns)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.complain(err)
	}
}

// path is safe: the name of a namespace is that of a file, too.
func (m *Markers) path(ns string) string { return filepath.Join(m.o.Dir, filepath.Base(ns)) }

func (m *Markers) complain(err error) {
	if m.said {
		return
	}
	m.said = true
	m.o.Log.Warn("announcements that are owed when the daemon ends will be forgotten: the runtime directory can't be used", zap.Error(err))
}
