package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
	"neutron-ndp-proxy-agent/test/pki"
)

// A password of two halves that no other text has, and between them what
// operators forget to escape.
const (
	secretHead = "S3cr3tHead"
	secretTail = "S3cr3tTail"
	password   = secretHead + `,/?#@:%"\ ü&=` + secretTail
)

// leak is one form of the secrets that stands in text, or "".
func leak(text []byte, secrets ...string) string {
	for _, s := range secrets {
		escaped := ""
		for _, c := range []byte(s) {
			escaped += fmt.Sprintf("%%%02x", c)
		}
		forms := []string{s, escaped, strings.ToUpper(escaped), hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
		// Within a longer text base64 has three forms; the ends depend on what
		// stands beside.
		for before := range 3 {
			long := base64.RawStdEncoding.EncodeToString([]byte("xx"[:before] + s))
			forms = append(forms, long[2*before:len(long)-2])
		}
		for _, f := range forms {
			if bytes.Contains(text, []byte(f)) {
				return f
			}
		}
	}
	return ""
}

func TestLeakIsFound(t *testing.T) {
	for _, text := range []string{
		"x" + secretHead, password, url.QueryEscape(password), url.PathEscape(password), fmt.Sprintf("%q", password), fmt.Sprintf("%x", password),
		base64.StdEncoding.EncodeToString([]byte("\x00u\x00" + password)), base64.StdEncoding.EncodeToString([]byte("\x00me\x00" + secretTail)),
		base64.URLEncoding.EncodeToString([]byte("u:" + password)),
	} {
		if leak([]byte(text), secretHead, secretTail) == "" {
			t.Errorf("nothing found in %s", text)
		}
	}
	if f := leak([]byte("rabbit://u:***@h/ S3cr3t"), secretHead, secretTail); f != "" {
		t.Errorf("found %s", f)
	}
}

// The program with configurations that end it, and with brokers that keep it
// trying: nothing that it writes, and nothing that others see of it, shows a
// password or a key.
func TestSecretsStayInside(t *testing.T) {
	client := pki.SelfSigned(t, pki.Client())
	key, err := os.ReadFile(client.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{secretHead, secretTail, strings.Split(string(key), "\n")[1]}
	whole := "rabbit://neutron:" + url.QueryEscape(strings.ReplaceAll(password, " ", "_")) + "@"
	every := "rabbit://neutron:"
	for _, c := range []byte(password) {
		every += fmt.Sprintf("%%%02x", c)
	}
	closed, hangsUp := peer(t, nil), peer(t, func(c net.Conn) {})
	talks := peer(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	for _, tc := range []struct {
		name, url, more string
		runs            bool // until it is ended
	}{
		{"refused", whole + closed + "/", "", true},
		{"refused, all escaped", every + "@" + closed + "/", "[DEFAULT]\nuse_json = true", true},
		{"several hosts", whole + closed + ",neutron:" + url.QueryEscape(password) + "@" + hangsUp + "/", "", true},
		{"no AMQP", whole + talks + "/", "[DEFAULT]\nuse_json = true", true},
		{"no TLS", whole + talks + "/?ssl=1", "[oslo_messaging_rabbit]\nssl_cert_file = " + client.CertFile + "\nssl_key_file = " + client.KeyFile, true},
		{"warnings", whole + closed + "/v?" + secretHead + "=1&rabbit_ha_queues=0#" + secretTail, "[oslo_messaging_rabbit]\nrabbit_password = " + secretHead, true},

		{"raw", "rabbit://neutron:" + password + "@h/", "", false},
		{"comma", "rabbit://neutron:" + secretHead + "," + secretTail + "@h/", "", false},
		{"comma and a port", "rabbit://" + secretHead + ":4711," + secretTail + "@h/", "", false},
		{"slash", "rabbit://neutron:" + secretHead + "/" + secretTail + "@h/", "", false},
		{"question mark", "rabbit://neutron:" + secretHead + "?" + secretTail + "@h/", "", false},
		{"hash", "rabbit://neutron:" + secretHead + "#" + secretTail + "@h/", "", false},
		{"dollar", "rabbit://neutron:" + secretHead + "$" + secretTail + "@h/", "", false},
		{"no host", "rabbit://neutron:" + secretHead, "", false},
		{"driver", "amqp://neutron:" + secretHead + "@h/", "", false},
		{"no scheme", "neutron:" + secretHead + "@h", "", false},
		{"query", whole + "h/?ssl=" + secretHead, "", false},
		{"second line", whole + closed + ",\nneutron:" + secretHead + "@h2/", "", true},
		{"in our group", whole + "h/", "[ndp_proxy]\ntransport_url = " + whole + "h/\nneutron:" + secretHead + "@h2\n" + secretTail + "@h:1", false},
		{"by reference", whole + "h/", "[DEFAULT]\nhost = $transport_url\nrpc_response_timeout = $transport_url\n[ndp_proxy]\nsource = $transport_url", false},
		{"key for an authority", whole + "h/", "[oslo_messaging_rabbit]\nssl = 1\nssl_ca_file = " + client.KeyFile, false},
		{"key for a certificate", whole + "h/", "[oslo_messaging_rabbit]\nssl = 1\nssl_cert_file = " + client.KeyFile, false},
		{"certificate for a key", whole + "h/", "[oslo_messaging_rabbit]\nssl = 1\nssl_cert_file = " + client.CertFile, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ini, logFile := filepath.Join(dir, "agent.ini"), filepath.Join(dir, "agent.log")
			config := func(url, more string) string {
				return fmt.Sprintf("[DEFAULT]\nhost = h\ndebug = true\nuse_stderr = true\nlog_file = %s\ntransport_url = %s\n[ndp_proxy]\nnetns_dir = %s\nruntime_dir = %s/run\n%s\n",
					logFile, url, dir, dir, more)
			}
			put(t, ini, config(tc.url, tc.more))
			d := launch(t, ini)
			var seen []byte
			if tc.runs {
				saying(t, d, "cannot connect to broker")
				put(t, ini, config("rabbit://neutron:"+password+"@h/", tc.more))
				d.signal(t, syscall.SIGHUP)
				saying(t, d, "the next start will refuse it")
				for _, file := range []string{"cmdline", "environ", "comm", "status"} {
					seen = append(seen, contentOf(t, fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, file))...)
				}
				seen = append(seen, d.told(t)...)
				seen = append(seen, controlSocket(t, dir+"/run/control.sock")...)
				d.signal(t, syscall.SIGQUIT) // the runtime prints all stacks
			}
			select {
			case err := <-d.exited:
				if err == nil {
					t.Error("it ended well")
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("still running\n%s", d.log)
			}
			text := d.log.String()
			switch code := d.cmd.ProcessState.ExitCode(); {
			case !tc.runs && code != exitUsage:
				t.Errorf("exit code %d, want %d\n%s", code, exitUsage, text)
			case tc.runs && !strings.Contains(text, "goroutine 1 "):
				t.Errorf("no stacks\n%s", text)
			case tc.runs && !strings.Contains(string(contentOf(t, logFile)), "cannot connect"):
				t.Error("the log file lacks the trouble")
			}
			seen = append(seen, text...)
			for _, file := range filesIn(t, dir) {
				if file != ini {
					seen = append(seen, contentOf(t, file)...)
				}
			}
			if f := leak(seen, secrets...); f != "" {
				t.Errorf("%s is in:\n%s", f, seen)
			}
		})
	}
}

// controlSocket is all that the daemon says of itself there.
func controlSocket(t *testing.T, path string) []byte {
	t.Helper()
	s, raw, err := admin.NewClient(path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Broker == nil || s.Broker.LastError == "" {
		t.Errorf("the trouble with the broker is not among it: %s", raw)
	}
	return append(raw, page(s, terminal.Screen{})...)
}

// peer is the address of somebody who does that with each connection, or (nil)
// of nobody.
func peer(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if do == nil {
		_ = l.Close()
		return l.Addr().String()
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			do(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// saying waits for a text on standard error.
func saying(t *testing.T, d *process, text string) {
	t.Helper()
	for start := time.Now(); !strings.Contains(d.log.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("nothing of %q:\n%s", text, d.log)
		}
	}
}

// told is what systemd was told so far.
func (d *process) told(t *testing.T) (all []byte) {
	t.Helper()
	if err := d.notify.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := d.notify.Read(buf)
		if err != nil {
			return all
		}
		all = append(all, buf[:n]...)
	}
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func filesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
