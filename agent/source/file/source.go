package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/pulse"
)

// Options of a Source.
type Options struct {
	Path      string
	Inventory *inventory.Inventory
	Log       *zap.Logger
	// Pulse, if not nil, is promised progress.
	Pulse *pulse.Monitor
	// Rescan is how often the file is read although nothing said that it
	// changed: inotify is a hint (network file systems, a replaced directory).
	Rescan time.Duration
	// Settle is how long a file must be left alone before it is read, so
	// that an editor's half-written file is not.
	Settle time.Duration
}

// Source feeds the inventory from a file.
type Source struct {
	o    Options
	last []byte
	// seen is the file as it was last read, resting as it was when it last had to
	// be left alone.
	seen, resting stamp
	bad           string // the last complaint, said once
	trouble       atomic.Pointer[string]
}

// Trouble is why the file as it is now is not used, "" if it is.
func (s *Source) Trouble() string {
	if t := s.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

// New returns a source; nothing is read before Run.
func New(o Options) *Source { return &Source{o: o} }

// Scope reports whether a namespace may hold what this source had published,
// so that it may be looked through for leftovers. Neutron's own namespaces
// belong to a daemon that listens to Neutron.
func Scope(ns string) bool { return !inventory.NeutronNamespace(ns) }

// Run reads the file, then follows it until the context ends. A file that is
// unusable at the start is an error; later it is logged and changes nothing.
func (s *Source) Run(ctx context.Context) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.o.Path, err)
	}
	defer func() { _ = watch.Close() }()
	// The directory, since most editors and config tools replace the file.
	if err := watch.Add(filepath.Dir(s.o.Path)); err != nil {
		return fmt.Errorf("watch the directory of %s: %w", s.o.Path, err)
	}
	kept := s.o.Pulse.Turn("source file", 0)
	defer func() { kept() }()
	if err := s.read(); err != nil {
		return err
	}
	rescan := time.NewTicker(s.o.Rescan)
	defer rescan.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		kept()
		kept = s.o.Pulse.Turn("source file", s.o.Rescan)
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-watch.Events:
			if !ok {
				return fmt.Errorf("watch %s: closed", s.o.Path)
			}
			if filepath.Base(e.Name) == filepath.Base(s.o.Path) {
				s.rest(settle)
			}
		case err := <-watch.Errors:
			// An overflow lost events: read again.
			s.o.Log.Warn("watching the source file", zap.String("file", s.o.Path), zap.Error(err))
			s.rest(settle)
		case <-settle.C:
			// On a busy machine the timer may win against events that wait.
			if s.now() != s.resting {
				s.rest(settle)
				continue
			}
			s.reread()
		case <-rescan.C:
			// inotify may have missed it, and it may still be being written.
			if now := s.now(); now != s.seen && now != s.resting {
				s.rest(settle)
			}
		}
	}
}

// rest leaves the file alone for a while.
func (s *Source) rest(settle *time.Timer) {
	s.resting = s.now()
	settle.Reset(s.o.Settle)
}

// stamp is what tells that a file may have changed without reading it.
type stamp struct {
	size int64
	mod  time.Time
}

// now is the file's stamp, the zero value if it can't be looked at.
func (s *Source) now() stamp {
	info, err := os.Stat(s.o.Path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}

func (s *Source) reread() {
	err := s.read()
	if err == nil {
		s.trouble.Store(nil)
		if s.bad != "" {
			s.bad = ""
			s.o.Log.Info("source file is usable again", zap.String("file", s.o.Path))
		}
		return
	}
	if err.Error() != s.bad {
		s.bad = err.Error()
		trouble := s.bad
		s.trouble.Store(&trouble)
		s.o.Log.Error("source file not used, what was read before stays", zap.String("file", s.o.Path), zap.Error(err))
	}
}

func (s *Source) read() error {
	raw, err := s.load()
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("source file %s: %w", s.o.Path, err)
	}
	if s.last != nil && string(raw) == string(s.last) {
		return nil
	}
	snapshot, err := Parse(raw)
	if err != nil {
		return fmt.Errorf("source file %s: %w", s.o.Path, err)
	}
	s.last = raw
	s.o.Inventory.Replace(snapshot)
	s.o.Log.Info("source file read", zap.String("file", s.o.Path),
		zap.Int("devices", len(snapshot.Routers)), zap.Int("addresses", len(snapshot.Proxies)))
	return nil
}

// load reads the file, but not more than can be meant.
func (s *Source) load() ([]byte, error) {
	f, err := os.Open(s.o.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s.seen = stamp{info.Size(), info.ModTime()}
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}
