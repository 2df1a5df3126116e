package config

import (
	"path/filepath"
	"strings"

	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// String lists every option that was read with its value and, where it is not
// the default, the place it comes from. Secrets are redacted.
func (c *Config) String() string {
	var b strings.Builder
	for _, f := range c.Files {
		b.WriteString("# read " + f + "\n")
	}
	c.each(func(option, value string) {
		b.WriteString(option + " = " + value)
		if o := c.Origins[option]; o != "" {
			b.WriteString("    # " + o)
		}
		b.WriteByte('\n')
	})
	return b.String()
}

// MarshalLogObject implements zapcore.ObjectMarshaler with the values of String.
func (c *Config) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString("files", strings.Join(c.Files, ","))
	c.each(e.AddString)
	return nil
}

// each calls fn for every option with its value as it may be shown.
func (c *Config) each(fn func(option, value string)) {
	t := &target{Config: c}
	for _, r := range sortedRows() {
		switch n := r.name(); {
		case r.unused != "", n == name{groupDefault, "agent_down_time"}:
			// only looked at for warnings
		case n == name{groupDefault, "transport_url"}:
			url := ""
			if len(c.Transport.Hosts) > 0 {
				url = c.Transport.String()
			}
			fn(n.String(), url)
		default:
			value := strings.ReplaceAll(r.get(t), "\n", `\n`)
			if hasURL(value) { // see quote
				value = secret.Redacted
			}
			fn(n.String(), value)
		}
	}
}

// Path is the file to log to, or "" when it is not a file: log_file, under
// log_dir unless it is absolute; with log_dir alone <program>.log in it, as
// oslo.log does.
func (l Log) Path(program string) string {
	switch {
	case l.File != "" && (l.Dir == "" || filepath.IsAbs(l.File)):
		return l.File
	case l.File != "":
		return filepath.Join(l.Dir, l.File)
	case l.Dir != "":
		return filepath.Join(l.Dir, program+".log")
	}
	return ""
}
