//go:build rabbitmq

package chaos

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process holds. Goroutines can't be counted from outside while
// it runs: threads are, and goroutines once at the end (see [daemon.goroutines]).
type usage struct {
	RSS          int // kB, of a program with the race detector
	Threads, FDs int
}

func (u usage) String() string {
	return fmt.Sprintf("%d MB, %d threads, %d fds", u.RSS/1024, u.Threads, u.FDs)
}

// outgrew reports whether a process needs more than slack more than some time ago.
func (u usage) outgrew(old usage, ago time.Duration) bool {
	rss := slackRSS
	if *race {
		rss = slackRaceRSS + int(ago.Minutes()*4096)
	}
	return u.FDs > old.FDs+slackFDs || u.Threads > old.Threads+slackThreads || u.RSS > old.RSS+rss
}

var statusLine = regexp.MustCompile(`(?m)^(VmRSS|Threads):\s+(\d+)`)

func (d *daemon) usage() (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid()))
	if err != nil {
		return u, err
	}
	for _, m := range statusLine.FindAllStringSubmatch(string(status), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return u, err
		}
		if m[1] == "VmRSS" {
			u.RSS = n
		} else {
			u.Threads = n
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.pid()))
	if err != nil {
		return u, err
	}
	u.FDs = len(fds)
	return u, nil
}

var goroutineLine = regexp.MustCompile(`(?m)^goroutine \d+ `)

// goroutines ends the process by SIGQUIT, to which Go answers with all stacks,
// and counts them.
func (d *daemon) goroutines() (int, error) {
	offset := len(d.log())
	if err := d.signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	select {
	case <-d.exited:
	case <-time.After(20 * time.Second):
		return 0, fmt.Errorf("SIGQUIT did not end the daemon")
	}
	text := d.log()[offset:]
	if !strings.Contains(text, "SIGQUIT") {
		return 0, fmt.Errorf("no stacks after SIGQUIT")
	}
	return len(goroutineLine.FindAllString(text, -1)), nil
}
