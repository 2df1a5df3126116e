package logsink

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// queueLimit is how many bytes of lines wait: minutes of a busy log, and no
	// burden for the host.
	queueLimit = 1 << 20
	// patience is how long Sync and Close wait for what is queued.
	patience = time.Second
)

// errFull is why lines are lost that nobody tried to write.
var errFull = errors.New("nobody took the lines that came before")

var errPatience = fmt.Errorf("log not written within %s", patience)

// Options of [New].
type Options struct {
	// Note makes the line, with its end, that stands for lost ones.
	Note func(lost int, why error) []byte
	// Failed hears once that writing fails, or that lines are lost, and why; not
	// again until a write succeeded. It must not wait. Nil: nobody does.
	Failed func(why error)
}

// Sink is an io.Writer, and a zapcore.WriteSyncer, in front of another. Safe for
// concurrent use.
type Sink struct {
	w io.Writer
	o Options

	mu     sync.Mutex
	lines  [][]byte // in the order in which they came
	queued int      // bytes of lines
	busy   bool     // one that is no more in lines is being written
	closed bool
	lost   int
	ever   uint64 // all that were lost since the start
	why    error
	wake   chan struct{}
	idle   chan struct{} // closed and replaced when all is written
	ended  chan struct{}
}

// New returns a Sink that writes to w, one line at a time, until Close.
func New(w io.Writer, o Options) *Sink {
	s := &Sink{w: w, o: o, wake: make(chan struct{}, 1), idle: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

// Write queues a line. It does not wait, and does not fail.
func (s *Sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	full := s.closed || s.queued+len(line) > queueLimit
	if full {
		s.lose(errFull)
	} else {
		s.lines = append(s.lines, append([]byte(nil), line...)) // the caller uses its buffer again
		s.queued += len(line)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// lose counts a line; s.mu is held.
func (s *Sink) lose(why error) {
	s.lost++
	s.ever++
	if s.why == nil && s.o.Failed != nil {
		s.o.Failed(why)
	}
	if s.why == nil {
		s.why = why
	}
}

// Lost is how many lines were lost since the start.
func (s *Sink) Lost() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ever
}

// Sync waits until all is written that was queued, but not long.
func (s *Sink) Sync() error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		done, idle := len(s.lines) == 0 && !s.busy, s.idle
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-idle:
		case <-timer.C:
			return errPatience
		}
	}
}

// Close is the end: what comes later is lost. It waits until all is written that was
// queued, but not long. After an error a write is still under way.
func (s *Sink) Close() error {
	s.mu.Lock()
	s.closed = true // first: one more line could be the one that blocks
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.ended:
		return nil
	case <-timer.C:
		return errPatience
	}
}

func (s *Sink) run() {
	defer close(s.ended)
	torn := false // the last write ended within a line
	for {
		line, told, ok := s.next()
		if !ok {
			return
		}
		if line == nil {
			<-s.wake
			continue
		}
		if torn {
			line = append([]byte("\n"), line...)
		}
		n, err := s.w.Write(line)
		torn = n < len(line) && (n > 0 || torn)
		s.wrote(n == len(line), told, err)
	}
}

// next takes the line to write now, behind one about those that were lost before,
// told of them. ok is false after the last.
func (s *Sink) next() (line []byte, told int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		return nil, 0, !s.closed
	}
	line = s.lines[0]
	s.lines, s.queued, s.busy = s.lines[1:], s.queued-len(line), true
	if s.lost > 0 {
		line = append(s.o.Note(s.lost, s.why), line...)
	}
	return line, s.lost, true
}

// wrote takes note of the outcome. A writer may have written all and have
// something to complain of.
func (s *Sink) wrote(all bool, told int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	switch {
	case !all:
		if err == nil {
			err = io.ErrShortWrite
		}
		s.lose(err)
	default:
		s.lost -= told
		if err != nil && s.why == nil && s.o.Failed != nil {
			s.o.Failed(err)
		}
		if err != nil || s.lost == 0 { // lines may have been lost meanwhile
			s.why = err
		}
	}
	if len(s.lines) == 0 {
		close(s.idle)
		s.idle = make(chan struct{})
	}
}
