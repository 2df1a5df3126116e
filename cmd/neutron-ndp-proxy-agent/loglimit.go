package main

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"
)

// Lines of one kind, which are those with the same words and level: so many at
// once, as when a host with many routers starts, and then so many a second.
// Whatever is fed in from outside, the log grows by no more than about 3 kB a
// second and kind.
const (
	logBurst = 1000
	logRate  = 10
	// logTell is how long after the first line that was left out it is said how
	// many were.
	logTell = 10 * time.Second
	// logKinds bounds what is remembered. There are some two hundred.
	logKinds = 1024
)

// limitCore leaves out lines of a kind that comes too often, and says how many.
// The first line of a kind is never left out, nor is anything at debug level,
// with which the operator asks for all there is.
//
// zap's own sampler keys its counters by a hash of few bits, so a flood of one
// kind can hide the first line of another, and it tells nobody what it dropped.
type limitCore struct {
	zapcore.Core
	l *limiter
}

func limited(core zapcore.Core) limitCore {
	return limitCore{core, &limiter{tell: core, kinds: map[kind]*bucket{}}}
}

// With implements zapcore.Core.
func (c limitCore) With(fields []zapcore.Field) zapcore.Core {
	return limitCore{c.Core.With(fields), c.l}
}

// Check implements zapcore.Core.
func (c limitCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c limitCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level == zapcore.DebugLevel || e.Level > zapcore.ErrorLevel || c.l.allows(e) {
		return c.Core.Write(e, fields)
	}
	return nil
}

type kind struct {
	level   zapcore.Level
	message string
}

// limiter counts the lines of each kind.
type limiter struct {
	tell zapcore.Core

	dropped atomic.Uint64

	mu    sync.Mutex
	kinds map[kind]*bucket
	swept time.Time // when kinds were last looked through
}

type bucket struct {
	limit   *rate.Limiter
	leftOut int // since it was last said
}

func (l *limiter) allows(e zapcore.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := kind{e.Level, e.Message}
	b := l.kinds[k]
	if b == nil {
		if len(l.kinds) >= logKinds && e.Time.Sub(l.swept) >= time.Second {
			l.swept = e.Time
			// Those that could have as many lines as at first need no memory.
			maps.DeleteFunc(l.kinds, func(_ kind, b *bucket) bool {
				return b.leftOut == 0 && b.limit.TokensAt(e.Time) >= logBurst
			})
		}
		if len(l.kinds) >= logKinds {
			k = kind{level: e.Level} // of all that are too many
			b = l.kinds[k]
		}
		if b == nil {
			b = &bucket{limit: rate.NewLimiter(logRate, logBurst)}
			l.kinds[k] = b
		}
	}
	if b.limit.AllowN(e.Time, 1) {
		return true
	}
	if b.leftOut == 0 {
		time.AfterFunc(logTell, func() { l.say(k, b) })
	}
	b.leftOut++
	l.dropped.Add(1)
	return false
}

// say says what was left out.
func (l *limiter) say(k kind, b *bucket) {
	l.mu.Lock()
	n := b.leftOut
	b.leftOut = 0
	l.mu.Unlock()
	// An error of the log's own has nowhere to go from here; zap says its own.
	_ = l.tell.Write(zapcore.Entry{Level: k.level, Time: time.Now(), Message: "too many lines of one kind: some were left out"},
		[]zapcore.Field{zap.String("kind", k.message), zap.Int("left_out", n), zap.Duration("within", logTell)})
}
