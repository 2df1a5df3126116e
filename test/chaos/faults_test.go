//go:build rabbitmq

package chaos

import (
	"strings"
	"testing"
)

// Each fault alone, on one host that lives through all of them.
func TestFaults(t *testing.T) {
	s := newStage(t)
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			t.Logf("%s: %v", f.name, s.survive(t, f))
			if t.Failed() {
				// The others are about something else.
				s.daemon.kill()
				s.start(t)
			}
		})
	}
}
