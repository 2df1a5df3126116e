package logsink_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"neutron-ndp-proxy-agent/cmd/internal/logsink"
)

// disk is what is written to.
type disk struct {
	mu   sync.Mutex
	text strings.Builder
	// full: a write fails with this after part bytes; stuck: it waits for the
	// channel; odd: it succeeds with this error.
	full, odd error
	part      int
	stuck     chan struct{}
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	stuck := d.stuck
	d.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		d.text.Write(b[:d.part])
		return d.part, d.full
	}
	d.text.Write(b)
	return len(b), d.odd
}

func (d *disk) set(change func(d *disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func note(lost int, why error) []byte { return fmt.Appendf(nil, "lost %d: %v\n", lost, why) }

// open returns a sink before a disk, and what its Failed heard.
func open(d *disk) (*logsink.Sink, *[]error) {
	var failed []error
	return logsink.New(d, logsink.Options{Note: note, Failed: func(err error) { failed = append(failed, err) }}), &failed
}

func write(t *testing.T, s *logsink.Sink, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

func TestLinesComeInOrder(t *testing.T) {
	d := &disk{}
	s, failed := open(d)
	buffer := []byte("0\n") // used again, as zap does
	want := ""
	for i := range 10 {
		buffer[0] = byte('0' + i)
		write(t, s, string(buffer))
		want += string(buffer)
	}
	if err := s.Sync(); err != nil || d.String() != want {
		t.Errorf("%v, %q", err, d)
	}
	if err := s.Close(); err != nil || len(*failed) > 0 {
		t.Errorf("%v, %v", err, *failed)
	}
	write(t, s, "too late\n")
	if d.String() != want {
		t.Errorf("%q", d)
	}
}

// A disk that is full costs the lines that come meanwhile; it is said once, and
// made up for by a line with their number, behind whatever was torn.
func TestADiskThatIsFull(t *testing.T) {
	full := errors.New("no space left")
	d := &disk{full: full, part: 2}
	s, failed := open(d)
	for range 3 {
		write(t, s, "line\n")
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		d.set(func(d *disk) { d.part = 0 })
	}
	d.set(func(d *disk) { d.full = nil })
	write(t, s, "again\n")
	write(t, s, "and again\n")
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if want := "li\nlost 3: no space left\nagain\nand again\n"; d.String() != want {
		t.Errorf("%q, want %q", d, want)
	}
	d.set(func(d *disk) { d.full = full })
	write(t, s, "line\n")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(*failed) != 2 || !errors.Is((*failed)[0], full) {
		t.Errorf("heard %v", *failed)
	}
}

// A writer that wrote all and complains lost nothing, and is heard once.
func TestAComplaintLosesNothing(t *testing.T) {
	d := &disk{odd: errors.New("moved")}
	s, failed := open(d)
	write(t, s, "a\n")
	write(t, s, "b\n")
	if err := s.Close(); err != nil || d.String() != "a\nb\n" || len(*failed) != 1 {
		t.Errorf("%v, %q, %v", err, d, *failed)
	}
}

// Nobody reads: whoever logs does not wait, memory is bounded, and neither Sync
// nor Close waits for long. Once somebody reads again it goes on.
func TestAPipeThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{stuck: make(chan struct{})}
		s, failed := open(d)
		line := strings.Repeat("x", 999) + "\n"
		start := time.Now()
		for range 3000 {
			write(t, s, line)
			synctest.Wait() // the first one hangs
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %s", took)
		}
		if err := s.Sync(); err == nil || time.Since(start) != time.Second {
			t.Errorf("Sync: %v after %s", err, time.Since(start))
		}
		if len(*failed) != 1 {
			t.Errorf("heard %v", *failed)
		}
		d.set(func(d *disk) { close(d.stuck); d.stuck = nil })
		if err := s.Sync(); err != nil {
			t.Error(err)
		}
		if strings.Contains(d.String(), "<nil>") {
			t.Error("lines were lost for no reason")
		}
		lines := strings.Count(d.String(), line)
		if want := fmt.Sprintf("lost %d: ", 3000-lines); lines < 1000 || lines > 1100 || strings.Count(d.String(), want) != 1 {
			t.Errorf("%d lines kept, and not one %q", lines, want)
		}

		d.set(func(d *disk) { d.stuck = make(chan struct{}) })
		write(t, s, line)
		start = time.Now()
		if err := s.Close(); err == nil || time.Since(start) != time.Second {
			t.Errorf("Close: %v after %s", err, time.Since(start))
		}
		d.set(func(d *disk) { close(d.stuck) })
		synctest.Wait()
	})
}

type slow struct{ lines int }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	s.lines++
	return len(p), nil
}

// Whoever still logs does not keep the end from coming: one more line could be the
// one that blocks.
func TestOthersStillWriteAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{}
		s := logsink.New(out, logsink.Options{Note: func(int, error) []byte { return nil }})
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
					_, _ = s.Write([]byte("more\n"))
				}
			}
		}()
		time.Sleep(100 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		written := out.lines
		time.Sleep(100 * time.Millisecond)
		if out.lines != written {
			t.Errorf("%d lines written after the end", out.lines-written)
		}
		close(stop)
	})
}
