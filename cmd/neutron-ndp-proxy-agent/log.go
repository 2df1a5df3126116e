package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/agent/config"
)

// newLogger follows oslo.log's options: a file where one is named, else (or
// with use_stderr beside it) standard error, as text for people or as JSON.
func newLogger(o config.Log, debug bool, stderr io.Writer) (log *zap.Logger, closeLog func(), err error) {
	level := zapcore.InfoLevel
	if o.Debug || debug {
		level = zapcore.DebugLevel
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewConsoleEncoder(enc)
	if o.UseJSON {
		encoder = zapcore.NewJSONEncoder(enc)
	}

	closeLog = func() {}
	var outs []zapcore.WriteSyncer
	if path := o.Path(program); path != "" {
		// 0640 and the group are what Neutron's own packages use.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) // #nosec G302 G304 -- see above; the operator's path
		if err != nil {
			return nil, nil, fmt.Errorf("log file: %w", err)
		}
		outs = append(outs, zapcore.AddSync(f))
		closeLog = func() { _ = f.Close() }
	}
	if len(outs) == 0 || o.UseStderr {
		outs = append(outs, zapcore.AddSync(stderr))
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.NewMultiWriteSyncer(outs...)), level)
	return zap.New(core), closeLog, nil
}
