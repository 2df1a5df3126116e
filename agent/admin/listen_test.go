package admin

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func socketIn(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "control.sock")
}

// put listens where nobody does yet.
func put(t *testing.T, path string) *listener {
	t.Helper()
	l, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dead is the socket of a daemon that was killed.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func only(t *testing.T, path string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("in the directory: %v, want %v", got, names)
	}
}

// Whatever the process's umask is, nobody ever sees the socket with another mode.
func TestModeFromTheFirstMoment(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	path := socketIn(t)
	done := make(chan struct{})
	var seen, looks atomic.Int64
	var watchers sync.WaitGroup
	for range 2 {
		watchers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				looks.Add(1)
				if info, err := os.Lstat(path); err == nil {
					seen.Add(1)
					if info.Mode() != fs.ModeSocket|0o660 {
						t.Errorf("mode %v", info.Mode())
						return
					}
				}
			}
		})
	}
	for range 100 {
		l, err := listen(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	watchers.Wait()
	if seen.Load() == 0 {
		t.Errorf("never seen in %d looks", looks.Load())
	}
	only(t, path)
}

func TestADeadSocketIsReplaced(t *testing.T) {
	path := socketIn(t)
	dead(t, path)
	if err := os.Mkdir(path+makingSuffix, 0o700); err != nil { // killed while it made it
		t.Fatal(err)
	}
	dead(t, filepath.Join(path+makingSuffix, "s"))
	l := put(t, path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	only(t, path, "control.sock")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	only(t, path)
}

func TestALiveSocketIsRefused(t *testing.T) {
	path := socketIn(t)
	first := put(t, path)
	_, err := listen(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another daemon listens") ||
		!strings.Contains(err.Error(), peer{cred: &unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}}.String()) {
		t.Errorf("a second daemon: %v", err)
	}
	if !first.there() {
		t.Error("the first one's socket is gone")
	}
	// Also one that takes no more connections for now.
	full, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(full) }()
	other := socketIn(t)
	if err := unix.Bind(full, &unix.SockaddrUnix{Name: other}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(full, 0); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.DialTimeout("unix", other, 100*time.Millisecond)
		if err != nil {
			break
		}
		defer func() { _ = c.Close() }()
	}
	if _, err := listen(t.Context(), other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("a daemon that is busy: %v", err)
	}
}

// Whatever is no socket to listen on stays, and is named.
func TestOthersFilesStay(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"file":              func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"directory":         func(path string) error { return os.Mkdir(path, 0o700) },
		"dangling link":     func(path string) error { return os.Symlink("nowhere", path) },
		"link to a socket":  func(path string) error { dead(t, path+".real"); return os.Symlink(path+".real", path) },
		"pipe":              func(path string) error { return unix.Mkfifo(path, 0o600) },
		"socket of packets": func(path string) error { return bindPackets(t, path) },
		"making, open to others": func(path string) error {
			return os.Mkdir(path+makingSuffix, 0o755)
		},
		"making, a link": func(path string) error { return os.Symlink(t.TempDir(), path+makingSuffix) },
	} {
		t.Run(name, func(t *testing.T) {
			path := socketIn(t)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadDir(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			l, err := listen(t.Context(), path)
			if err == nil {
				_ = l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("listen: %v", err)
			}
			after, err := os.ReadDir(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			if len(after) != len(before) || after[0].Type() != before[0].Type() {
				t.Errorf("before %v, after %v", before, after)
			}
		})
	}
}

func bindPackets(t *testing.T, path string) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return err
}

// Of many that find a dead socket at once one gets it, and keeps it.
func TestManyAtOnce(t *testing.T) {
	path := socketIn(t)
	for range 20 {
		dead(t, path)
		var got []*listener
		var mu sync.Mutex
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 16 {
			all.Go(func() {
				<-start
				for range 5 {
					if l, err := listen(t.Context(), path); err == nil {
						mu.Lock()
						got = append(got, l)
						mu.Unlock()
					}
				}
			})
		}
		close(start)
		all.Wait()
		if len(got) != 1 || !got[0].there() {
			t.Fatalf("%d have it", len(got))
		}
		if err := got[0].Close(); err != nil {
			t.Fatal(err)
		}
		only(t, path)
	}
}

// Who makes a socket has the place to itself, and takes nothing away from who came in
// between all the same.
func TestWhoMakesASocketIsAlone(t *testing.T) {
	path := socketIn(t)
	other, err := enter(path + makingSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another daemon makes its socket") {
		t.Errorf("beside another: %v", err)
	}
	if err := other.leave(); err != nil {
		t.Fatal(err)
	}
	l := put(t, path)
	if err := os.WriteFile(path+".file", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	late := &listener{path: path + ".file"}
	if err := late.place(path); err == nil {
		t.Error("a file was replaced")
	}
	if !l.there() {
		t.Error("the socket has gone")
	}
}

// What is at the path when we end may be the next one's.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	path := socketIn(t)
	l := put(t, path)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	next := put(t, path)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if !next.there() {
		t.Error("the next one's socket is gone")
	}
}

func TestPathTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if _, err := listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "longer than the 101 bytes") {
		t.Errorf("listen: %v", err)
	}
	path = "/tmp/" + strings.Repeat("y", 101-len("/tmp/"))
	if err := put(t, path).Close(); err != nil {
		t.Error(err)
	}
}
