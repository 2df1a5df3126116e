package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestWatchFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{"true": 2 * time.Second, "false": 0, "1": time.Second, "0.5": 500 * time.Millisecond, "3600": time.Hour} {
		var f watchFlag
		if err := f.Set(text); err != nil || f.every != want {
			t.Errorf("%s: %v, %v", text, f.every, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "0.01", "3601", "x", "NaN", "Inf", "2s"} {
		var f watchFlag
		if err := f.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, f.every)
		}
	}
}

// commanded is the program with a command's arguments.
func commanded(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), playDaemon+"=1", "TERM=xterm", "NO_COLOR=")
	return c
}

// On a terminal: colour, the width, one picture in the place of the other, and Ctrl-C.
func TestStatusOnATerminal(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	d := launch(t, ini)
	d.await(t, "READY=1")
	start := func(args ...string) (terminal *os.File, shown *lockedBuffer, c *exec.Cmd, ended chan error) {
		c = commanded(t, append([]string{"status", "--config-file", ini}, args...)...)
		terminal, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80}) // its controlling one
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = terminal.Close() })
		shown, ended = &lockedBuffer{}, make(chan error, 1)
		go func() {
			_, _ = io.Copy(shown, terminal) // ends with EIO when nobody has the other end
			ended <- c.Wait()
		}()
		return terminal, shown, c, ended
	}
	await := func(ended chan error, shown *lockedBuffer) {
		t.Helper()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v\n%q", err, shown)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("did not end:\n%q", shown)
		}
	}
	_, shown, _, ended := start()
	await(ended, shown)
	if text := shown.String(); !strings.Contains(text, "\x1b[32min sync\x1b[m") || strings.Contains(text, "\x1b[H") {
		t.Errorf("%q", text)
	}
	_, shown, _, ended = start("--color=never")
	await(ended, shown)
	if text := shown.String(); strings.Contains(text, "\x1b") || !strings.Contains(text, "in sync") {
		t.Errorf("%q", text)
	}

	terminal, shown, _, ended := start("--watch=0.1")
	pictures := func(n int) func() bool {
		return func() bool {
			text := shown.String()
			return strings.Count(text, "\x1b[H\x1b[2J") == 1 && strings.Count(text, "\x1b[H") > n && strings.Count(text, "in sync") > n
		}
	}
	nettest.Eventually(t, 10*time.Second, "three pictures", pictures(3))
	// The daemon goes, which is said, and comes back.
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	nettest.Eventually(t, 10*time.Second, "that nobody is there", func() bool { return strings.Contains(shown.String(), "no daemon listens there") })
	d = launch(t, ini)
	d.await(t, "READY=1")
	before := strings.Count(shown.String(), "in sync")
	nettest.Eventually(t, 10*time.Second, "the next daemon", pictures(before+1))
	if _, err := terminal.WriteString("\x03"); err != nil { // Ctrl-C, of which the terminal makes SIGINT
		t.Fatal(err)
	}
	await(ended, shown)
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}

// Elsewhere each follows the other, with the time; as JSON one a line.
func TestWatchIntoAPipe(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	d := launch(t, ini)
	d.await(t, "READY=1")
	watch := func(enough func(string) bool, args ...string) string {
		t.Helper()
		c := commanded(t, append([]string{"status", "--config-file", ini, "--watch=0.1"}, args...)...)
		out := &lockedBuffer{}
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		nettest.Eventually(t, 10*time.Second, "enough", func() bool { return enough(out.String()) })
		if err := c.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return out.String()
	}
	text := watch(func(s string) bool { return strings.Count(s, "in sync") > 2 })
	first, _, _ := strings.Cut(text, ",")
	if _, err := time.Parse(time.RFC3339, first); err != nil || strings.Contains(text, "\x1b") {
		t.Errorf("%v\n%q", err, text)
	}
	lines := strings.Split(strings.TrimSpace(watch(func(s string) bool { return strings.Count(s, "\n") > 2 }, "--json")), "\n")
	for _, l := range lines {
		var s admin.Status
		if err := json.Unmarshal([]byte(l), &s); err != nil || !s.Ready {
			t.Errorf("%v: %s", err, l)
		}
	}
	// What was asked wrongly is not asked again.
	var out, complaints bytes.Buffer
	if code := run([]string{"status", "--config-file", ini, "--watch", "--router=nosuch"}, &out, &complaints); code != exitFailed || !strings.Contains(complaints.String(), `no router of this host is called "nosuch"`) {
		t.Errorf("code %d, %s%s", code, out.String(), complaints.String())
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}
