package main

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/agent/config"
)

// newLogger follows oslo.log's options: a file where one is named, else (or
// with use_stderr beside it) standard error, as text for people or as JSON.
// The file is nil when none is named.
func newLogger(o config.Log, debug bool, stderr io.Writer) (*zap.Logger, *logFile, error) {
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

	var file *logFile
	var outs []zapcore.WriteSyncer
	if path := o.Path(program); path != "" {
		var err error
		if file, err = openLogFile(path, o.WatchFile); err != nil {
			return nil, nil, err
		}
		outs = append(outs, file)
	}
	if file == nil || o.UseStderr {
		outs = append(outs, zapcore.AddSync(stderr))
	}
	core := limited(zapcore.NewCore(plain(encoder), zapcore.Lock(zapcore.NewMultiWriteSyncer(outs...)), level))
	complaints := zapcore.Lock(zapcore.AddSync(stderr)) // what could not be written
	return zap.New(core, zap.ErrorOutput(complaints)), file, nil
}
