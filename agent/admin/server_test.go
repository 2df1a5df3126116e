package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// serving runs a server until the test ends or stop is called.
func serving(t *testing.T, path string, status func() Status) (logs *observer.ObservedLogs, stop func()) {
	t.Helper()
	return answering(t, path, func(Query) (Status, error) { return status(), nil })
}

func answering(t *testing.T, path string, status func(Query) (Status, error)) (logs *observer.ObservedLogs, stop func()) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	s := New(Options{Path: path, Status: status, Log: zap.New(core)})
	s.every = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(stop)
	return logs, stop
}

func some() Status { return Status{Host: "h", Version: "v", Ready: true} }

func ask(t *testing.T, path string) (Status, error) {
	t.Helper()
	s, _, err := NewClient(path).Status(t.Context())
	return s, err
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func answers(t *testing.T, path string) func() bool {
	return func() bool { s, err := ask(t, path); return err == nil && s.Host == "h" }
}

func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "control.sock") // the directory is made, too
	logs, stop := serving(t, path, some)
	eventually(t, "an answer", answers(t, path))
	who := fmt.Sprintf("pid %d, uid %d, gid %d", os.Getpid(), os.Getuid(), os.Getgid())
	for _, what := range []string{"control socket: connected", "control socket: answered"} {
		eventually(t, what+" "+who, func() bool { return logs.FilterMessage(what).FilterField(zap.String("client", who)).Len() > 0 })
	}
	for _, e := range logs.All() {
		if e.Level > zap.DebugLevel {
			t.Errorf("said: %v", e)
		}
	}
	stop()
	only(t, path)
	if _, err := ask(t, path); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("nobody there: %v", err)
	}
}

// No socket is wanted.
func TestNoPath(t *testing.T) {
	if err := New(Options{Log: zap.NewNop()}).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// What can't be listened on is said once, tried again, and said when it is well; so
// is a socket that somebody takes away.
func TestTroubleIsSaidOnceAndTriedAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "control.sock")
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logs, _ := serving(t, path, some)
	said := func() int { return logs.FilterLevelExact(zap.WarnLevel).Len() }
	well := func() int { return logs.FilterMessage("the control socket can be used again").Len() }
	eventually(t, "the trouble", func() bool { return said() > 0 })
	time.Sleep(200 * time.Millisecond)
	if said() != 1 {
		t.Errorf("said %d times: %v", said(), logs.All())
	}
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer", answers(t, path))
	if said() != 1 || well() != 1 {
		t.Errorf("said %v", logs.All())
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer from a new one", answers(t, path))
	if said() != 2 || well() != 2 {
		t.Errorf("said %v", logs.All())
	}
}

// A disk that is read-only or full costs the socket for as long as it is, and a socket
// that is there goes on.
func TestDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts")
	}
	dir := t.TempDir()
	remount := func(flags uintptr, options string) {
		t.Helper()
		if err := unix.Mount("none", dir, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
	}
	remount(0, "size=16k,nr_inodes=2") // the root and one more
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	remount(unix.MS_REMOUNT|unix.MS_RDONLY, "")
	path := filepath.Join(dir, "control.sock")
	logs, stop := serving(t, path, some)
	said := func(what string) func() bool {
		return func() bool {
			return slices.ContainsFunc(logs.FilterLevelExact(zap.WarnLevel).All(), func(e observer.LoggedEntry) bool {
				return strings.Contains(fmt.Sprint(e.ContextMap()), what)
			})
		}
	}
	eventually(t, "word of a disk that is read-only", said("read-only file system"))
	remount(unix.MS_REMOUNT, "")
	eventually(t, "word of a disk that is full", said("no space left on device"))
	remount(unix.MS_REMOUNT, "nr_inodes=100")
	eventually(t, "an answer", answers(t, path))
	remount(unix.MS_REMOUNT|unix.MS_RDONLY, "")
	time.Sleep(100 * time.Millisecond)
	if !answers(t, path)() {
		t.Error("no answer once the disk is read-only")
	}
	stop()
	remount(unix.MS_REMOUNT, "")
	l := put(t, path) // what could not be removed is replaced
	if !l.there() {
		t.Error("the socket has gone")
	}
}

// A second daemon says who is there, and takes over when that one has ended.
func TestASecondDaemon(t *testing.T) {
	path := socketIn(t)
	_, stop := serving(t, path, some)
	eventually(t, "an answer", answers(t, path))
	logs, _ := serving(t, path, func() Status { return Status{Host: "second"} })
	eventually(t, "a complaint", func() bool {
		w := logs.FilterLevelExact(zap.WarnLevel).All()
		return len(w) == 1 && strings.Contains(fmt.Sprint(w[0].ContextMap()), "another daemon listens on "+path)
	})
	if !answers(t, path)() {
		t.Error("the first does not answer any more")
	}
	stop()
	eventually(t, "an answer of the second", func() bool { s, err := ask(t, path); return err == nil && s.Host == "second" })
}

// Clients of every bad kind, at once and more than there is room for, cost neither
// goroutines nor descriptors nor memory that stays, and others are answered.
func TestBadClients(t *testing.T) {
	path := socketIn(t)
	big := some()
	for range 5000 {
		big.Namespaces = append(big.Namespaces, Namespace{Name: strings.Repeat("n", 100), Trouble: strings.Repeat("t", maxText)})
	}
	_, stop := serving(t, path, func() Status { return big })
	eventually(t, "an answer", answers(t, path))
	before, fds := runtime.NumGoroutine(), descriptors(t)
	const perKind = 4
	const request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n"
	kinds := map[string]func(c net.Conn){
		"says nothing":  func(net.Conn) {},
		"never ends":    func(c net.Conn) { _, _ = io.WriteString(c, request) },
		"drips":         func(c net.Conn) { drip(c, request) },
		"a huge header": func(c net.Conn) { _, _ = io.WriteString(c, request+"X: "+strings.Repeat("x", 1<<20)) },
		"a huge body": func(c net.Conn) {
			_, _ = io.WriteString(c, request+"Content-Length: 1000000000\r\n\r\n"+strings.Repeat("x", 1<<20))
		},
		"never reads":      func(c net.Conn) { _, _ = io.WriteString(c, request+"\r\n") },
		"garbage":          func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte{0, 0xff, '\n'}, 1000)) },
		"another protocol": func(c net.Conn) { _, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
	}
	var clients sync.WaitGroup
	start := time.Now()
	for name, do := range kinds {
		for range perKind {
			clients.Go(func() {
				c, err := net.Dial("unix", path)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				defer func() { _ = c.Close() }()
				if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
				if name == "never reads" {
					do(c)
					time.Sleep(headerLimit + writeLimit)
					return
				}
				go do(c)
				if _, err := io.Copy(io.Discard, c); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: was not ended within a minute", name)
				}
			})
		}
	}
	if most := runtime.NumGoroutine(); most > before+2*len(kinds)*perKind+4*maxClients {
		t.Errorf("%d goroutines, %d before", most, before)
	}
	clients.Wait()
	t.Logf("%d bad clients were through after %v", perKind*len(kinds), time.Since(start).Round(time.Millisecond))
	if !answers(t, path)() {
		t.Error("no answer after it")
	}
	eventually(t, "goroutines and descriptors as before", func() bool {
		return runtime.NumGoroutine() <= before+2 && descriptors(t) <= fds
	})
	stop()
}

// drip sends a byte from time to time.
func drip(c net.Conn, text string) {
	for _, b := range []byte(text + strings.Repeat("X: y\r\n", 100)) {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// More clients than there is room for are all answered, soon, but not at once.
func TestManyClients(t *testing.T) {
	t.Parallel()
	path := socketIn(t)
	logs, _ := serving(t, path, some)
	eventually(t, "an answer", answers(t, path))
	taken := func() int { return logs.FilterMessage("control socket: connected").Len() }
	before := taken()
	var silent []net.Conn
	for range 3 * maxClients {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	eventually(t, "a full house", func() bool { return taken()-before >= maxClients })
	time.Sleep(200 * time.Millisecond)
	if n := taken() - before; n != maxClients {
		t.Errorf("%d clients were let in at once, want %d", n, maxClients)
	}
	for _, c := range silent {
		_ = c.Close()
	}
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			if _, err := ask(t, path); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
}

// Who says that there is nothing more to come (socat, nc) gets the answer.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	path := socketIn(t)
	serving(t, path, func() Status { time.Sleep(50 * time.Millisecond); return some() })
	eventually(t, "an answer", answers(t, path))
	for range 20 {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(c, "GET /v1/status HTTP/1.0\r\n\r\n")
		if err := errors.Join(err, c.CloseWrite(), c.SetDeadline(time.Now().Add(10*time.Second))); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(got), " 200 OK") || !strings.Contains(string(got), `"host":"h"`) {
			t.Fatalf("%v: %s", err, got)
		}
		_ = c.Close()
	}
}

// An answer that hangs holds up nothing but itself: others hear so, and the end comes.
func TestAStuckAnswer(t *testing.T) {
	t.Parallel()
	path := socketIn(t)
	release := make(chan struct{})
	defer close(release)
	started := make(chan struct{}, 1)
	_, stop := serving(t, path, func() Status {
		select {
		case started <- struct{}{}:
		default:
		}
		<-release
		return some()
	})
	eventually(t, "the socket", func() bool { _, err := os.Lstat(path); return err == nil })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /v1/status HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-started
	if _, err := ask(t, path); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a second one: %v", err)
	}
	stop()
	only(t, path)
}

// A handler that panics costs its client the answer, and nobody anything else.
func TestAPanic(t *testing.T) {
	path := socketIn(t)
	n := 0
	serving(t, path, func() Status {
		if n++; n == 1 {
			panic("a mistake")
		}
		return some()
	})
	eventually(t, "the socket", func() bool { _, err := os.Lstat(path); return err == nil })
	if _, err := ask(t, path); err == nil {
		t.Error("an answer from a panic")
	}
	if !answers(t, path)() {
		t.Error("no answer after it")
	}
}

func TestOtherRequests(t *testing.T) {
	path := socketIn(t)
	serving(t, path, some)
	eventually(t, "an answer", answers(t, path))
	for request, want := range map[string]string{
		"POST /v1/status":   "405",
		"DELETE /v1/status": "405",
		"GET /":             "404",
		"GET /v1/status/":   "404",
		"GET /v2/status":    "404",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request+" HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 "+want) {
			t.Errorf("%s: %v %s", request, err, got)
		}
		_ = c.Close()
	}
}
