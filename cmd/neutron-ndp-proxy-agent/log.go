package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/cmd/internal/logsink"
)

// logOutput is where the log goes.
type logOutput struct {
	file           *logFile // nil: none is named
	toFile, toUser *logsink.Sink
	limit          *limiter
	// level is what is logged; it may be changed at any time.
	level zap.AtomicLevel
}

// newLogger follows oslo.log's options: a file where one is named, else (or
// with use_stderr beside it) standard error, as text for people or as JSON. Where
// that is the journal, lines have a priority and no time: it has its own.
// Nobody who logs waits for either.
func newLogger(o config.Log, debug bool, stderr io.Writer) (*zap.Logger, *logOutput, error) {
	level := zap.NewAtomicLevelAt(zapcore.InfoLevel)
	if o.Debug || debug {
		level.SetLevel(zapcore.DebugLevel)
	}
	toFile, toUser := newEncoder(o.UseJSON, false), newEncoder(o.UseJSON, isJournal(stderr, os.Getenv("JOURNAL_STREAM")))
	out := &logOutput{level: level}
	var outs []zapcore.Core
	if path := o.Path(program); path != "" {
		var err error
		if out.file, err = openLogFile(path, o.WatchFile); err != nil {
			return nil, nil, err
		}
	}
	out.toUser = logsink.New(stderr, logsink.Options{Note: lost(toUser)})
	if out.file != nil {
		out.toFile = logsink.New(out.file, logsink.Options{Note: lost(toFile), Failed: func(why error) {
			_, _ = fmt.Fprintf(out.toUser, "%s: the log: %v\n", program, why) // a sink never fails
		}})
		outs = append(outs, zapcore.NewCore(toFile, out.toFile, level))
	}
	if out.file == nil || o.UseStderr {
		outs = append(outs, zapcore.NewCore(toUser, out.toUser, level))
	}
	core := limited(zapcore.NewTee(outs...))
	out.limit = core.l
	return zap.New(core, zap.ErrorOutput(out.toUser)), out, nil
}

// newEncoder returns what makes lines of entries.
func newEncoder(asJSON, journal bool) zapcore.Encoder {
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	c.EncodeDuration = zapcore.StringDurationEncoder
	if journal {
		c.TimeKey = zapcore.OmitKey
	}
	encoder := zapcore.NewConsoleEncoder(c)
	if asJSON {
		encoder = zapcore.NewJSONEncoder(c)
	}
	if encoder = plain(encoder); journal {
		encoder = forJournal(encoder)
	}
	return encoder
}

// lost makes the line about lines that were lost.
func lost(encoder zapcore.Encoder) func(n int, why error) []byte {
	return func(n int, why error) []byte {
		entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "lines of the log were lost"}
		line, err := encoder.Clone().EncodeEntry(entry, []zapcore.Field{zap.Int("count", n), zap.Error(why)})
		if err != nil {
			return fmt.Appendf(nil, "%d lines of the log were lost\n", n)
		}
		return line.Bytes()
	}
}

// Dropped is how many lines were not written since the start: left out since there
// were too many of their kind, and lost on the way to a file or a pipe, once for each
// of them.
func (o *logOutput) Dropped() (leftOut, lost uint64) {
	lost = o.toUser.Lost()
	if o.toFile != nil {
		lost += o.toFile.Lost()
	}
	return o.limit.dropped.Load(), lost
}

// Reopen goes on in a file of the configured name, if one is configured.
func (o *logOutput) Reopen() error {
	if o.file == nil {
		return nil
	}
	return o.file.Reopen()
}

// Close writes what is queued, if it can be written in a short time.
func (o *logOutput) Close() error {
	var err error
	if o.file != nil {
		if err = o.toFile.Close(); err == nil { // else it is still in use
			err = o.file.Close()
		}
	}
	return errors.Join(err, o.toUser.Close())
}
