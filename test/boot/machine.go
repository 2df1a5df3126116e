package boot

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed machine.sh
var script string

const (
	// bootLimit and commandLimit bound the wait for the machine and for what is
	// run in it.
	bootLimit    = 60 * time.Second
	commandLimit = 60 * time.Second
)

// Machine is one that runs.
type Machine struct {
	t testing.TB
	// pid is its process 1, as the host counts.
	pid int
}

// Start boots a machine. prepare is called before, with the directory that becomes
// the machine's root.
func Start(t testing.TB, prepare func(root string)) *Machine {
	t.Helper()
	return start(t, prepare)
}

// StartFrom is [Start] of a machine whose files are those of a tarball.
func StartFrom(t testing.TB, tarball string, prepare func(root string)) *Machine {
	t.Helper()
	return start(t, prepare, tarball)
}

func start(t testing.TB, prepare func(root string), more ...string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: boots systemd in namespaces of its own")
	}
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil && len(more) == 0 {
		t.Fatalf("needs systemd (test/lab/install unit): %v", err)
	}
	dir := t.TempDir()
	group := newGroup(t)
	arguments := []string{"--pid", "--fork", "--kill-child", "--mount", "--net", "--uts", "--ipc", "--cgroup", "bash", "-c", script, "machine.sh", dir}
	cmd := exec.Command("unshare", slices.Concat(arguments, more)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The parent-death signal comes when the thread that forked ends, so it has to stay.
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed on purpose, or it says why on standard error
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("unshare: %v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill() // and the machine with it: --kill-child
		<-ended
		removeGroup(t, group)
	})
	if err != nil {
		<-ended
		t.Fatalf("no machine can be made here: %v\n%s", err, complaints.String())
	}
	m := &Machine{t: t}
	if m.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatalf("process id: %v", err)
	}
	// systemd wants the root of its cgroups for itself.
	if err := os.WriteFile(filepath.Join(filepath.Dir(group.Name()), "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	prepare(filepath.Join("/proc", strconv.Itoa(m.pid), "root", dir, "root"))
	if _, err := io.WriteString(in, "boot\n"); err != nil {
		t.Fatal(err)
	}
	var state string
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if state, err = m.Try("systemctl", "is-active", "machine.target"); err == nil {
			return m
		}
		select {
		case <-ended:
			t.Fatalf("no machine can be booted here:\n%s", complaints.String())
		default:
		}
		if time.Since(start) > bootLimit {
			jobs, _ := m.Try("systemctl", "list-jobs")
			t.Fatalf("not up after %v: %s %v\n%s\n%s", bootLimit, state, err, jobs, m.Journal())
		}
	}
}

// Root is the machine's root directory, for the host's own eyes.
func (m *Machine) Root() string { return filepath.Join("/proc", strconv.Itoa(m.pid), "root") }

// Try runs a command in the machine as root and returns all that it wrote.
func (m *Machine) Try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := m.Command(ctx, args...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Command is one to be run in the machine as root.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", slices.Concat(enter, args)...)
	cmd.WaitDelay = time.Second // nsenter forks, and what it runs holds the pipe
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	return cmd
}

// Run is [Machine.Try] for what must not fail.
func (m *Machine) Run(args ...string) string {
	m.t.Helper()
	out, err := m.Try(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out, m.Journal())
	}
	return out
}

// Shell runs lines of bash that must not fail.
func (m *Machine) Shell(lines string) string {
	m.t.Helper()
	return m.Run("bash", "-euc", lines)
}

// Property returns one property of a unit, as systemctl show prints it.
func (m *Machine) Property(unit, name string) string {
	m.t.Helper()
	return m.Run("systemctl", "show", "--value", "-p", name, unit)
}

// Await waits until something holds.
func (m *Machine) Await(limit time.Duration, what string, holds func() bool) {
	m.t.Helper()
	for start := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > limit {
			m.t.Fatalf("after %v still not: %s\n%s", limit, what, m.Journal())
		}
	}
}

// Journal is the end of what the machine logged.
func (m *Machine) Journal() string {
	out, _ := m.Try("journalctl", "--no-pager", "-n", "60", "-o", "short-monotonic")
	return out
}

// newGroup makes a cgroup for the machine.
func newGroup(t testing.TB) *os.File {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		sweep(f[1])
		dir, err := os.MkdirTemp(f[1], fmt.Sprintf("ndp-boot-%d-", os.Getpid()))
		if err != nil {
			t.Fatalf("a cgroup for the machine: %v", err)
		}
		group, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return group
	}
	t.Fatal("no machine can be made here: cgroup2 is not mounted")
	return nil
}

// sweep removes what tests left that were killed.
func sweep(root string) {
	left, _ := filepath.Glob(filepath.Join(root, "ndp-boot-*")) // the pattern is good
	for _, dir := range left {
		var pid, n int
		if _, err := fmt.Sscanf(filepath.Base(dir), "ndp-boot-%d-%d", &pid, &n); err == nil && syscall.Kill(pid, 0) != nil {
			_ = removeTree(dir) // or the next one does
		}
	}
}

// removeTree removes cgroups, the inner ones first.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, os.Remove(d))
	}
	return err
}

// removeGroup removes the machine's cgroups, which are empty now or very soon.
func removeGroup(t testing.TB, group *os.File) {
	_ = group.Close()
	var err error
	for range 100 {
		if err = removeTree(group.Name()); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("cgroups are left: %v", err)
}
