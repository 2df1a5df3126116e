//go:build rabbitmq

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// raceExit is what a daemon ends with in which the race detector found one.
const raceExit = 66

// build makes the real program, with a clock that can be set.
func build(dir string) (string, error) {
	path := filepath.Join(dir, "neutron-ndp-proxy-agent")
	clock, err := overlay(dir)
	if err != nil {
		return "", fmt.Errorf("a clock that can be set: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", fmt.Sprintf("-race=%v", *race), "-buildvcs=false", "-overlay", clock, "-o", path,
		"neutron-ndp-proxy-agent/cmd/neutron-ndp-proxy-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return path, nil
}

// daemon is one process of the real program.
type daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	notify *net.UnixConn
	dir    string
	exited chan struct{}

	mu       sync.Mutex
	said     map[string]bool // to systemd
	expected bool            // its end
}

// launch starts the program in a network namespace, with its configuration and
// log in dir. It ends with the test; an end that nobody asked for is a failure.
func launch(t testing.TB, ns *nettest.Namespace, dir, config string) *daemon {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "agent.ini"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, clockFile), nativeInt64(0), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	// The path of a socket has to be short, a test's name need not be.
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("chaos-%d-%d", os.Getpid(), time.Now().UnixNano()))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: dir, notify: notify, exited: make(chan struct{}), said: map[string]bool{}}
	d.cmd = exec.Command(program, "--config-file", filepath.Join(dir, "agent.ini"))
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + socket, "GOTRACEBACK=all", clockVariable + "=" + filepath.Join(dir, clockFile),
		fmt.Sprintf("GORACE=halt_on_error=1 exitcode=%d log_path=%s", raceExit, filepath.Join(dir, "race"))}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The thread that forked it has to stay for Pdeathsig.
		err := ns.Enter(func() error {
			err := d.cmd.Start()
			started <- err
			if err == nil {
				_ = d.cmd.Wait() // how it ended is in ProcessState
			}
			return nil
		})
		if err != nil && d.cmd.Process == nil {
			started <- err
		}
		close(d.exited)
		_, _, _ = notify.Close(), os.Remove(socket), log.Close()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	go d.listen()
	go d.watch()
	t.Cleanup(func() {
		d.kill()
		<-d.exited
	})
	return d
}

func (d *daemon) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := d.notify.Read(buf)
		if err != nil {
			return
		}
		d.mu.Lock()
		for line := range strings.Lines(string(buf[:n])) {
			d.said[strings.TrimSpace(line)] = true
		}
		d.mu.Unlock()
	}
}

// watch complains of an end that nobody asked for.
func (d *daemon) watch() {
	<-d.exited
	d.mu.Lock()
	defer d.mu.Unlock()
	if code := d.cmd.ProcessState.ExitCode(); code == raceExit {
		d.t.Errorf("data race in the daemon:\n%s", d.races())
	} else if !d.expected {
		d.t.Errorf("the daemon ended by itself: %v\n%s", d.cmd.ProcessState, d.tail(40))
	}
}

// races is what the race detector wrote.
func (d *daemon) races() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(d.dir, "race.*")) // the pattern is a good one
	for _, f := range files {
		text, err := os.ReadFile(f)
		fmt.Fprintf(&all, "%s\n%v\n", text, err)
	}
	return all.String()
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) isReady() bool { return d.told("READY=1") }

func (d *daemon) serves() bool { return d.told("STATUS=waiting for the first full sync") }

// told reports whether systemd was told something.
func (d *daemon) told(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said[what]
}

// awaitReady waits for READY=1: the first full sync is applied.
func (d *daemon) awaitReady(t testing.TB, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); !d.isReady(); time.Sleep(10 * time.Millisecond) {
		if d.ended() || time.Now().After(end) {
			t.Fatalf("the daemon is not ready within %v:\n%s", within, d.tail(30))
		}
	}
}

func (d *daemon) ended() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

func (d *daemon) signal(sig syscall.Signal) error {
	d.mu.Lock()
	d.expected = d.expected || sig != syscall.SIGHUP && sig != syscall.SIGUSR1 && sig != syscall.SIGSTOP && sig != syscall.SIGCONT
	d.mu.Unlock()
	err := d.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// kill is kill -9, waited for.
func (d *daemon) kill() {
	if err := d.signal(syscall.SIGKILL); err != nil {
		d.t.Errorf("SIGKILL: %v", err)
	}
	<-d.exited
}

// stop is SIGTERM: the process has to end by itself, with 0, in time. It returns
// how long that took.
func (d *daemon) stop(t testing.TB, within time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	if err := d.signal(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	select {
	case <-d.exited:
	case <-time.After(within):
		// Where does it hang? SIGQUIT makes Go tell.
		if err := d.signal(syscall.SIGQUIT); err == nil {
			time.Sleep(time.Second)
		}
		t.Errorf("SIGTERM did not end the daemon within %v:\n%s", within, d.tail(400))
		d.kill()
		return within
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, d.tail(20))
	}
	return time.Since(start)
}

// log is everything that was written so far, by earlier runs in dir too.
func (d *daemon) log() string {
	text, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (d *daemon) tail(n int) string {
	lines := strings.SplitAfter(d.log(), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}

// since are the lines after an offset that match.
func (d *daemon) since(offset int, pattern *regexp.Regexp) (lines []string) {
	text := d.log()
	for line := range strings.Lines(text[min(offset, len(text)):]) {
		if pattern.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
