package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/config"
)

// piped is what a logger with these options writes to a pipe, as journald has one;
// named says whether systemd would name that pipe.
func piped(t *testing.T, o config.Log, named bool, use func(*zap.Logger)) string {
	t.Helper()
	reader, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(write.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	if !named {
		stream += "0"
	}
	t.Setenv("JOURNAL_STREAM", stream)
	log, output, err := newLogger(o, false, write)
	if err != nil {
		t.Fatal(err)
	}
	use(log)
	if err := errors.Join(output.Close(), write.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func speak(log *zap.Logger) {
	log.Info("one", zap.String("address", "2001:db8::1"))
	log.Warn("two\nlines")
	log.Error("three")
}

// The journal gets the priority of each line and no second time; whoever else reads
// standard error gets neither.
func TestJournal(t *testing.T) {
	const journal = "<6>info\tone\t{\"address\": \"2001:db8::1\"}\n<4>warn\ttwo\\u000alines\n<3>error\tthree\n"
	if got := piped(t, config.Log{}, true, speak); got != journal {
		t.Errorf("the journal got\n%q, want\n%q", got, journal)
	}
	if got := piped(t, config.Log{}, false, speak); strings.Contains(got, "<") || !strings.HasPrefix(got, "20") {
		t.Errorf("a pipe got\n%s", got)
	}
	for line := range strings.Lines(piped(t, config.Log{UseJSON: true}, true, speak)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line[3:]), &fields); err != nil || fields["msg"] == "" || fields["ts"] != nil || line[0] != '<' {
			t.Errorf("%q: %v", line, err)
		}
	}
	if got := logged(t, config.Log{}, false, speak); strings.Contains(got, "<6>") {
		t.Errorf("not a file: %s", got)
	}
}

// The level is changed while the program runs.
func TestLevelIsChanged(t *testing.T) {
	got := logged(t, config.Log{}, false, func(log *zap.Logger) { log.Debug("hidden"); log.Info("shown") })
	if strings.Contains(got, "hidden") || !strings.Contains(got, "shown") {
		t.Error(got)
	}
	var text lockedBuffer
	log, output, err := newLogger(config.Log{}, false, &text)
	if err != nil {
		t.Fatal(err)
	}
	child := log.Named("child").With(zap.Int("n", 1)) // made before the change
	child.Debug("first")
	output.level.SetLevel(zapcore.DebugLevel)
	child.Debug("second")
	output.level.SetLevel(zapcore.ErrorLevel)
	child.Warn("third")
	if err := output.Close(); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); strings.Contains(got, "first") || !strings.Contains(got, "second") || strings.Contains(got, "third") {
		t.Error(got)
	}
}

// What is left out of a flood is counted.
func TestDroppedIsCounted(t *testing.T) {
	var text lockedBuffer
	log, output, err := newLogger(config.Log{}, false, &text)
	if err != nil {
		t.Fatal(err)
	}
	for range logBurst + 500 {
		log.Warn("again")
	}
	leftOut, lost := output.Dropped()
	if leftOut < 400 || leftOut > 500 || lost != 0 {
		t.Errorf("%d left out, %d lost", leftOut, lost)
	}
	if err := output.Close(); err != nil {
		t.Fatal(err)
	}
	log.Error("after the end")
	if _, lost := output.Dropped(); lost != 1 {
		t.Errorf("%d lost", lost)
	}
}
