package preflight

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// With an account's eyes: its own, its groups', everybody's, and nothing else, though
// root asks; and no other thread notices.
func TestAs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes another user")
	}
	dir := t.TempDir()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	a := Account{User: "x", Group: "y", UID: 54321, GID: 54322, Groups: []int{54323}}
	for name, c := range map[string]struct {
		mode     fs.FileMode
		uid, gid int
		read     bool
		write    bool
	}{
		"its own":        {0o600, a.UID, 0, true, true},
		"its group's":    {0o640, 0, a.GID, true, false},
		"another group":  {0o660, 0, 54323, true, true},
		"root's group":   {0o660, 0, 0, false, false},
		"root's":         {0o600, 0, a.GID, false, false},
		"everybody's":    {0o644, 0, 0, true, false},
		"nobody's (000)": {0o000, a.UID, a.GID, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "file")
			must(t, os.WriteFile(path, nil, 0o600))
			defer func() { must(t, os.Remove(path)) }()
			must(t, os.Chown(path, c.uid, c.gid))
			must(t, os.Chmod(path, c.mode))
			var read, write error
			must(t, as(a, func() error { read, write = readable(path), mayWrite(path); return nil }))
			for _, r := range []struct {
				what string
				may  bool
				err  error
			}{{"read", c.read, read}, {"write", c.write, write}} {
				if r.may != (r.err == nil) || r.err != nil && !errors.Is(r.err, fs.ErrPermission) {
					t.Errorf("%s: %v", r.what, r.err)
				}
			}
			if err := readable(path); err != nil {
				t.Errorf("root after that: %v", err)
			}
		})
	}
	if err := as(a, func() error { return errSpoilt }); !errors.Is(err, errSpoilt) {
		t.Errorf("its error: %v", err)
	}
}

// The real ones can be asked here.
func TestMachine(t *testing.T) {
	m := Machine()
	all, err := m.Processes()
	must(t, err)
	child := exec.Command("sleep", "60")
	must(t, child.Start())
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	if slices.ContainsFunc(all, func(p Process) bool { return p.PID == os.Getpid() }) {
		t.Error("it sees itself")
	}
	all, err = m.Processes()
	must(t, err)
	if !slices.ContainsFunc(all, func(p Process) bool { return p.PID == child.Process.Pid && len(p.Args) > 0 }) {
		t.Error("the child is not seen")
	}
	if names, err := m.Devices(); err != nil || !slices.Contains(names, "lo") {
		t.Errorf("devices %v, %v", names, err)
	}
	if _, err := m.Synchronised(); err != nil {
		t.Error(err)
	}
	if a, err := m.Account("root", "root"); err != nil || a.UID != 0 || a.GID != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, names := range [][2]string{{"nosuch-user", "root"}, {"root", "nosuch-group"}} {
		if _, err := m.Account(names[0], names[1]); err == nil {
			t.Errorf("%v exist", names)
		}
	}
	mounts, err := m.Mounts()
	must(t, err)
	if at, _ := propagation(mounts, "/proc/sys"); at == "/" {
		t.Errorf("/proc is no mount in\n%s", mounts)
	}
	if _, err := m.Unit(context.Background()); err != nil && !errors.Is(err, ErrNoSystemd) {
		t.Errorf("unit: %v", err)
	}
}
