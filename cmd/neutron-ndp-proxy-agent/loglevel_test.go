package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/test/nettest"
)

// observed are levels, and what was logged under them.
func observed(configured zapcore.Level) (*levels, *observer.ObservedLogs) {
	level := zap.NewAtomicLevelAt(configured)
	core, logs := observer.New(level)
	return newLevels(level, zap.New(core)), logs
}

// A change is in the log whatever it is from and to, unless both are error.
func TestLevelChangesAreSaid(t *testing.T) {
	for from := range zapcore.Level(4) {
		for to := range zapcore.Level(4) {
			from, to := from+zapcore.DebugLevel, to+zapcore.DebugLevel
			l, logs := observed(from)
			l.set(to, 0, "pid 7, uid 0, gid 0")
			want := 1
			if from == zapcore.ErrorLevel && to == from {
				want = 0
			}
			lines := logs.FilterMessage("the log's level is set").FilterField(zap.String("by", "pid 7, uid 0, gid 0")).
				FilterField(zap.String("from", levelName(from))).FilterField(zap.String("to", levelName(to)))
			if lines.Len() != want || l.level.Level() != to {
				t.Errorf("%v to %v: %d lines, is %v", from, to, lines.Len(), l.level.Level())
			}
		}
	}
}

// What was asked for ends in its time, and the last word counts.
func TestLevelForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, logs := observed(zapcore.InfoLevel)
		is := func(want zapcore.Level) {
			t.Helper()
			synctest.Wait()
			if got := l.level.Level(); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		l.set(zapcore.DebugLevel, 10*time.Minute, "a")
		time.Sleep(9 * time.Minute)
		is(zapcore.DebugLevel)
		l.set(zapcore.DebugLevel, 10*time.Minute, "b")
		time.Sleep(9 * time.Minute)
		is(zapcore.DebugLevel)
		time.Sleep(time.Minute)
		is(zapcore.InfoLevel)
		if n := logs.FilterMessage("the log's level is set").Len(); n != 3 {
			t.Errorf("said %d times", n)
		}
		if a := l.answer(); a.Until != nil {
			t.Errorf("%+v", a)
		}
		l.set(zapcore.ErrorLevel, time.Minute, "a")
		l.set(zapcore.WarnLevel, 0, "b") // lasts
		time.Sleep(time.Hour)
		is(zapcore.WarnLevel)
		l.set(zapcore.DebugLevel, time.Minute, "a")
		l.Close()
		time.Sleep(time.Hour)
		is(zapcore.DebugLevel)
	})
}

func TestLevelRefusals(t *testing.T) {
	for _, query := range []string{"", "level=", "level=trace", "level=INFO", "level=debug&for=1", "level=debug&for=-1s", "level=debug&for=1000h", "level=debug&for=0s"} {
		l, logs := observed(zapcore.InfoLevel)
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.change(t.Context(), values)
		var refusal *admin.Refusal
		if !errors.As(err, &refusal) || refusal.Code != http.StatusBadRequest || logs.Len() > 0 || l.level.Level() != zapcore.InfoLevel {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// A daemon talks more and less while it runs, says who wanted it, and forgets it.
func TestLogLevel(t *testing.T) {
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	d := launch(t, ini)
	d.await(t, "READY=1")
	level := func(args ...string) (string, string, int) {
		var out, complaints bytes.Buffer
		code := run(append([]string{"log-level", "--config-file", ini}, args...), &out, &complaints)
		return out.String(), complaints.String(), code
	}
	expect := func(want string, args ...string) {
		t.Helper()
		if out, complaints, code := level(args...); code != exitOK || complaints != "" || out != want {
			t.Errorf("%q: code %d, %q%s, want %q", args, code, out, complaints, want)
		}
	}
	expect("info, as configured\n")
	expect("debug until the daemon ends; configured is info\n", "debug")
	saying(t, d, fmt.Sprintf(`the log's level is set	{"from": "info", "to": "debug", "by": "pid %d, uid %d, gid %d", "lasts": "until the next start"}`, os.Getpid(), os.Getuid(), os.Getgid()))
	expect("debug until the daemon ends; configured is info\n")
	saying(t, d, "control socket: connected")
	expect("error until the daemon ends; configured is info\n", "error")
	expect("error until the daemon ends; configured is info\n") // which is logged at level debug
	expect("info, as configured\n", "info")
	saying(t, d, `{"from": "error", "to": "info"`)
	_, since, _ := strings.Cut(d.log.String(), `{"from": "debug", "to": "error"`)
	if meanwhile, _, _ := strings.Cut(since, `{"from": "error"`); strings.Count(meanwhile, "\n") != 1 {
		t.Errorf("said at level error: %s", meanwhile)
	}
	out, _, code := level("--json", "--for=1h", "debug")
	var got levelAnswer
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || got.Level != "debug" || got.Configured != "info" ||
		got.Until == nil || time.Until(*got.Until).Round(time.Minute) != time.Hour {
		t.Errorf("code %d, %v, %+v", code, err, got)
	}
	if out, _, _ := level("--for", "1ms", "debug"); !strings.Contains(out, "then info as configured") && !strings.HasPrefix(out, "info") {
		t.Errorf("%q", out)
	}
	nettest.Eventually(t, 5*time.Second, "the configured level", func() bool { out, _, _ := level(); return out == "info, as configured\n" })
	for want, args := range map[string][]string{
		"unknown level": {"verbose"}, "--for needs a level": {"--for", "1m"}, "--for is a time": {"--for", "-1m", "debug"}, "unexpected argument": {"info", "debug"},
	} {
		if out, complaints, code := level(args...); code != exitUsage || !strings.Contains(complaints, want) || out != "" {
			t.Errorf("%q: code %d, %q%s", args, code, out, complaints)
		}
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	if _, complaints, code := level("info"); code != exitUnreachable || !strings.Contains(complaints, "no daemon listens") {
		t.Errorf("code %d, %s", code, complaints)
	}
}
