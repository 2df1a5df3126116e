package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

var errExited = errors.New("function left its goroutine instead of returning")

// Denied adds to a permission that the kernel refused which capabilities this
// daemon needs; other errors and nil stay as they are.
func Denied(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	return fmt.Errorf("%w (needs CAP_SYS_ADMIN to enter a network namespace, CAP_NET_ADMIN to change it)", err)
}

// Do runs fn on a thread of its own inside the namespace and waits for it.
//
// The namespace belongs to the thread, so fn must not start goroutines and
// expect them to be inside; sockets that it opens stay in the namespace and
// may be used anywhere. /proc/sys/net is resolved by the thread that opens
// the file, so sysctls are read and written inside.
//
// When the way back fails the goroutine ends with its thread still locked, and
// the runtime destroys the thread: a thread in the wrong namespace never goes
// back to the pool. That error is returned too, after fn's own.
func (h *Handle) Do(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errExited
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot be destroyed. Occupy it, so that the
			// second attempt runs on another one.
			defer runtime.UnlockOSThread()
			result <- h.Do(fn)
			return
		}
		// A function that calls runtime.Goexit (t.FailNow in a test) leaves
		// through here, thread locked; nobody waits for ever.
		defer func() { result <- err }()
		err = h.do(fn)
	}()
	return <-result
}

// do runs on a goroutine that is locked to its thread and ends right after it.
func (h *Handle) do(fn func() error) error {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("own network namespace: %w", err)
	}
	defer func() { _ = home.Close() }() // read-only
	if err := h.setns(int(h.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", h.name, Denied(os.NewSyscallError("setns", err)))
	}
	err = fn()
	if back := h.setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave namespace %s: %w", h.name, os.NewSyscallError("setns", back)))
	}
	runtime.UnlockOSThread()
	return err
}
