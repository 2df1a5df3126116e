package lab

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
)

// DaemonConfig says how to start the daemon under test.
type DaemonConfig struct {
	// Ours is the text of ndp_proxy_agent.ini after its [ndp_proxy] line.
	Ours string
	// More are further --config-file arguments before ours: later files win.
	More []string
	// Args replaces all arguments if it is not nil.
	Args []string
	// Node is the host it runs on and whose files it reads; nil is the first.
	Node *Node
}

// Daemon is a running neutron-ndp-proxy-agent.
type Daemon struct {
	cmd    *exec.Cmd
	notify *net.UnixConn
	log    *os.File
	exited chan struct{}

	mu    sync.Mutex
	state map[string]time.Time // sd_notify assignments as sent, and when
}

// StartDaemon starts the daemon with the operator's own configuration files and returns at once. At
// the end of the test it is stopped, and after a failure the end of its log is shown.
func (l *Lab) StartDaemon(t testing.TB, c DaemonConfig) *Daemon {
	t.Helper()
	d, err := l.startDaemon(strings.NewReplacer("/", "-", " ", "_").Replace(t.Name()), t.TempDir(), c)
	if err != nil {
		t.Fatalf("start the daemon: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Errorf("end of the daemon: %v", err)
		}
		if t.Failed() {
			t.Logf("daemon log %s:\n%s", d.log.Name(), d.tail(60))
		}
		_ = d.log.Close()
	})
	return d
}

func (l *Lab) startDaemon(name, dir string, c DaemonConfig) (*Daemon, error) {
	log, err := os.CreateTemp(filepath.Join(l.Dir, "log"), "daemon-"+name+"-*.log")
	if err != nil {
		return nil, err
	}
	// not in dir: the path of a socket must be shorter than 108 bytes, a test's name need not
	socket := filepath.Join(l.Dir, "run", fmt.Sprint("notify-", time.Now().UnixNano()))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		return nil, err
	}
	node := c.Node
	if node == nil {
		node = &Node{Name: Host, lab: l}
	}
	args := c.Args
	if args == nil {
		ours := filepath.Join(dir, "ndp_proxy_agent.ini")
		// Each host's own: what is owed at a kill is for the next run there.
		text := "[ndp_proxy]\nruntime_dir = " + filepath.Join(l.Dir, "run", "agent-"+node.Name) + "\n" + c.Ours
		if err := os.WriteFile(ours, []byte(text), 0o600); err != nil {
			return nil, err
		}
		for _, f := range append(append([]string{node.NeutronConf(), node.L3Conf()}, c.More...), ours) {
			args = append(args, "--config-file", f)
		}
	}
	d := &Daemon{notify: notify, log: log, exited: make(chan struct{}), state: map[string]time.Time{}}
	d.cmd = node.exec(os.Getenv(EnvBinary), args...)
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + socket, "HOME=" + filepath.Join(l.Dir, "home")}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go d.listen()
	go func() {
		_ = d.cmd.Wait() // how it ended is in ProcessState
		close(d.exited)
		_ = notify.Close()
		_ = os.Remove(socket) // in the lab's directory
	}()
	return d, nil
}

// listen reads sd_notify datagrams until the socket is closed.
func (d *Daemon) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := d.notify.Read(buf)
		if err != nil {
			return
		}
		d.mu.Lock()
		for line := range strings.Lines(string(buf[:n])) {
			d.state[strings.TrimSpace(line)] = time.Now()
		}
		d.mu.Unlock()
	}
}

// notified returns when the daemon sent the assignment.
func (d *Daemon) notified(assignment string) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.state[assignment]
	return at, ok
}

// IsReady tells whether READY=1 was sent.
func (d *Daemon) IsReady() bool {
	_, ok := d.notified("READY=1")
	return ok
}

// Ready waits for READY=1, which the daemon sends after its first full sync is applied.
func (d *Daemon) Ready(ctx context.Context) error {
	for !d.IsReady() {
		select {
		case <-d.exited:
			return fmt.Errorf("the daemon ended (%v) before it was ready:\n%s", d.cmd.ProcessState, d.tail(20))
		case <-ctx.Done():
			return fmt.Errorf("the daemon is not ready: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Exited is closed when the process has ended.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// ExitCode waits for the end and returns the exit code; -1 if a signal ended it.
func (d *Daemon) ExitCode(ctx context.Context) (int, error) {
	select {
	case <-d.exited:
		return d.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("the daemon still runs: %w", ctx.Err())
	}
}

// Stop sends SIGTERM and waits; an exit code other than 0 is an error. A daemon that has ended
// already is left as it is.
func (d *Daemon) Stop(ctx context.Context) error {
	select {
	case <-d.exited:
		return nil
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	code, err := d.ExitCode(ctx)
	if err != nil {
		_ = d.cmd.Process.Kill() // it did not listen to reason
		<-d.exited
		return fmt.Errorf("SIGTERM did not end it within 20 s, killed: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("exit code %d after SIGTERM:\n%s", code, d.tail(20))
	}
	return nil
}

// Kill sends SIGKILL and waits.
func (d *Daemon) Kill() error {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("SIGKILL: %w", err)
	}
	<-d.exited
	return nil
}

// Log returns what the daemon has written so far.
func (d *Daemon) Log() string {
	text, err := os.ReadFile(d.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Lines returns the log lines that match.
func (d *Daemon) Lines(pattern *regexp.Regexp) []string { return matching(d.Log(), pattern) }

func matching(text string, pattern *regexp.Regexp) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if pattern.MatchString(line) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// AwaitLog waits until a log line matches and returns it.
func (d *Daemon) AwaitLog(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	for {
		if found := d.Lines(pattern); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no line of the daemon's log matches %s: %w\n%s", pattern, ctx.Err(), d.tail(20))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Daemon) tail(n int) string {
	lines := strings.SplitAfter(d.Log(), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}

// LogMark remembers where a log of the lab ends, to read only what comes after.
type LogMark struct {
	path   string
	offset int64
}

// MarkLog returns the current end of a process's log.
func (l *Lab) MarkLog(name string) (LogMark, error) {
	info, err := os.Stat(l.LogPath(name))
	if err != nil {
		return LogMark{}, fmt.Errorf("log of %s: %w", name, err)
	}
	return LogMark{l.LogPath(name), info.Size()}, nil
}

// Lines returns the lines after the mark that match.
func (m LogMark) Lines(pattern *regexp.Regexp) ([]string, error) {
	text, err := os.ReadFile(m.path)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return matching(string(text[m.offset:]), pattern), nil
}

// Await waits until a line that matches has come.
func (m LogMark) Await(ctx context.Context, pattern *regexp.Regexp) error {
	for {
		lines, err := m.Lines(pattern)
		if err != nil || len(lines) > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no line %q in %s: %w", pattern, m.path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
