package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/test/nettest"
)

// tmpfs mounts a file system of that size, for root only.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	nettest.RequireRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that is left.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// shout makes the running program log a line of its own, many times.
func shout(t *testing.T, d *process, times int) {
	t.Helper()
	for range times {
		d.signal(t, syscall.SIGHUP)
		time.Sleep(10 * time.Millisecond)
	}
}

// A log that can't be written, because its disk is full or read-only, stops
// nothing, is said once on standard error, and goes on when it can.
func TestLogOnADiskThatIsFull(t *testing.T) {
	dir := tmpfs(t, "64k")
	ini, path := filepath.Join(t.TempDir(), "agent.ini"), filepath.Join(dir, "agent.log")
	put(t, ini, idle(t, "log_file = "+path+"\nwatch_log_file = true\n"))
	d := launch(t, ini)
	d.await(t, "READY=1")
	free := fill(t, dir)
	const complaint = ": the log: "
	nettest.Eventually(t, 20*time.Second, "the complaint", func() bool {
		shout(t, d, 5)
		return strings.Contains(d.log.String(), complaint)
	})
	shout(t, d, 20)
	if got := d.log.String(); strings.Count(got, complaint) != 1 || !strings.Contains(got, "no space left") {
		t.Errorf("standard error:\n%s", got)
	}
	free()
	shout(t, d, 1)
	contains(t, path, "lines of the log were lost")

	// Read-only: no new file can be made in place of one that was moved away.
	nettest.Eventually(t, 5*time.Second, "peace", func() bool { return strings.Contains(read(t, path), "SIGHUP") })
	before := read(t, path)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	shout(t, d, 20)
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if got := d.log.String(); strings.Count(got, complaint) != 2 || !strings.Contains(got, "read-only file system") {
		t.Errorf("standard error:\n%s", got)
	}
	if got := strings.Count(read(t, path), "SIGHUP: looking") - strings.Count(before, "SIGHUP: looking"); got < 10 {
		t.Errorf("%d lines in the old file", got)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	shout(t, d, 1)
	contains(t, path, "SIGHUP")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	contains(t, path, "the dataplane stays")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// launchWith starts the program with that standard error.
func launchWith(t *testing.T, ini string, stderr *os.File) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &process{cmd: exec.CommandContext(t.Context(), self, "--config-file", ini, "--debug"), log: &lockedBuffer{}, exited: make(chan error, 1)}
	d.listen(t)
	d.cmd.Stderr = stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.cmd.Wait() }()
	return d
}

// Standard error is a pipe that nobody reads: the program starts, does what it is
// told, stops in a bounded time, and what fits into the pipe and its queue is
// there for who reads later.
func TestLogToAPipeThatNobodyReads(t *testing.T) {
	reader, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if _, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	d := launchWith(t, ini, write)
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "READY=1")
	shout(t, d, 200) // some 20 kB
	asked := time.Now()
	d.signal(t, syscall.SIGTERM)
	d.await(t, "STOPPING=1")
	select {
	case err := <-d.exited:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("hangs")
	}
	if took := time.Since(asked); took > 3*time.Second {
		t.Errorf("took %s to stop", took)
	}
	if text, err := io.ReadAll(reader); err != nil || !strings.Contains(string(text), "starting") {
		t.Errorf("%v, %q", err, text)
	}
}

// Who reads the log goes away, or was never there: no line is worth the program.
func TestLogToNobody(t *testing.T) {
	for _, how := range []string{"reader gone", "closed"} {
		t.Run(how, func(t *testing.T) {
			ini := filepath.Join(t.TempDir(), "agent.ini")
			put(t, ini, idle(t, ""))
			var d *process
			if how == "closed" {
				d = launchClosed(t, ini)
			} else {
				reader, write, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				d = launchWith(t, ini, write)
				if err := errors.Join(write.Close(), reader.Close()); err != nil {
					t.Fatal(err)
				}
			}
			d.await(t, "READY=1")
			shout(t, d, 10)
			if err := d.end(t, syscall.SIGTERM); err != nil {
				t.Errorf("after SIGTERM: %v", err)
			}
		})
	}
}

// launchClosed starts the program without descriptors 0 to 2.
func launchClosed(t *testing.T, ini string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("exec %s --config-file %s --debug <&- >&- 2>&-", self, ini)
	d := &process{cmd: exec.CommandContext(t.Context(), "sh", "-c", script), log: &lockedBuffer{}, exited: make(chan error, 1)}
	d.listen(t)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.cmd.Wait() }()
	return d
}
