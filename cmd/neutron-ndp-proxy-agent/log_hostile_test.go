package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/agent/config"
)

// logged returns what a logger with these options writes.
func logged(t *testing.T, o config.Log, debug bool, use func(*zap.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	log, output, err := newLogger(o, debug, &out)
	if err != nil {
		t.Fatal(err)
	}
	use(log)
	if err := output.Close(); err != nil { // lines are written behind our back
		t.Fatal(err)
	}
	return out.String()
}

// plainText tells whether text is lines of printable characters, each ended.
func plainText(text string) bool {
	return utf8.ValidString(text) && (text == "" || strings.HasSuffix(text, "\n")) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
}

var nasty = []string{"\x1b[2J\x1b]0;owned\a", "a\nERROR forged", "a\rb", "\x7f", "\u009b31m", "\u202egnp.exe", "\u2028", "\xff\xfe", "\x00", "\U000e0041", "é 世界"}

// Nothing that stands in a line reaches a terminal raw, nor begins another line,
// in text and in JSON.
func TestNothingRawInLogs(t *testing.T) {
	for _, useJSON := range []bool{false, true} {
		for _, s := range nasty {
			got := logged(t, config.Log{UseJSON: useJSON}, false, func(log *zap.Logger) {
				log = log.With(zap.String("with", s)).Named("")
				log.Warn("message "+s, zap.String("string", s), zap.Error(errors.New(s)), zap.Strings("strings", []string{s}),
					zap.Stringer("stringer", bytes.NewBufferString(s)), zap.ByteString("bytes", []byte(s)), zap.Any(s, map[string]string{s: s}))
			})
			if !plainText(got) || strings.Count(got, "\n") != 1 {
				t.Errorf("JSON %v, %q:\n%q", useJSON, s, got)
			}
			if !useJSON {
				continue
			}
			var line map[string]any
			if err := json.Unmarshal([]byte(got), &line); err != nil {
				t.Errorf("%q: %v in %s", s, err, got)
				continue
			}
			// What was escaped on the way reads as it was written.
			if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && line["string"] != want {
				t.Errorf("%q became %q", s, line["string"])
			}
		}
	}
}

// A line of hundreds of kilobytes is one that can be read, and still JSON.
func TestLongLinesAreCut(t *testing.T) {
	long := strings.Repeat("ü", 1<<16)
	for _, useJSON := range []bool{false, true} {
		got := logged(t, config.Log{UseJSON: useJSON}, false, func(log *zap.Logger) {
			log.Error(long, zap.Error(errors.New(long)), zap.Strings("many", strings.Split(strings.Repeat("x,", 1<<14), ",")), zap.Int("n", 7))
		})
		if len(got) > 8<<10 || !plainText(got) || !strings.Contains(got, "(131072 bytes)") || !strings.Contains(got, `"n":`) {
			t.Errorf("JSON %v: %d bytes: %.200s", useJSON, len(got), got)
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(got), &line); useJSON && err != nil {
			t.Error(err)
		}
	}
}

// A flood of one kind is bounded, says what it left out, and hides no other kind.
func TestLogFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 50_000
		got := logged(t, config.Log{}, false, func(log *zap.Logger) {
			for n := range flood {
				log.With(zap.Int("namespace", n)).Error("garbled message dropped", zap.Int("n", n))
				if n == flood/2 {
					log.Error("something else")
					log.Warn("garbled message dropped")
					time.Sleep(time.Minute)
				}
			}
			time.Sleep(time.Hour)
			log.Error("garbled message dropped", zap.String("n", "last"))
		})
		if len(got) > 1<<20 {
			t.Errorf("%d bytes", len(got))
		}
		for _, want := range []string{`"n": 0}`, "something else", "warn\tgarbled", `"n": "last"}`} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q", want)
			}
		}
		lines, leftOut, told := 0, 0, 0
		for line := range strings.Lines(got) {
			_, count, is := strings.Cut(line, `"left_out": `)
			if !is {
				if strings.Contains(line, "error\tgarbled") {
					lines++
				}
				continue
			}
			var n int
			if _, err := fmt.Sscan(strings.TrimRight(strings.Split(count, ",")[0], "}"), &n); err != nil {
				t.Fatal(err)
			}
			leftOut, told = leftOut+n, told+1
			if !strings.Contains(line, `"kind": "garbled message dropped"`) {
				t.Errorf("says %s", line)
			}
		}
		if lines+leftOut != flood+1 || told != 2 || lines < 1000 || lines > 2000 {
			t.Errorf("%d lines, %d left out, said %d times", lines, leftOut, told)
		}
	})
}

// At debug level nothing is left out.
func TestDebugIsNotLimited(t *testing.T) {
	got := logged(t, config.Log{}, true, func(log *zap.Logger) {
		for range 5000 {
			log.Debug("kernel event")
		}
	})
	if n := strings.Count(got, "\n"); n != 5000 {
		t.Errorf("%d lines", n)
	}
}

// What is remembered of kinds is bounded also where a message is not constant.
func TestLogKindsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, _ := observer.New(zap.InfoLevel)
		l := &limiter{tell: core, kinds: map[kind]*bucket{}}
		log := zap.New(limitCore{core, l})
		for n := range 10 * logKinds {
			log.Warn(fmt.Sprint("kind ", n))
		}
		if n := len(l.kinds); n > logKinds+1 {
			t.Errorf("%d kinds are remembered", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		log.Warn("a new one")
		if n := len(l.kinds); n > 2 {
			t.Errorf("%d kinds are remembered after an hour", n)
		}
	})
}

// FuzzLog: any message, key and value make one printable line, which is JSON
// where JSON was asked for.
func FuzzLog(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, "key", s)
		f.Add("m", s, "")
	}
	f.Fuzz(func(t *testing.T, message, key, value string) {
		for _, useJSON := range []bool{false, true} {
			got := logged(t, config.Log{UseJSON: useJSON}, false, func(log *zap.Logger) {
				log.With(zap.String("with", value)).Error(message, zap.String(key, value), zap.Error(errors.New(value)))
			})
			if !plainText(got) || strings.Count(got, "\n") != 1 {
				t.Fatalf("%q", got)
			}
			if useJSON && !json.Valid([]byte(got)) {
				t.Fatalf("not JSON: %q", got)
			}
		}
	})
}
