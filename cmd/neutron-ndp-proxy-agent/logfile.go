package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// reopenPatience is how long Reopen waits for a write that is under way.
const reopenPatience = time.Second

// logFile is the file that is logged to. It can be renamed under us, as
// logrotate does: Reopen makes a new one of the same name.
type logFile struct {
	path string
	// watch looks before each line whether the file still has its name
	// (watch_log_file). That costs one stat(2), and no line goes astray.
	watch bool

	// turn is held by who uses f; a write may take as long as the disk likes.
	turn chan struct{}
	f    *os.File
}

func openLogFile(path string, watch bool) (*logFile, error) {
	f, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, watch: watch, turn: make(chan struct{}, 1), f: f}, nil
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
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
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
// old one is kept, and so it is while a write hangs.
func (l *logFile) Reopen() error {
	if !l.takeTurn() {
		return fmt.Errorf("log file: a write to %s has hung for %s", l.path, reopenPatience)
	}
	defer func() { <-l.turn }()
	return l.reopen()
}

func (l *logFile) takeTurn() bool {
	timer := time.NewTimer(reopenPatience)
	defer timer.Stop()
	select {
	case l.turn <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
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
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.f.Close()
}
