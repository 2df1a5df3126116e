package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// hear returns what the program tells systemd for a while, with the times.
func (d *process) hear(t *testing.T, span time.Duration) (said []string, at []time.Time) {
	t.Helper()
	if err := d.notify.SetReadDeadline(time.Now().Add(span)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := d.notify.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return said, at
		}
		if err != nil {
			t.Fatal(err)
		}
		said, at = append(said, string(buf[:n])), append(at, time.Now())
	}
}

// hungLook is a configuration with which the look at one namespace never ends: its
// name is a pipe that nobody writes to, and open(2) waits, whatever a context says.
func hungLook(t *testing.T) (ini string) {
	t.Helper()
	dir := t.TempDir()
	ini = filepath.Join(dir, "agent.ini")
	put(t, ini, "[ndp_proxy]\nsource = file\nsource_file = "+dir+"/p.yaml\nnetns_dir = "+dir+"/netns\nruntime_dir = "+dir+"/run\n")
	put(t, dir+"/p.yaml", "version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: qg\n    internal_subnets: ['2001:db8::/64']\n    published: ['2001:db8::1']\n")
	if err := os.Mkdir(dir+"/netns", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/netns/router", 0o600); err != nil {
		t.Fatal(err)
	}
	return ini
}

func TestWatchdogOfAStuckLook(t *testing.T) {
	t.Parallel()
	d := launchIn(t, "", hungLook(t), "WATCHDOG_USEC=400000") // five times that for a look
	d.await(t, "WATCHDOG=1")
	d.await(t, "STATUS=waiting for the first full sync; stuck: look at router, for")
	d.await(t, "WATCHDOG=trigger")
	if said, _ := d.hear(t, time.Second); slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "WATCHDOG=1") }) {
		t.Errorf("still said to be well: %q", said)
	}
	if !strings.Contains(d.log.String(), "look at router") {
		t.Errorf("the log does not name it:\n%s", d.log)
	}
	// What systemd does then: everything that is going on is shown.
	// And not with Go's exit code 2, after which systemd would not start it again.
	var exit *exec.ExitError
	if err := d.end(t, syscall.SIGABRT); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGABRT {
		t.Errorf("after SIGABRT: %v", err)
	}
	if !strings.Contains(d.log.String(), "netns.Open") {
		t.Errorf("where it hangs is not shown:\n%s", d.log)
	}
}

// Waiting for a broker that is not there, for longer than the watchdog waits, is
// not being stuck.
func TestWatchdogWithoutABroker(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second // of which a busy machine takes its part
	dir := t.TempDir()
	ini := filepath.Join(dir, "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:p@127.0.0.1:1/\n[ndp_proxy]\nnetns_dir = "+dir+"\nruntime_dir = "+dir+"/run\n")
	d := launchIn(t, "", ini, "WATCHDOG_USEC=2000000")
	d.await(t, "WATCHDOG=1")
	last := time.Now()
	said, at := d.hear(t, 3*limit)
	beats := 0
	for i, s := range said {
		if strings.Contains(s, "WATCHDOG=trigger") {
			t.Fatalf("called stuck: %s", d.log)
		}
		if !strings.Contains(s, "WATCHDOG=1") {
			continue
		}
		if pause := at[i].Sub(last); pause > limit {
			t.Errorf("no word for %v", pause)
		}
		last = at[i]
		beats++
	}
	if beats < 4 {
		t.Errorf("%d words in %v: %q", beats, 3*limit, said)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
}

func TestStatusNamesTheBroker(t *testing.T) {
	t.Parallel()
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:topsecret@127.0.0.1:1/\n[ndp_proxy]\nnetns_dir = "+t.TempDir()+"\n")
	d := launchIn(t, "", ini, "WATCHDOG_USEC=400000")
	d.await(t, "STATUS=waiting for the first full sync; not connected to a broker")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
}

// Whatever hangs, a signal ends the program.
func TestStopIsBounded(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	broker := filepath.Join(t.TempDir(), "broker.ini")
	put(t, broker, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:p@"+silent.Addr().String()+"/\n[ndp_proxy]\nnetns_dir = "+t.TempDir()+"\n")
	for name, c := range map[string]struct {
		ini     string
		forced  bool
		signals int
	}{
		"a broker that does not answer": {ini: broker, signals: 1},
		"a look that hangs":             {ini: hungLook(t), forced: true, signals: 1},
		"a second signal":               {ini: hungLook(t), forced: true, signals: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := launch(t, c.ini)
			d.await(t, "STATUS=waiting")
			time.Sleep(200 * time.Millisecond) // it hangs by now
			start := time.Now()
			for range c.signals - 1 {
				d.signal(t, syscall.SIGTERM)
				nettest.Eventually(t, 5*time.Second, "the first signal to be heard", func() bool {
					said, _ := d.hear(t, 50*time.Millisecond)
					return slices.Contains(said, "STOPPING=1")
				})
				time.Sleep(300 * time.Millisecond) // the default action is put back beside that
			}
			err := d.end(t, syscall.SIGTERM)
			took := time.Since(start)
			at := stopLimit + 2*time.Second
			if c.signals > 1 {
				at = stopLimit - time.Second
			}
			if took > at {
				t.Errorf("took %v", took)
			}
			if forced := err != nil; forced != c.forced {
				t.Errorf("ended with %v\n%s", err, d.log)
			}
			if c.forced && c.signals == 1 && !strings.Contains(d.log.String(), "not everything ended within") {
				t.Errorf("not said why:\n%s", d.log)
			}
		})
	}
}
