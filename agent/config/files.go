package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"neutron-ndp-proxy-agent/agent/config/inifile"
)

// readSources reads all files of a in order of rising precedence. What can't be
// read is in errs, one error for each file or bad line, and the rest is still
// returned.
func readSources(a Args) (files []*inifile.File, errs []error) {
	for _, s := range withDefaults(a) {
		paths := []string{s.Path}
		if s.Dir {
			var err error
			if paths, err = confFiles(s.Path); err != nil {
				if !s.optional || !errors.Is(err, fs.ErrNotExist) {
					errs = append(errs, readError("config directory", s.Path, err))
				}
				continue
			}
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				// A file listed by its directory has to be there; a default
				// one does not.
				if s.Dir || !s.optional || !errors.Is(err, fs.ErrNotExist) {
					errs = append(errs, readError("config file", path, err))
				}
				continue
			}
			f, err := inifile.Parse(path, data)
			if err != nil {
				errs = append(errs, err)
			}
			files = append(files, f)
		}
	}
	return files, errs
}

type source struct {
	Source
	optional bool // silently skipped when it does not exist
}

// withDefaults puts the defaults that apply before the command line's sources,
// which is where oslo.config reads them: default files apply when there is no
// --config-file, default directories when there is no --config-dir.
func withDefaults(a Args) []source {
	var fileGiven, dirGiven bool
	var given []source
	for _, s := range a.Sources {
		given = append(given, source{Source: s})
		fileGiven = fileGiven || !s.Dir
		dirGiven = dirGiven || s.Dir
	}
	defaults := a.Defaults
	if defaults == nil {
		defaults = DefaultSources()
	}
	var files, dirs []source
	for _, s := range defaults {
		switch {
		case s.Dir && !dirGiven:
			dirs = append(dirs, source{s, true})
		case !s.Dir && !fileGiven:
			files = append(files, source{s, true})
		}
	}
	return append(append(files, dirs...), given...)
}

// confFiles lists what oslo.config's sorted(glob("dir/*.conf")) lists.
func confFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".conf") && !strings.HasPrefix(n, ".") {
			paths = append(paths, filepath.Join(dir, n))
		}
	}
	return paths, nil
}

// readError names the file once: the operating system's error does too.
func readError(what, path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("cannot read %s %s: %w", what, path, pe.Err)
	}
	return fmt.Errorf("cannot read %s %s: %w", what, path, err)
}
