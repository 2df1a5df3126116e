package rtnl

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

// The first questions of a process may be asked from several goroutines at once.
// Under -race, in a process of its own, where nothing was asked before.
func TestFirstUseAtOnce(t *testing.T) {
	const child = "NDSEND_TEST_FIRST_USE"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFirstUseAtOnce$", "-test.count=1")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := Open()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.Addresses(1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
