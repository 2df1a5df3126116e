package netns_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/test/nettest"
)

// threadNamespace is the namespace of the calling thread.
func threadNamespace(t *testing.T) string {
	t.Helper()
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// strangers are threads of this process that are in another namespace than
// the one it started in.
func strangers(t *testing.T, home string) []string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, task := range tasks {
		if link, err := os.Readlink(task); err == nil && link != home {
			out = append(out, task+" in "+link)
		}
	}
	return out
}

// noStrangers allows for threads that are still being destroyed, also by the
// lab, which makes namespaces on threads that it throws away.
func noStrangers(t *testing.T, home string) {
	t.Helper()
	nettest.Eventually(t, 5*time.Second, "every thread is home", func() bool { return len(strangers(t, home)) == 0 })
}

func open(t *testing.T, dir, name string) *netns.Handle {
	t.Helper()
	h, err := netns.Open(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestDo(t *testing.T) {
	l := nettest.New(t)
	l.Namespace("a")
	h := open(t, l.Dir, "a")
	home := threadNamespace(t)
	inside := ""
	failure := errors.New("from inside")
	err := h.Do(func() error {
		inside, _ = os.Readlink("/proc/thread-self/ns/net")
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	if inside != h.ID().String() || inside == home {
		t.Errorf("ran in %s, want %s (home is %s)", inside, h.ID(), home)
	}
	noStrangers(t, home)
}

// A thread that cannot come back is destroyed: it serves no other goroutine.
func TestThreadThatCannotComeBackDies(t *testing.T) {
	l := nettest.New(t)
	l.Namespace("a")
	h := open(t, l.Dir, "a")
	home := threadNamespace(t)
	netns.FailWayBack(h)
	tid := 0
	err := h.Do(func() error { tid = unix.Gettid(); return nil })
	if !errors.Is(err, unix.EPERM) {
		t.Fatalf("error %v", err)
	}
	nettest.Eventually(t, 5*time.Second, "the thread is gone", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return os.IsNotExist(err)
	})
	noStrangers(t, home)
}

// t.FailNow inside leaves the goroutine without returning; Do still ends.
func TestExitInside(t *testing.T) {
	l := nettest.New(t)
	l.Namespace("a")
	if err := open(t, l.Dir, "a").Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("no error")
	}
}

func TestGoneAndHalfMade(t *testing.T) {
	l := nettest.New(t)
	if _, err := netns.Open(l.Dir, "none"); !errors.Is(err, netns.ErrGone) {
		t.Errorf("absent: %v", err)
	}
	// `ip netns add` makes the file first.
	if err := os.WriteFile(filepath.Join(l.Dir, "half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Open(l.Dir, "half"); !errors.Is(err, netns.ErrNotReady) {
		t.Errorf("half made: %v", err)
	}
	if err := l.Bind("half"); err != nil {
		t.Fatal(err)
	}
	open(t, l.Dir, "half")
	for _, name := range []string{"", ".", "..", "../a", "a/b", "a\x00", strings.Repeat("n", 256)} {
		if _, err := netns.Open(l.Dir, name); !errors.Is(err, netns.ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	names, err := netns.List(l.Dir)
	if err != nil || !slices.Equal(names, []string{"half"}) {
		t.Errorf("list: %v, %v", names, err)
	}
	if names, err := netns.List(filepath.Join(l.Dir, "none")); err != nil || len(names) != 0 {
		t.Errorf("list of a directory that is not there: %v, %v", names, err)
	}
}

// A daemon that is not root cannot open a file of mode 000, as `ip netns add`
// makes it before it mounts: that is half made, and no matter of permission.
func TestHalfMadeWithoutRoot(t *testing.T) {
	l := nettest.New(t)
	path := filepath.Join(l.Dir, "half")
	if err := os.WriteFile(path, nil, 0o000); err != nil {
		t.Fatal(err)
	}
	if err := unprivileged(func() error { _, err := netns.Open(l.Dir, "half"); return err }); !errors.Is(err, netns.ErrNotReady) {
		t.Errorf("half made: %v", err)
	}
	if err := l.Bind("half"); err != nil {
		t.Fatal(err)
	}
	if err := unprivileged(func() error { _, err := netns.Identify(l.Dir, "half"); return err }); err != nil {
		t.Errorf("bound: %v", err)
	}
	// Entering it is another matter, and the error says which.
	h := open(t, l.Dir, "half")
	err := unprivileged(func() error { return netns.Denied(unix.Setns(h.FD(), unix.CLONE_NEWNET)) })
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		t.Errorf("entered without a capability: %v", err)
	}
}

// unprivileged runs fn on a thread without capabilities, which is then thrown
// away.
func unprivileged(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() { // it must not end
			defer runtime.UnlockOSThread()
			result <- unprivileged(fn)
			return
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			result <- err
			return
		}
		result <- fn()
	}()
	return <-result
}

func TestNamespaceOfAnotherKind(t *testing.T) {
	nettest.RequireRoot(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "uts")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/proc/self/ns/uts", path, "bind", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if _, err := netns.Open(dir, "uts"); !errors.Is(err, netns.ErrName) {
		t.Errorf("error %v", err)
	}
}

func TestMadeAgainUnderItsName(t *testing.T) {
	l := nettest.New(t)
	first := open(t, l.Dir, l.Namespace("a").Name)
	l.Delete(l.Namespace("b")) // inode numbers go up and down
	if err := unix.Unmount(filepath.Join(l.Dir, "a"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := l.Bind("a"); err != nil {
		t.Fatal(err)
	}
	id, err := netns.Identify(l.Dir, "a")
	if err != nil || id == first.ID() || id.IsZero() {
		t.Errorf("second has %v, first %v, error %v", id, first.ID(), err)
	}
}
