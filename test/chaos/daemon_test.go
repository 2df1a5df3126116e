//go:build rabbitmq

package chaos

import (
	"syscall"
	"testing"
	"time"
)

// daemonFaults are the daemon's own ends.
func daemonFaults() []fault {
	again := func(s *stage, _ *testing.T) { s.daemon = launch(s.t, s.root, s.dir, s.config()) }
	return []fault{
		{name: "kill -9", within: reconnected, renews: true, hold: time.Second,
			do: func(s *stage, _ *testing.T) { s.daemon.kill() }, undo: again},
		{name: "kill -9 under load", within: audit + reconnected, renews: true, talks: 600,
			do: func(s *stage, t *testing.T) {
				for i := range 6 {
					// Somewhere between the first system call and the end of a sync.
					stop := s.load()
					time.Sleep(time.Duration(i*i) * 40 * time.Millisecond)
					s.daemon.kill()
					stop()
					s.daemon = launch(s.t, s.root, s.dir, s.config())
				}
			},
		},
		{name: "SIGTERM under load", within: audit + reconnected, renews: true, talks: 600,
			do: func(s *stage, t *testing.T) {
				for i := range 3 {
					stop := s.load()
					time.Sleep(time.Duration(i) * 300 * time.Millisecond)
					t.Logf("SIGTERM: ended after %v", s.daemon.stop(t, stopWithin))
					stop()
					s.start(t)
				}
			}},
		{name: "SIGTERM while the broker is silent", within: reconnected, renews: true,
			do: func(s *stage, t *testing.T) {
				s.silence()
				_ = s.daemon.signal(syscall.SIGHUP) // ask for everything, which nobody answers
				time.Sleep(200 * time.Millisecond)
				t.Logf("SIGTERM: ended after %v", s.daemon.stop(t, stopWithin))
				s.speak()
			},
			undo: again},
		{name: "stopped for longer than a heartbeat (SIGSTOP)", within: audit + reconnected, hold: 2 * heartbeat,
			do:   func(s *stage, t *testing.T) { must(t, s.daemon.signal(syscall.SIGSTOP)) },
			undo: func(s *stage, t *testing.T) { must(t, s.daemon.signal(syscall.SIGCONT)) }},
	}
}

// load lets Neutron publish and withdraw all the time, and the operator ask for
// audits, until the returned function is called.
func (s *stage) load() (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
			s.churn()
			// Before it serves, as any program's, a SIGHUP is its end.
			if i%5 == 0 && s.daemon.serves() {
				_ = s.daemon.signal(syscall.SIGHUP) // it may be gone already
			}
		}
	}()
	return func() { close(end); <-done }
}
