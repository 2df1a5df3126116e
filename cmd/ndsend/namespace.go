package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend"
)

// namespaces is where ip netns keeps them.
const namespaces = "/run/netns"

// enterNamespace takes the calling goroutine into a network namespace, for the
// rest of its life and that of its thread: the command goes there once and ends
// there. A name is one of ip netns, or a path if there is a slash in it. Errors:
// [ndsend.ErrNamespace].
func enterNamespace(name string) error {
	path := name
	if !strings.Contains(name, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("%w %q: not a name", ndsend.ErrNamespace, name)
		}
		path = filepath.Join(namespaces, name)
	}
	// O_NONBLOCK: a path may name a FIFO, by mistake.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist) && path != name:
		return fmt.Errorf("%w %q: there is none of that name (ip netns lists them)", ndsend.ErrNamespace, name)
	case err != nil:
		return fmt.Errorf("%w %q: %w", ndsend.ErrNamespace, name, err)
	}
	defer func() { _ = unix.Close(fd) }() // only read
	runtime.LockOSThread()                // and never unlocked
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w %q: CAP_SYS_ADMIN is needed: %w", ndsend.ErrNamespace, name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w %q: %s is none", ndsend.ErrNamespace, name, path)
	case err != nil:
		return fmt.Errorf("%w %q: %w", ndsend.ErrNamespace, name, err)
	}
	return nil
}
