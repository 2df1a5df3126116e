package rabbit

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that dies with us.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs a program with its output in a file. The thread that forked it
// stays until it ended: the kernel sends the parent-death signal when that
// thread exits, not when the process does.
func start(log string, env []string, name string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("rabbit: %w", err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed on purpose, mostly; done is what counts
		}
		_ = f.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("rabbit: start %s: %w", name, err)
	}
	return p, nil
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) signal(sig syscall.Signal) error {
	if p.exited() {
		return fmt.Errorf("rabbit: process %d has exited", p.cmd.Process.Pid)
	}
	return p.cmd.Process.Signal(sig)
}

// stop sends sig, waits, and kills after limit. What the process started
// (Erlang's port helpers) goes with its process group.
func (p *process) stop(sig syscall.Signal, limit time.Duration) error {
	if p.exited() {
		return nil
	}
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGCONT) // a paused process hears nothing else
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("rabbit: stop process %d: %w", pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("rabbit: process %d did not stop within %v and was killed", pid, limit)
}
