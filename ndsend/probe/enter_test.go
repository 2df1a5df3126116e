package probe_test

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// enterNamed runs fn on a thread of its own inside the namespace that is bound at path.
func enterNamed(path string, fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		f, err := os.Open(path)
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = fn()
		}
		result <- err
	}()
	return <-result
}
