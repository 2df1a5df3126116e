package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EnvKeep names the variable that, set to 1, reuses a running lab in LAB_DIR (default
// /tmp/ndp-lab) or starts one there, and leaves it running.
const EnvKeep = "LAB_KEEP"

// EnvBinary names the variable with the path of the daemon to test; without it Main builds one.
const EnvBinary = "NDP_AGENT_BIN"

const temporary = "/tmp/ndp-lab-test-"

// Main is the body of TestMain: os.Exit(lab.Main(m)). Outside a lab it brings one up, runs this same
// test binary inside it and takes it down again; inside it runs the tests.
func Main(m *testing.M) int {
	_, inside, err := Inside()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case inside:
		return m.Run()
	case os.Geteuid() != 0:
		fmt.Fprintln(os.Stderr, "SKIP: the lab needs root (network namespaces, packages)")
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := outside(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return code
}

// outside returns the exit code of the tests.
func outside(ctx context.Context) (code int, err error) {
	keep := os.Getenv(EnvKeep) == "1"
	l, err := place(keep)
	if err != nil {
		return 1, err
	}
	binary, cleanup, err := l.build(ctx)
	if err != nil {
		return 1, err
	}
	defer cleanup()
	var lease *os.File
	if !keep {
		removeStale(ctx)
		// the writing end lives exactly as long as this process
		read, write, err := os.Pipe()
		if err != nil {
			return 1, fmt.Errorf("lease of the lab: %w", err)
		}
		defer write.Close()
		lease = read
		defer func() {
			// the context may be cancelled already; taking down is due all the same
			down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, l.Down(down))
		}()
	}
	began := time.Now()
	if err := l.Up(ctx, lease, os.Stderr); err != nil {
		l.saveLogs()
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "lab: up after %.1f s\n", time.Since(began).Seconds())
	code, err = l.rerun(ctx, binary)
	if code != 0 || err != nil {
		l.saveLogs()
	}
	return code, err
}

// place chooses the directory: a private one, so that no lab in use is ever touched, unless kept.
func place(keep bool) (*Lab, error) {
	if !keep {
		return Open(fmt.Sprintf("%s%d", temporary, os.Getpid()))
	}
	dir := os.Getenv("LAB_DIR")
	if dir == "" {
		dir = "/tmp/ndp-lab"
	}
	return Open(dir)
}

// removeStale deletes the directories of earlier runs that were killed (their processes died with
// them). A directory whose number is the pid of a living process is left alone.
func removeStale(ctx context.Context) {
	dirs, _ := filepath.Glob(temporary + "[0-9]*") // the pattern is valid
	for _, dir := range dirs {
		if _, err := os.Stat("/proc/" + strings.TrimPrefix(dir, temporary)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if l, err := Open(dir); err == nil {
			if err := l.Down(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "lab: remains of an earlier run:", err)
			}
		}
	}
}

// build makes the daemon under test, outside: inside the lab there is no network for modules.
func (l *Lab) build(ctx context.Context) (binary string, cleanup func(), err error) {
	if given := os.Getenv(EnvBinary); given != "" {
		binary, err = filepath.Abs(given)
		return binary, func() {}, err
	}
	dir, err := os.MkdirTemp("", "ndp-lab-bin-")
	if err != nil {
		return "", nil, fmt.Errorf("build the daemon: %w", err)
	}
	cleanup = func() { _ = os.RemoveAll(dir) } // in the temporary directory
	binary = filepath.Join(dir, "neutron-ndp-proxy-agent")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/neutron-ndp-proxy-agent")
	cmd.Dir = l.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		cleanup()
		return "", nil, fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return binary, cleanup, nil
}

// rerun executes this test binary with the same arguments inside the lab.
func (l *Lab) rerun(ctx context.Context, binary string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("run the tests in the lab: %w", err)
	}
	cmd := l.script(ctx, "enter", append([]string{self}, os.Args[1:]...)...)
	// the tests' temporary files end with the lab, also when the tests are killed
	tmp := filepath.Join(l.Dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil { //nolint:gosec // a lab holds no secrets
		return 1, fmt.Errorf("run the tests in the lab: %w", err)
	}
	cmd.Env = append(cmd.Env, EnvBinary+"="+binary, "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, fmt.Errorf("run the tests in the lab: %w", err)
	}
	return 0, nil
}

// saveLogs copies the logs of all processes to a place that outlives the lab and shows the end of
// each, so that a failure in CI can be read from its output alone.
func (l *Lab) saveLogs() {
	saved, err := os.MkdirTemp("", "ndp-lab-logs-")
	if err == nil {
		err = os.CopyFS(saved, os.DirFS(filepath.Join(l.Dir, "log")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: logs could not be kept:", err)
		return
	}
	logs, _ := filepath.Glob(filepath.Join(saved, "*.log")) // the pattern is valid
	for _, path := range logs {
		fmt.Fprintf(os.Stderr, "=== %s\n%s", filepath.Base(path), worth(path))
	}
	fmt.Fprintf(os.Stderr, "lab: the logs of all processes are kept in %s\n", saved)
}

// worth returns the last lines of a log, and before them its last errors.
func worth(path string) string {
	const errorLines, lastLines = 10, 8
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + "\n"
	}
	lines := strings.SplitAfter(string(text), "\n")
	var bad []string
	for _, line := range lines[:max(0, len(lines)-lastLines)] {
		if strings.Contains(line, " ERROR ") || strings.Contains(line, " CRITICAL ") || strings.Contains(line, "Traceback") {
			bad = append(bad, line)
		}
	}
	keep := append(bad[max(0, len(bad)-errorLines):], lines[max(0, len(lines)-lastLines):]...)
	for i, line := range keep {
		if len(line) > 400 {
			keep[i] = line[:400] + "...\n"
		}
	}
	return strings.Join(keep, "")
}
