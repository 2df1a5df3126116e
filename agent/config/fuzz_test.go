package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// FuzzLoad: whatever a file says, loading ends, what it says of the file can be
// shown to anybody (one printable line each, no secret), and what it accepts is
// within the bounds of its options.
func FuzzLoad(f *testing.F) {
	for _, file := range []string{"neutron.conf", "l3_agent.ini", "ndp_proxy_agent.ini"} {
		text, err := os.ReadFile(filepath.Join("testdata", file)) //nolint:gosec // the seeds
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, value := range []string{"99999999999999999999", "\x1b[2J", "-1", "$nobody"} {
		text := ""
		for _, r := range rows() {
			text += fmt.Sprintf("[%s]\n%s = %s\n", r.Group, r.Name, value)
		}
		f.Add(text)
	}
	f.Add("[DEFAULT]\na=$b$b\nb=$c$c\nc=$a\nhost=$a\n")
	f.Add("[ndp_proxy]\n\x1b[31mworkers\u202e = 1\nworkrs=\x07\nsource=f\u2028ile\n")
	f.Add("[\x1b]\nx=1\n[oslo_messaging_rabbit]\nssl=\x00\n")
	const secret = "hunter2hunter2"
	dir := f.TempDir()
	base := filepath.Join(dir, "neutron.conf")
	if err := os.WriteFile(base, []byte("[DEFAULT]\ntransport_url = rabbit://u:"+secret+"@broker/\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "fuzz.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c, warnings, err := Load(Args{Sources: []Source{File(base), File(path)}, Defaults: []Source{},
			Hostname: func() (string, error) { return "node1", nil }})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
		said := ""
		for _, w := range warnings {
			said += strings.ReplaceAll(w.String(), "\n", "\x00") + "\n"
		}
		if err != nil {
			said += err.Error()
		}
		if strings.ContainsFunc(said, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("not printable: %q", said)
		}
		if strings.Contains(said, secret) {
			t.Fatalf("a secret in %q", said)
		}
		if err != nil {
			return
		}
		n := c.NDPProxy
		if n.Workers < 1 || n.Workers > 64 || n.MaxAddresses < 1 || n.AuditInterval < 5*time.Second || n.AuditInterval > time.Hour ||
			n.SyncChunkSize < 1 || n.Protocol < 5 || !filepath.IsAbs(n.RuntimeDir) || !filepath.IsAbs(n.NetnsDir) || n.ControlSocket != "" && !filepath.IsAbs(n.ControlSocket) || n.Table == "" ||
			strings.ContainsRune(n.SourceFile+n.NetnsDir+n.RuntimeDir+n.ControlSocket+c.Host, 0) {
			t.Fatalf("accepted %+v", n)
		}
	})
}

// References that multiply end.
func TestReferencesThatMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("[DEFAULT]\nhost = $a0\n")
	for i := range 60 {
		fmt.Fprintf(&b, "a%d = $a%d$a%d$a%d\n", i, i+1, i+1, i+1)
	}
	b.WriteString("a60 = x\n")
	_, _, failure := loadText(t, b.String())
	if !strings.Contains(failure, "more than 1000 references") || len(failure) > 10_000 {
		t.Errorf("%.500s", failure)
	}
}
