package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/config"
)

// idle is the configuration of a daemon that has nothing to do, and what else
// stands in [DEFAULT].
func idle(t *testing.T, more string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "published.yaml")
	put(t, source, "version: 1\nnamespaces: []\n")
	return fmt.Sprintf("[ndp_proxy]\nsource = file\nsource_file = %s\nnetns_dir = %s\nruntime_dir = %s/run\n[DEFAULT]\n%s", source, dir, dir, more)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// contains waits for a text in a file.
func contains(t *testing.T, path, text string) {
	t.Helper()
	var got []byte
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		var err error
		if got, err = os.ReadFile(path); err == nil && strings.Contains(string(got), text) {
			return
		}
	}
	t.Fatalf("%s lacks %q: %q", path, text, got)
}

func TestNoReports(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:p@127.0.0.1:1/\n[agent]\nreport_interval = 0\n[ndp_proxy]\nnetns_dir = "+t.TempDir()+"\n")
	d := launch(t, ini)
	d.await(t, "STATUS=waiting")
	for start := time.Now(); !strings.Contains(d.log.String(), "127.0.0.1:1"); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("no attempt to reach the broker:\n%s", d.log)
		}
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
}

// A SIGHUP that comes while the configuration is still read ends nothing, and
// counts later.
func TestEarlyHangup(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	if err := syscall.Mkfifo(ini, 0o600); err != nil {
		t.Fatal(err)
	}
	d := launch(t, ini)
	pipe, err := os.OpenFile(ini, os.O_WRONLY, 0) // waits for the daemon to open its end
	if err != nil {
		t.Fatal(err)
	}
	d.signal(t, syscall.SIGHUP)
	if _, err := pipe.WriteString(idle(t, "")); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "READY=1")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
	if !strings.Contains(d.log.String(), "SIGHUP") {
		t.Errorf("the SIGHUP was forgotten:\n%s", d.log)
	}
}

// Nor does one that comes while the daemon stops, which is an orderly stop all
// the same.
func TestLateHangup(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	for range 3 {
		d := launch(t, ini)
		d.await(t, "READY=1")
		d.signal(t, syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- <-d.exited }()
		for end := time.Now().Add(10 * time.Second); ; {
			_ = d.cmd.Process.Signal(syscall.SIGHUP) // until it is gone
			select {
			case err := <-ended:
				if err != nil {
					t.Fatalf("SIGTERM and SIGHUP: %v\n%s", err, d.log)
				}
			case <-time.After(20 * time.Microsecond):
				if time.Now().After(end) {
					t.Fatalf("still running 10 s after SIGTERM\n%s", d.log)
				}
				continue
			}
			break
		}
	}
}

// What logrotate does: rename, signal.
func TestLogIsRotated(t *testing.T) {
	dir := t.TempDir()
	ini, path := filepath.Join(dir, "agent.ini"), filepath.Join(dir, "agent.log")
	put(t, ini, idle(t, "log_file = "+path+"\n"))
	d := launch(t, ini)
	d.await(t, "READY=1")
	contains(t, path, "ready") // nobody who logs waits for the file
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	d.signal(t, syscall.SIGHUP)
	contains(t, path, "SIGHUP")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
	contains(t, path, "the dataplane stays")
	contains(t, path+".1", "ready")
	if old, err := os.ReadFile(path + ".1"); err != nil || strings.Contains(string(old), "SIGHUP") {
		t.Errorf("the old file got lines after SIGHUP: %v\n%s", err, old)
	}
}

func TestWatchLogFile(t *testing.T) {
	for _, watch := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "a.log")
		var stderr lockedBuffer
		log, output, err := newLogger(config.Log{File: path, WatchFile: watch}, false, &stderr)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("first")
		if err := log.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		log.Info("second")
		if err := log.Sync(); err != nil {
			t.Fatal(err)
		}
		to := map[bool]string{true: path, false: path + ".1"}[watch]
		contains(t, path+".1", "first")
		contains(t, to, "second")
		if err := output.Close(); err != nil {
			t.Error(err)
		}
		if got := stderr.String(); got != "" {
			t.Errorf("standard error: %s", got)
		}
	}
}

// When no new file can be made, no line is lost and somebody is told.
func TestLogCannotMove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var stderr lockedBuffer
	log, output, err := newLogger(config.Log{File: "a.log", Dir: dir, WatchFile: true}, false, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	if err := output.Reopen(); err == nil || !strings.Contains(err.Error(), dir+"/a.log") {
		t.Errorf("Reopen: %v", err)
	}
	log.Info("kept", zap.Int("n", 1))
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	contains(t, dir+".1/a.log", "kept")
	if err := output.Close(); err != nil {
		t.Error(err)
	}
	if got := stderr.String(); !strings.Contains(got, "log file: open "+dir+"/a.log") {
		t.Errorf("standard error %q does not say what is wrong", got)
	}
}

func TestLongestRetry(t *testing.T) {
	for audit, want := range map[time.Duration]time.Duration{
		5 * time.Second: 2500 * time.Millisecond, 20 * time.Second: 10 * time.Second, time.Minute: 30 * time.Second, time.Hour: 30 * time.Second,
	} {
		if got := longestRetry(audit); got != want {
			t.Errorf("audit every %v: retries at most %v apart, want %v", audit, got, want)
		}
	}
}
