package pulse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/pulse"
)

func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pulse.New(time.Second)
		want := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, m.Overdue()); diff != "" {
				t.Errorf("overdue (-want +got):\n%s", diff)
			}
		}
		look := m.Work("a look")
		turn := m.Turn("a loop", 2*time.Second)
		want()
		time.Sleep(3 * time.Second)
		want()
		time.Sleep(time.Millisecond)
		want("a loop, for 3.001s")
		time.Sleep(2 * time.Second)
		want("a look, for 5.001s", "a loop, for 5.001s")
		turn()
		turn()
		want("a look, for 5.001s")
		look()
		want()
	})
}

func TestCheck(t *testing.T) {
	m := pulse.New(time.Second)
	var got time.Duration
	answer := ""
	m.Check(func(limit time.Duration) string {
		got = limit
		m.Turn("asking holds no lock", 0)()
		return answer
	})
	if o := m.Overdue(); len(o) != 0 || got != 5*time.Second {
		t.Errorf("%q, asked with %v", o, got)
	}
	answer = "the queue"
	if o := m.Overdue(); len(o) != 1 || o[0] != answer {
		t.Errorf("overdue %q", o)
	}
}

func TestManyAreNotAllNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pulse.New(time.Second)
		for i := range 1000 {
			m.Turn(fmt.Sprint(i), 0)
		}
		time.Sleep(2 * time.Second)
		o := m.Overdue()
		if len(o) != 9 || !strings.Contains(o[8], "992 more") {
			t.Errorf("%q", o)
		}
	})
}

func TestNil(t *testing.T) {
	var m *pulse.Monitor
	m.Turn("a loop", 0)()
	m.Work("a look")()
	m.Check(nil)
	if o := m.Overdue(); o != nil {
		t.Errorf("%q", o)
	}
}
