//go:build rabbitmq

package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limitFaults are a machine that has not enough of something, sleeps, or does not
// know what time it is.
func limitFaults() []fault {
	return []fault{
		descriptors(),
		{name: "suspended, and events overflow (SIGSTOP)", hits: []string{"victim"}, shows: "events of a namespace were lost", within: audit + reconnected,
			do: func(s *stage, t *testing.T) {
				must(t, s.daemon.signal(syscall.SIGSTOP))
				var lines []string
				for _, verb := range []string{"replace", "del"} {
					for i := range 3000 {
						lines = append(lines, fmt.Sprintf("addr %s 2001:db8:ffff::%x/128 dev lo", verb, i+1))
					}
				}
				s.host.Namespace(s.victim.namespace).Batch(lines...)
				switchOff(s, s.victim) // of which the event is lost
				time.Sleep(2 * heartbeat)
				must(t, s.daemon.signal(syscall.SIGCONT))
			}},
		{name: "runtime_dir read-only", shows: "runtime directory can't be used.*read-only", hold: time.Second, within: repaired,
			do: func(s *stage, t *testing.T) { s.cover(t, unix.MS_RDONLY, "") }, undo: (*stage).uncover},
		{name: "runtime_dir full", shows: "runtime directory can't be used.*no space left", hold: time.Second, within: repaired,
			do: func(s *stage, t *testing.T) { s.cover(t, 0, "nr_inodes=1") }, undo: (*stage).uncover},
		clock("days ahead", 3*day),
		clock("days back", -3*day),
	}
}

// descriptors lets the process open no more files, so that no namespace can be
// looked at.
func descriptors() fault {
	var was unix.Rlimit
	limit := func(t *testing.T, s *stage, to unix.Rlimit) (old unix.Rlimit) {
		must(t, unix.Prlimit(s.daemon.pid(), unix.RLIMIT_NOFILE, &to, &old))
		return old
	}
	return fault{
		name: "no more file descriptors", shows: "too many open files", hold: audit, within: audit + repaired,
		do: func(s *stage, t *testing.T) {
			must(t, unix.Prlimit(s.daemon.pid(), unix.RLIMIT_NOFILE, nil, &was))
			limit(t, s, unix.Rlimit{Cur: 8, Max: was.Max})
		},
		undo: func(s *stage, t *testing.T) { limit(t, s, was) },
	}
}

// cover mounts a file system over the daemon's runtime directory.
func (s *stage) cover(t *testing.T, flags uintptr, options string) {
	// The next churn publishes, so that announcements are owed; and the one before
	// it did so in peace.
	churns := 2
	if s.victim.moved != nil {
		churns = 3
	}
	for range churns {
		s.churn()
		s.SettleWithin(t, repaired)
	}
	dir := filepath.Join(s.dir, "run")
	must(t, unix.Mount("tmpfs", dir, "tmpfs", flags, options))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // if it was not undone
}

func (s *stage) uncover(t *testing.T) {
	must(t, unix.Unmount(filepath.Join(s.dir, "run"), unix.MNT_DETACH))
}

const day = 24 * time.Hour

// clock sets the wall clock of the daemon, and after a while back. Neither may
// cost a packet, a connection or an audit.
func clock(where string, by time.Duration) fault {
	// The lines of the log bear the date; midnight may come before they are written.
	dates := []string{time.Now().Add(by).Format(time.DateOnly), time.Now().Add(by + day).Format(time.DateOnly)}
	return fault{
		name: "clock set " + where, shows: "^(" + strings.Join(dates, "|") + ")", never: saysLost + "|can't be made",
		hold: 2 * heartbeat, within: repaired,
		do: func(s *stage, t *testing.T) {
			must(t, setClock(s.dir, by))
			// What no event tells is found by an audit, so audits go on.
			deleteEntry(s, s.victim)
		},
		undo: func(s *stage, t *testing.T) {
			if left := s.Differences(repaired); len(left) > 0 {
				t.Errorf("no audit with the clock %s: %s", where, strings.Join(left, "\n"))
			}
			must(t, setClock(s.dir, 0))
		},
		hits: []string{"victim"},
	}
}

const clockFile, clockVariable = "clock", "CHAOS_CLOCK"

// setClock sets the wall clock of the program that runs in dir apart from the
// machine's, and leaves its monotonic one.
func setClock(dir string, by time.Duration) error {
	f, err := os.OpenFile(filepath.Join(dir, clockFile), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(nativeInt64(int64(by/time.Second)), 0) // eight bytes at once
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
