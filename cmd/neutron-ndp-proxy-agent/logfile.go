package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// logFile is the file that is logged to. It can be renamed under us, as
// logrotate does: Reopen makes a new one of the same name.
type logFile struct {
	path string
	// watch looks before each line whether the file still has its name
	// (watch_log_file). That costs one stat(2), and no line goes astray.
	watch bool

	mu sync.Mutex
	f  *os.File
}

func openLogFile(path string, watch bool) (*logFile, error) {
	f, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, watch: watch, f: f}, nil
}

func appendTo(path string) (*os.File, error) {
	// 0640 and the group are what Neutron's own packages use.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) // #nosec G302 G304 -- see above; the operator's path
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

// Write appends one line. When the file was moved away and a new one cannot be
// made, the line goes to the old one, and the error says so.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var moved error
	if l.watch && l.moved() {
		moved = l.reopen()
	}
	n, err := l.f.Write(line)
	return n, errors.Join(moved, err)
}

// Sync does nothing: a log is not worth waiting for the disk.
func (l *logFile) Sync() error { return nil }

// Reopen goes on in a file of the configured name. When there can be none, the
// old one is kept.
func (l *logFile) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reopen()
}

func (l *logFile) reopen() error {
	f, err := appendTo(l.path)
	if err != nil {
		return err
	}
	_ = l.f.Close() // what was written is written, and nobody reads this file by its name
	l.f = f
	return nil
}

// moved reports whether the name stands for no file or for another one.
func (l *logFile) moved() bool {
	named, err := os.Stat(l.path)
	if err != nil {
		return true
	}
	open, err := l.f.Stat()
	return err != nil || !os.SameFile(named, open)
}

// Close ends it.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
