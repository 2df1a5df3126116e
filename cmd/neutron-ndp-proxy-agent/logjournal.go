package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// isJournal reports whether an output is the stream to journald that systemd tells of
// by JOURNAL_STREAM, "device:inode" (systemd.exec(5)).
func isJournal(w io.Writer, stream string) bool {
	f, is := w.(*os.File)
	if !is || stream == "" {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}

// journalEncoder begins each line with its priority as sd-daemon(3) wants it, which
// journald takes off: `journalctl -p warning` finds it then.
type journalEncoder struct {
	zapcore.Encoder
	pool buffer.Pool
}

func forJournal(e zapcore.Encoder) zapcore.Encoder { return journalEncoder{e, buffer.NewPool()} }

// Clone implements zapcore.Encoder.
func (j journalEncoder) Clone() zapcore.Encoder { return journalEncoder{j.Encoder.Clone(), j.pool} }

// EncodeEntry implements zapcore.Encoder.
func (j journalEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line, err := j.Encoder.EncodeEntry(e, fields)
	if err != nil {
		return nil, err
	}
	defer line.Free()
	out := j.pool.Get()
	out.AppendByte('<')
	out.AppendByte('0' + priority(e.Level))
	out.AppendByte('>')
	if _, err := out.Write(line.Bytes()); err != nil {
		return nil, err
	}
	return out, nil
}

// priority is syslog's.
func priority(l zapcore.Level) byte {
	switch {
	case l <= zapcore.DebugLevel:
		return 7
	case l == zapcore.InfoLevel:
		return 6
	case l == zapcore.WarnLevel:
		return 4
	case l == zapcore.ErrorLevel:
		return 3
	}
	return 2
}
