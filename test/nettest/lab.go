package nettest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

const dirPrefix = "nettest-"

// RequireRoot skips the test unless it may make namespaces.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

// Lab is a directory of namespaces.
type Lab struct {
	// Dir is where the namespaces are bound: what a program takes for
	// /run/netns.
	Dir string

	t testing.TB
}

// New makes an empty lab that is taken down with the test.
func New(t testing.TB) *Lab {
	t.Helper()
	RequireRoot(t)
	sweep()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		t.Fatalf("directory of the lab: %v", err)
	}
	l := &Lab{Dir: dir, t: t}
	t.Cleanup(func() {
		if err := takeDown(dir); err != nil {
			t.Errorf("taking the lab down: %v", err)
		}
	})
	return l
}

// sweep takes down the labs of processes that are no more. Failing to is no
// concern of the test that happens to come next.
func sweep() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, _, ok := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if n, err := strconv.Atoi(pid); !ok || err != nil || unix.Kill(n, 0) == nil {
			continue
		}
		_ = takeDown(dir)
	}
}

func takeDown(dir string) error {
	names, err := netns.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := unbind(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

func unbind(path string) error {
	// EINVAL: not mounted, which is what is wanted.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return os.Remove(path)
}

// Namespace makes a namespace with that name: loopback up, forwarding off, and
// no duplicate address detection on devices made later (a test that wants it
// sets net/ipv6/conf/default/accept_dad to 1).
func (l *Lab) Namespace(name string) *Namespace {
	l.t.Helper()
	path := filepath.Join(l.Dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		l.t.Fatalf("namespace %s: %v", name, err)
	}
	if err := l.Bind(name); err != nil {
		l.t.Fatalf("namespace %s: %v", name, err)
	}
	n := &Namespace{Name: name, Path: path, lab: l, t: l.t}
	n.IP("link", "set", "lo", "up")
	n.Sysctl("net/ipv6/conf/all/accept_dad", "0")
	n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	return n
}

// Bind makes a new namespace and binds it to the existing file of that name:
// the second half of what `ip netns add` does.
func (l *Lab) Bind(name string) error {
	path := filepath.Join(l.Dir, name)
	return inThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "bind", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", path, err)
		}
		return nil
	})
}

// Delete removes a namespace, as `ip netns delete` does.
func (l *Lab) Delete(n *Namespace) {
	l.t.Helper()
	if err := unbind(n.Path); err != nil {
		l.t.Fatalf("delete namespace %s: %v", n.Name, err)
	}
}

// Veth joins two namespaces (or one with itself) by a pair of devices, both up.
func (l *Lab) Veth(a *Namespace, nameA string, b *Namespace, nameB string) {
	l.t.Helper()
	a.Do(func() error {
		return b.move(nameA, nameB)
	})
	a.IP("link", "set", nameA, "up")
	b.IP("link", "set", nameB, "up")
}

// Eventually waits until the condition holds and fails the test if it does not
// in time.
func Eventually(t testing.TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
