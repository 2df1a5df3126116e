package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/agent/admin"
)

// levelNames are the levels an operator may choose, the most talkative first.
func levelNames() []string { return []string{"debug", "info", "warning", "error"} }

// levelOf returns a level by its name in levelNames.
func levelOf(name string) (zapcore.Level, bool) {
	i := slices.Index(levelNames(), name)
	return zapcore.DebugLevel + zapcore.Level(max(i, 0)), i >= 0
}

func levelName(l zapcore.Level) string { return levelNames()[l-zapcore.DebugLevel] }

// longestLevel bounds for how long a level may be asked for.
const longestLevel = 7 * 24 * time.Hour

// levels change how much is logged, at run time and by hand. Nothing is written down:
// the next start has the configuration's level again.
type levels struct {
	level      zap.AtomicLevel
	configured zapcore.Level
	log        *zap.Logger

	mu    sync.Mutex
	timer *time.Timer // nil: what is set lasts
	until time.Time
	turn  int // counts the changes by hand
}

func newLevels(level zap.AtomicLevel, log *zap.Logger) *levels {
	return &levels{level: level, configured: level.Level(), log: log}
}

// levelAnswer is the answer of /v1/log-level.
type levelAnswer struct {
	Level      string `json:"level"`
	Configured string `json:"configured"` // that of the next start, and after Until
	// Until is when Configured comes back by itself; null: with the next start.
	Until *time.Time `json:"until"`
}

func (l *levels) methods() []admin.Method {
	return []admin.Method{
		{Pattern: "GET /v1/log-level", Limit: time.Second, Answer: func(context.Context, url.Values) (any, error) { return l.answer(), nil }},
		{Pattern: "POST /v1/log-level", Limit: time.Second, Answer: l.change},
	}
}

func (l *levels) answer() levelAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := levelAnswer{Level: levelName(l.level.Level()), Configured: levelName(l.configured)}
	if l.timer != nil {
		until := l.until.UTC()
		a.Until = &until
	}
	return a
}

// change takes level, a name, and for, a duration after which the configured level
// comes back.
func (l *levels) change(ctx context.Context, query url.Values) (any, error) {
	to, ok := levelOf(query.Get("level"))
	if !ok {
		return nil, admin.Refuse(http.StatusBadRequest, "level %q: it is one of %s", query.Get("level"), strings.Join(levelNames(), ", "))
	}
	var last time.Duration
	if text := query.Get("for"); text != "" {
		var err error
		if last, err = time.ParseDuration(text); err != nil || last <= 0 || last > longestLevel {
			return nil, admin.Refuse(http.StatusBadRequest, "for %q: it is a time like 10m, at most %v", text, longestLevel)
		}
	}
	l.set(to, last, admin.ClientOf(ctx))
	return l.answer(), nil
}

// set changes the level, for a time if last is not 0.
func (l *levels) set(to zapcore.Level, last time.Duration, who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	l.turn++
	lasts := "until the next start"
	switch {
	case to == l.configured:
		lasts = "as configured"
	case last > 0:
		lasts = fmt.Sprintf("for %v", last)
		l.until = time.Now().Add(last)
		turn := l.turn
		l.timer = time.AfterFunc(last, func() { l.expired(turn) })
	}
	l.say(to, zap.String("by", who), zap.String("lasts", lasts))
}

// expired brings the configured level back, unless somebody came in between.
func (l *levels) expired(turn int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil || l.turn != turn {
		return
	}
	l.timer = nil
	l.say(l.configured, zap.String("by", "the end of the time that was asked for"), zap.String("lasts", "as configured"))
}

// say changes the level and tells of it, while the more talkative of the two is in
// force: from the log alone it must be possible to tell why lines are missing.
func (l *levels) say(to zapcore.Level, fields ...zap.Field) {
	from := l.level.Level()
	fields = append([]zap.Field{zap.String("from", levelName(from)), zap.String("to", levelName(to))}, fields...)
	l.level.SetLevel(min(from, to))
	l.log.Warn("the log's level is set", fields...)
	l.level.SetLevel(to)
}

// Close ends the time that a level was asked for.
func (l *levels) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
}

func (l *levels) stop() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}
