package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/dataplane/watch"
	"neutron-ndp-proxy-agent/test/nettest"
)

// Events that overrun the socket's buffer are noticed, and those after it are
// heard again.
func TestOverrun(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	n.Device("qg-1")
	// One link message fills it.
	core, logs := observer.New(zap.InfoLevel)
	l := start(t, watch.Options{NetnsDir: lab.Dir, ReceiveBuffer: 1, Rescan: time.Second, Logger: zap.New(core)})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	batch := filepath.Join(t.TempDir(), "batch")
	var commands []byte
	for i := range 1000 {
		commands = fmt.Appendf(commands, "address replace 2001:db8::%x/128 dev qg-1 nodad\n", i+1)
	}
	if err := os.WriteFile(batch, commands, 0o600); err != nil {
		t.Fatal(err)
	}
	for storms := 0; logs.FilterMessageSnippet("events of a namespace were lost").Len() == 0; storms++ {
		if storms == 20 {
			t.Fatal("never overrun")
		}
		n.IP("-6", "-batch", batch)
		l.quiet()
	}
	l.quiet()
	n.Sysctl("net/ipv6/conf/qg-1/proxy_ndp", "1")
	l.expect("a", watch.CauseSetting)
}

// A reader that does not read holds up nobody, and gets one event for all it
// missed.
func TestSlowReader(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	n.Device("qg-1")
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	l.quiet()
	for i := range 100 {
		n.AddAddr("qg-1", fmt.Sprintf("2001:db8::%x/128", i+1))
	}
	events := 0
	for done := false; !done; {
		select {
		case <-l.Events():
			events++
		case <-time.After(200 * time.Millisecond):
			done = true
		}
	}
	// One that waited to be taken, one for what came meanwhile, and some for
	// what the kernel still had to say.
	if events == 0 || events > 20 {
		t.Errorf("%d events", events)
	}
}

// Following many namespaces costs no thread each.
func TestManyNamespacesTakeNoThreads(t *testing.T) {
	lab := nettest.New(t)
	const many = 150
	for i := range many {
		lab.Namespace(fmt.Sprintf("n%03d", i))
	}
	l := start(t, watch.Options{NetnsDir: lab.Dir})
	before := threads(t)
	for i := range many {
		l.Follow(fmt.Sprintf("n%03d", i))
	}
	for seen := map[string]bool{}; len(seen) < many; {
		select {
		case e := <-l.Events():
			seen[e.Namespace] = true
		case <-time.After(patience):
			t.Fatalf("%d namespaces of %d", len(seen), many)
		}
	}
	if after := threads(t); after > before+20 {
		t.Errorf("%d threads, %d before following %d namespaces", after, before, many)
	}
	if n := pprof.Lookup("goroutine").Count(); n < many {
		t.Errorf("only %d goroutines: not following", n)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
