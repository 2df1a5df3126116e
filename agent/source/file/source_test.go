package file_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/source/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one = "version: 1\nnamespaces: [{name: a, devices: [{name: up, internal_subnets: ['2001:db8::/64'], published: ['2001:db8::1']}]}]\n"
	two = "version: 1\nnamespaces: [{name: a, devices: [{name: up, internal_subnets: ['2001:db8::/64'], published: ['2001:db8::1', '2001:db8::2']}]}]\n"
)

type run struct {
	path string
	inv  *inventory.Inventory
	logs *observer.ObservedLogs
	end  func() error
}

func start(t *testing.T, content string) *run {
	t.Helper()
	return startWith(t, content, 50*time.Millisecond)
}

const rescan = 200 * time.Millisecond

func startWith(t *testing.T, content string, settle time.Duration) *run {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &run{path: filepath.Join(t.TempDir(), "published.yaml"), inv: inventory.New(func([]string) {}), logs: logs}
	if content != "" {
		put(t, r.path, content)
	}
	s := file.New(file.Options{Path: r.path, Inventory: r.inv, Log: zap.New(core), Rescan: rescan, Settle: settle})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r.end = func() error { cancel(); return <-done }
	return r
}

func put(t *testing.T, path, content string) {
	t.Helper()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *run) proxies() int { return r.inv.Counts().Proxies }

func TestFollowsTheFile(t *testing.T) {
	r := start(t, one)
	eventually(t, "one address", func() bool { return r.inv.Synced() && r.proxies() == 1 })
	put(t, r.path, two)
	eventually(t, "two addresses after a rename over the file", func() bool { return r.proxies() == 2 })
	put(t, r.path, "version: 1\nnonsense: true\n")
	eventually(t, "a complaint about the mistaken file", func() bool {
		return r.logs.FilterMessageSnippet("source file not used").Len() == 1
	})
	if r.proxies() != 2 {
		t.Error("a mistaken file changed what is published")
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a complaint about the missing file", func() bool {
		return r.logs.FilterMessageSnippet("source file not used").Len() == 2
	})
	put(t, r.path, one)
	eventually(t, "one address again", func() bool { return r.proxies() == 1 })
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if n := r.logs.FilterMessageSnippet("source file not used").Len(); n > 2 {
		t.Errorf("%d complaints about two troubles", n)
	}
}

// A file that is being written is left alone until it rests, whatever the
// rescan thinks.
func TestAHalfWrittenFileIsNotRead(t *testing.T) {
	const settle = 500 * time.Millisecond
	r := startWith(t, two, settle)
	cut := strings.Replace(two, ", '2001:db8::2'", "", 1)
	for tries := 1; ; tries++ {
		eventually(t, "two addresses", func() bool { return r.proxies() == 2 })
		pause, early := r.writeSlowly(t, cut, settle+2*rescan)
		if !early {
			break
		}
		// On a machine that is busy this test may itself have left it alone.
		if pause < settle || tries == 5 {
			t.Fatalf("read while it was being written, with pauses of up to %v", pause)
		}
		put(t, r.path, two)
	}
	eventually(t, "one address once it rests", func() bool { return r.proxies() == 1 })
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// writeSlowly begins the file anew and goes on adding to it. It returns the
// longest pause between two additions, and whether it was read before the end.
func (r *run) writeSlowly(t *testing.T, begin string, span time.Duration) (pause time.Duration, early bool) {
	t.Helper()
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	last := time.Now() // before each write, so that a pause is never taken for shorter
	for end, text := last.Add(span), begin; last.Before(end); text = "#\n" {
		before := time.Now()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		pause, last = max(pause, time.Since(last)), before
		if r.proxies() != 2 {
			return max(pause, time.Since(last)), true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return pause, false
}

func TestAnUnusableFileAtTheStartIsAnError(t *testing.T) {
	for name, content := range map[string]string{"missing": "", "mistaken": "version: 7"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, content)
			time.Sleep(20 * time.Millisecond)
			err := r.end()
			if err == nil {
				t.Fatal("started without a usable file")
			}
			if r.inv.Synced() {
				t.Error("in sync with nothing: everything published would be withdrawn")
			}
		})
	}
}
