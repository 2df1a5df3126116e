package nettools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// NetnsDir is where iproute2 keeps the names of network namespaces.
const NetnsDir = "/run/netns"

// In runs fn on a thread of its own inside the named network namespace and returns fn's error.
// The thread is never given back: it ends with the call, so no other goroutine can ever run in
// the wrong namespace. Sockets that fn opens stay in the namespace and may be used anywhere.
func In(ns string, fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- enterAndRun(ns, fn)
	}()
	return <-result
}

func enterAndRun(ns string, fn func() error) error {
	f, err := os.Open(filepath.Join(NetnsDir, ns))
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", ns, err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", ns, err)
	}
	return fn()
}

// Exists tells whether a network namespace of that name is there.
func Exists(ns string) bool {
	_, err := os.Stat(filepath.Join(NetnsDir, ns))
	return err == nil
}

// Run executes a command and returns its standard output. The error carries the command line and
// what it wrote to standard error.
func Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}

// IP runs iproute2's ip in the named namespace: IP(ctx, "qrouter-1", "-6", "route", ...).
func IP(ctx context.Context, ns string, args ...string) ([]byte, error) {
	return Run(ctx, "ip", append([]string{"-n", ns}, args...)...)
}

// Exec runs a command in the named network namespace. The name may be a path that leaves NetnsDir, as
// for `ip -n`; `ip netns exec` would refuse it.
func Exec(ctx context.Context, ns string, argv ...string) ([]byte, error) {
	return Run(ctx, "nsenter", append([]string{"--net=" + filepath.Join(NetnsDir, ns), "--"}, argv...)...)
}

// Sysctl reads /proc/sys/net/<path> as the named namespace sees it, without the final newline.
func Sysctl(ns, path string) (string, error) {
	var value []byte
	err := In(ns, func() (err error) {
		value, err = os.ReadFile(filepath.Join("/proc/sys/net", path))
		return err
	})
	return strings.TrimSpace(string(value)), err
}

// SetSysctl writes /proc/sys/net/<path> in the named namespace and returns the value it had.
func SetSysctl(ns, path, value string) (before string, err error) {
	before, err = Sysctl(ns, path)
	if err != nil {
		return "", err
	}
	return before, In(ns, func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0o644) //nolint:gosec // procfs has its own modes
	})
}

// IsGone tells whether err says that a namespace, device or file was not there.
func IsGone(err error) bool {
	return errors.Is(err, os.ErrNotExist)
}
