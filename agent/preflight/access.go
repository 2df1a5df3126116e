package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// account is whom the daemon runs as. Without systemd, as in a container, that is whom
// this process runs as.
func (x *examination) account() (Account, error) {
	user, group := defaultUser, defaultGroup
	if x.alone() {
		return Account{User: fmt.Sprintf("of this process (%d)", x.UID), UID: x.UID}, nil
	}
	if x.installed() {
		if user = x.unit["User"]; user == "" {
			user, group = "root", "root"
		}
		if g := x.unit["Group"]; g != "" {
			group = g
		}
	}
	return x.Account(user, group)
}

func (x *examination) alone() bool { return errors.Is(x.unitErr, ErrNoSystemd) }

func (x *examination) user(context.Context) []Line {
	a, err := x.account()
	if x.alone() {
		return []Line{ok("the user %s is taken for the daemon's", a.User)}
	}
	const fix = "systemd-sysusers, which make install and the packages leave or run; or make them by hand"
	switch {
	case err != nil && x.installed():
		return []Line{fail(fix, "%v: the unit can't start", err)}
	case err != nil:
		return []Line{warn(fix, "%v", err)}
	}
	return []Line{ok("user %s (%d), group %s (%d)", a.User, a.UID, a.Group, a.GID)}
}

// asDaemon runs fn with the file rights of the daemon. why says why it can't.
func (x *examination) asDaemon(fn func()) (why error) {
	a, err := x.account()
	if err != nil {
		return err
	}
	switch x.UID {
	case a.UID:
		fn()
		return nil
	case 0:
		return x.As(a, func() error { fn(); return nil })
	}
	return fmt.Errorf("it needs root to look with the eyes of user %s", a.User)
}

const asRoot = "ask as root, after installing"

// access says whether the daemon's user can read what the daemon has to read.
func (x *examination) access(context.Context) []Line {
	paths := append([]string{}, x.cfg.Files...)
	if r := x.cfg.Rabbit; r.SSL {
		paths = append(paths, r.SSLCAFile, r.SSLCertFile, r.SSLKeyFile)
	}
	if !x.neutron() {
		paths = append(paths, x.cfg.NDPProxy.SourceFile)
	}
	var lines []Line
	read := 0
	err := x.asDaemon(func() {
		for _, p := range paths {
			if p == "" {
				continue
			}
			err := readable(p)
			if errors.Is(err, fs.ErrNotExist) {
				continue // said by options or source
			}
			if err != nil {
				lines = append(lines, fail(fmt.Sprintf("chgrp %s %s; chmod g+r %s; the directories above it need x for that group", x.group(), p, p), "the daemon's user can't read it: %v", err))
				continue
			}
			read++
		}
	})
	if err != nil {
		return []Line{notChecked(asRoot, "whether the daemon's user can read its files: %v", err)}
	}
	for _, p := range paths {
		if p != "" && x.installed() && x.unit.hidden(p) {
			lines = append(lines, fail("put it elsewhere, such as /etc/neutron", "the unit hides %s from the daemon (ProtectHome=, PrivateTmp=)", p))
		}
	}
	if len(lines) == 0 {
		lines = append(lines, ok("all %d files can be read by the daemon's user", read))
	}
	return lines
}

// owner is the daemon's user and group as chown(1) takes them.
func (x *examination) owner() string {
	if x.alone() {
		return strconv.Itoa(x.UID)
	}
	user := x.unit["User"]
	if user == "" {
		user = defaultUser
	}
	return user + ":" + x.group()
}

func (x *examination) group() string {
	if g := x.unit["Group"]; g != "" {
		return g
	}
	return defaultGroup
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// mayWrite asks the kernel with the calling thread's file rights, those of As.
func mayWrite(path string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func (x *examination) log(context.Context) []Line {
	path := x.cfg.Log.Path(program)
	if path == "" {
		return []Line{ok("standard error, which is the journal under systemd")}
	}
	if x.installed() && !x.unit.writable(path) {
		return []Line{fail("systemctl edit "+program+": [Service] ReadWritePaths="+filepath.Dir(path), "%s: the unit lets the daemon write elsewhere only", path)}
	}
	// No right to make files there: with it logrotate would leave all of the directory alone.
	return x.writes(path, 1, "to the log "+path, fmt.Sprintf("touch %s; chown %s %s; the directories above it need x for that user (systemd-tmpfiles --create for /var/log/neutron)",
		path, x.owner(), path))
}

func (x *examination) runtimeDir(context.Context) []Line {
	dir := x.cfg.NDPProxy.RuntimeDir
	if x.installed() && x.made(dir) && x.unit["ActiveState"] != "active" {
		return []Line{ok("%s is made, or handed over, by systemd when the unit starts", dir)}
	}
	if x.installed() && !x.unit.writable(dir) {
		return []Line{fail("systemctl edit "+program+": [Service] ReadWritePaths="+dir, "%s: the unit lets the daemon write elsewhere only", dir)}
	}
	return x.writes(dir, 64, "to runtime_dir "+dir, "let the daemon's user have it: chown "+x.owner()+" "+dir+", or RuntimeDirectory= in the unit")
}

// made reports whether the unit makes a directory.
func (x *examination) made(dir string) bool {
	for _, d := range strings.Fields(x.unit["RuntimeDirectory"]) {
		if filepath.Join("/run", d) == filepath.Clean(dir) {
			return true
		}
	}
	return false
}

// writes says whether the daemon's user may write to what is at path, or, where
// nothing is, make it with so many directories above it.
func (x *examination) writes(path string, levels int, what, fix string) []Line {
	var err error
	why := x.asDaemon(func() {
		for at := path; levels >= 0; at, levels = filepath.Dir(at), levels-1 {
			if err = mayWrite(at); !errors.Is(err, fs.ErrNotExist) {
				return
			}
		}
	})
	switch {
	case why != nil:
		return []Line{notChecked(asRoot, "whether the daemon's user can write %s: %v", what, why)}
	case err != nil:
		return []Line{fail(fix, "the daemon's user can't write %s: %v", what, err)}
	}
	return []Line{ok("the daemon's user can write %s", what)}
}
