package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// build makes the binary as it ships: static.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ndsend")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return path
}

// link is a pair of devices in two namespaces, ours and the upstream router's;
// qg-1 is down, up0 is up.
type link struct{ ours, upstream string }

func newLink(t testing.TB) link {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	name := fmt.Sprintf("ndsend-cmd-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	l := link{name + "-o", name + "-u"}
	for _, ns := range []string{l.ours, l.upstream} {
		ip(t, "netns", "add", ns)
		t.Cleanup(func() { ip(t, "netns", "delete", ns) })
	}
	ip(t, "-n", l.ours, "link", "add", "qg-1", "type", "veth", "peer", "name", "up0", "netns", l.upstream)
	ip(t, "-n", l.upstream, "link", "set", "up0", "up")
	return l
}

// up brings qg-1 up and waits, at most, for its link-local address to work.
func (l link) up(t testing.TB) {
	t.Helper()
	ip(t, "-n", l.ours, "link", "set", "qg-1", "up")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		addrs := ip(t, "-n", l.ours, "-6", "address", "show", "dev", "qg-1")
		if strings.Contains(addrs, "fe80::") && !strings.Contains(addrs, "tentative") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no link-local address: %s", addrs)
		}
	}
}

// neighbour is what the upstream believes of the address.
func (l link) neighbour(t *testing.T) string {
	t.Helper()
	return ip(t, "-n", l.upstream, "neigh", "show", "2001:db8::5", "dev", "up0")
}

// misled gives the upstream an entry for another place.
func (l link) misled(t *testing.T) {
	t.Helper()
	ip(t, "-n", l.upstream, "neigh", "replace", "2001:db8::5", "lladdr", "02:00:00:00:00:aa", "dev", "up0", "nud", "reachable")
}

// exec runs a command line in our namespace.
func (l link) exec(t testing.TB, args ...string) outcome {
	t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.ours}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

func ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The binary as operators run it, with the exit codes that scripts rely on.
func TestBinary(t *testing.T) {
	l := newLink(t)
	ndsend := build(t)

	t.Run("interface down", func(t *testing.T) {
		got := l.exec(t, ndsend, "2001:db8::5", "qg-1")
		if want := (outcome{Code: 2, Stderr: "ndsend: interface qg-1: the interface is down\n"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("waits for duplicate address detection", func(t *testing.T) {
		ip(t, "-n", l.ours, "link", "set", "qg-1", "up")
		addrs := ip(t, "-n", l.ours, "-6", "address", "show", "dev", "qg-1")
		if !strings.Contains(addrs, "tentative") {
			t.Fatalf("no duplicate address detection to wait for: %s", addrs)
		}
		l.misled(t)
		if got := l.exec(t, ndsend, "2001:db8::5", "qg-1"); got != (outcome{}) {
			t.Errorf("got %+v, want silent success", got)
		}
		if got := l.neighbour(t); strings.Contains(got, "02:00:00:00:00:aa") {
			t.Errorf("the upstream still has %q", got)
		}
	})
	t.Run("sent", func(t *testing.T) {
		l.up(t)
		l.misled(t)
		if got := l.exec(t, ndsend, "2001:db8::5", "qg-1"); got != (outcome{}) {
			t.Errorf("got %+v, want silent success", got)
		}
		mac := strings.Fields(ip(t, "-n", l.ours, "-brief", "link", "show", "dev", "qg-1"))[2]
		if got := l.neighbour(t); !strings.Contains(got, "lladdr "+mac+" STALE") {
			t.Errorf("the upstream has %q, want %s STALE", got, mac)
		}
	})
	for _, c := range []struct {
		name string
		args []string
		want outcome
	}{
		{"no interface", []string{ndsend, "2001:db8::5", "qg-2"}, outcome{Code: 2, Stderr: "ndsend: interface qg-2: no such interface\n"}},
		{"loopback", []string{ndsend, "2001:db8::5", "lo"}, outcome{Code: 2, Stderr: "ndsend: interface lo: not an Ethernet interface with an address of its own\n"}},
		{"bad address", []string{ndsend, "192.0.2.1", "qg-1"}, outcome{Code: 255, Stderr: "ndsend: \"192.0.2.1\": not an IPv6 unicast address: it is an IPv4 address\n"}},
		{"usage", []string{ndsend}, outcome{Code: 1, Stdout: usage}},
		{"no permission", []string{"setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", ndsend, "2001:db8::5", "qg-1"},
			outcome{Code: 2, Stderr: "ndsend: interface qg-1: open a raw ICMPv6 socket: no permission (CAP_NET_RAW is needed)\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := l.exec(t, c.args...); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	t.Run("duplicate address detection that does not end", func(t *testing.T) {
		ip(t, "-n", l.ours, "link", "set", "qg-1", "down")
		l.exec(t, "sh", "-c", "echo 1000 >/proc/sys/net/ipv6/conf/qg-1/dad_transmits")
		ip(t, "-n", l.ours, "link", "set", "qg-1", "up")
		start := time.Now()
		got := l.exec(t, ndsend, "2001:db8::5", "qg-1")
		want := outcome{Code: 2, Stderr: "ndsend: interface qg-1: its source address is still tentative (duplicate address detection)\n"}
		if took := time.Since(start); got != want || took < settleTime || took > settleTime+2*time.Second {
			t.Errorf("got %+v after %s, want %+v after %s", got, took, want, settleTime)
		}
	})
}

// Static, and without the daemon's weight: it is started for a single packet.
func TestBinaryIsLight(t *testing.T) {
	file, err := elf.Open(build(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read only
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic linker")
		}
	}
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, out)
	}
	for _, heavy := range []string{
		"go.uber.org/", "/rpc", "/agent", "/dataplane", "net/http", "github.com/google/nftables",
		"\ncrypto/tls", "github.com/mdlayher/netlink",
	} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("the command imports %s", heavy)
		}
	}
}
