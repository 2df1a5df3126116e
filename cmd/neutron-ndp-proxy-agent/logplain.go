package main

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

const (
	// logLine is how long a line may be before its parts are cut, to logPart each.
	logLine = 16 << 10
	logPart = 1 << 10
)

// plainEncoder makes every line one line, of printable characters and a length
// that a person can read, whatever stands in it. What comes from outside is
// cleaned where it comes in; this is for what was forgotten there. zap itself
// lets through what is not a control character of ASCII, such as U+009B, which
// some terminals obey, and the whole message of a line that is not JSON.
type plainEncoder struct {
	zapcore.Encoder
	pool buffer.Pool
}

func plain(e zapcore.Encoder) zapcore.Encoder { return plainEncoder{e, buffer.NewPool()} }

// Clone implements zapcore.Encoder.
func (p plainEncoder) Clone() zapcore.Encoder { return plainEncoder{p.Encoder.Clone(), p.pool} }

// EncodeEntry implements zapcore.Encoder.
func (p plainEncoder) EncodeEntry(e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	// The final line feed alone may stand in the line, and in text also tabs,
	// between its parts.
	e.Message = escaped(cut(e.Message), false)
	line, err := p.Encoder.EncodeEntry(e, fields)
	if err == nil && line.Len() > logLine {
		line.Free()
		line, err = p.Encoder.EncodeEntry(e, shortened(fields))
	}
	if err != nil {
		return nil, err
	}
	body, ended := bytes.CutSuffix(line.Bytes(), []byte("\n"))
	if printable(body, true) {
		return line, nil
	}
	out := p.pool.Get()
	out.AppendString(escaped(string(body), true))
	if ended {
		out.AppendByte('\n')
	}
	line.Free()
	return out, nil
}

// shortened replaces fields that are long by the beginning of what they would
// have been.
func shortened(fields []zapcore.Field) []zapcore.Field {
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		EncodeTime: zapcore.ISO8601TimeEncoder, EncodeDuration: zapcore.StringDurationEncoder, SkipLineEnding: true,
	})
	out := make([]zapcore.Field, 0, len(fields))
	for _, f := range fields {
		text, err := enc.EncodeEntry(zapcore.Entry{}, []zapcore.Field{f})
		switch {
		case err != nil:
			f = zap.String(f.Key, "can't be written: "+cut(err.Error()))
		case text.Len() > logPart:
			f = zap.String(f.Key, cut(text.String()))
		}
		if err == nil {
			text.Free()
		}
		out = append(out, f)
	}
	return out
}

// cut bounds a text.
func cut(s string) string {
	if len(s) <= logPart {
		return s
	}
	n := logPart
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:n], len(s))
}

func printable(line []byte, tabs bool) bool {
	for i := 0; i < len(line); {
		if c := line[i]; c >= ' ' && c < 0x7f || tabs && c == '\t' {
			i++
			continue
		}
		r, n := utf8.DecodeRune(line[i:])
		if n == 1 || !unicode.IsPrint(r) {
			return false
		}
		i += n
	}
	return true
}

// escaped writes what is not printable as JSON writes it in a string.
func escaped(s string, tabs bool) string {
	if printable([]byte(s), tabs) {
		return s
	}
	var b bytes.Buffer
	for _, r := range s { // what is not UTF-8 is U+FFFD here
		switch {
		case unicode.IsPrint(r), tabs && r == '\t':
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
