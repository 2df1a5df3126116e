package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

// told is what a command prints, and its exit code.
func told(args ...string) (stdout, stderr string, code int) {
	var out, complaints bytes.Buffer
	code = run(args, &out, &complaints)
	return out.String(), complaints.String(), code
}

// published starts a daemon that publishes the topology's instance, and returns it with
// its configuration.
func published(t *testing.T, p *nettest.Topology) (d *process, ini string) {
	t.Helper()
	p.OnLink()
	dir := t.TempDir()
	source, ini := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini")
	put(t, ini, fmt.Sprintf("[ndp_proxy]\nsource = file\nsource_file = %s\nnetns_dir = %s\nruntime_dir = %s/run\n", source, p.Dir, dir))
	put(t, source, fmt.Sprintf("version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: %s\n    gateway_addresses: ['%s']\n    internal_subnets: ['%s']\n    published: ['%s']\n",
		nettest.External, p.GatewayAddr, p.InternalNet, p.InstanceAddr))
	d = launch(t, ini)
	d.await(t, "READY=1")
	return d, ini
}

// everything is all of the router's that we write to or could, whoever made it. The
// kernel's own routes may come after the addresses that they are for.
func everything(p *nettest.Topology) string {
	r := p.Router
	routes := slices.DeleteFunc(slices.Collect(strings.Lines(r.Run("ip", "-6", "route", "show", "table", "all"))), func(route string) bool { return strings.Contains(route, " proto kernel ") })
	return r.Run("ip", "-6", "neigh", "show", "proxy") + r.Run("nft", "list", "ruleset") + strings.Join(routes, "") +
		r.Run("ip", "-6", "rule", "show") + r.Run("sysctl", "-a", "-r", `^net\.ipv6\.(conf\..*\.proxy_ndp|neigh\..*\.proxy_delay)$`)
}

// Beside a daemon nothing is removed; after it, what is ours, when the operator says so.
func TestCleanup(t *testing.T) {
	p := nettest.NewTopology(t)
	before := everything(p)
	d, ini := published(t, p)
	p.Upstream.Reaches(p.InstanceAddr, 5e9)
	full := everything(p)
	refused := func(name, complaint string, want int, args ...string) {
		t.Helper()
		out, complaints, code := told(append([]string{"cleanup", "--config-file", ini}, args...)...)
		if code != want || !strings.Contains(complaints, complaint) || out != "" {
			t.Errorf("%s: code %d, want %d\n%s%s", name, code, want, out, complaints)
		}
		if now := everything(p); now != full {
			t.Errorf("%s: something was changed\n%s", name, now)
		}
	}
	refused("beside a daemon", "the daemon runs, and would make all of it again", exitFailed, "--yes")
	out, complaints, code := told("cleanup", "--config-file", ini, "--dry-run")
	if code != exitOK || !strings.Contains(out, "namespace router\n-device qg-1 answer on") || !strings.Contains(out, "\n-  publish 2001:db8:0:2::10\n") {
		t.Errorf("beside a daemon, only shown: code %d\n%s%s", code, out, complaints)
	}
	put(t, filepath.Join(filepath.Dir(ini), "no-socket.ini"), "[ndp_proxy]\ncontrol_socket =\n")
	refused("no socket", "control_socket is empty", exitUnreachable, "--yes", "--config-file", filepath.Join(filepath.Dir(ini), "no-socket.ini"))
	if err := d.end(t, syscall.SIGKILL); err == nil {
		t.Error("killed, and ended well")
	}
	put(t, filepath.Join(filepath.Dir(ini), "run/owed/router"), "")
	refused("nobody to ask", "say --yes where nobody can be asked (1 addresses are answered for)", exitUsage)
	refused("another namespace", "", exitOK, "--namespace", "upstream")
	neutron := filepath.Join(filepath.Dir(ini), "neutron.ini")
	put(t, neutron, "[ndp_proxy]\nsource = neutron\nruntime_dir = "+t.TempDir()+"\n")
	refused("another source", "namespace router has our marks, but is none of source = neutron", exitOK, "--config-file", neutron)
	// A no is a no.
	var nothing, said bytes.Buffer
	c, _ := find([]string{"cleanup"})
	l := newCleaner(c, &nothing, &said)
	l.confirm = func(question string) (bool, bool) { said.WriteString(question); return false, true }
	if code := l.run([]string{"--config-file", ini}); code != exitFailed || everything(p) != full || !strings.Contains(said.String(), "1 published addresses are not answered for any more") {
		t.Errorf("code %d\n%s", code, said.String())
	}
	for n := range 2 {
		out, complaints, code = told("cleanup", "--config-file", ini, "--yes")
		if code != exitOK || complaints != "" || strings.Contains(out, "cleaned") != (n == 0) {
			t.Errorf("code %d\n%s%s", code, out, complaints)
		}
		if now := everything(p); now != before {
			t.Errorf("before\n%s\nafter\n%s", before, now)
		}
	}
	if left, err := filepath.Glob(filepath.Dir(ini) + "/run/*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	p.Upstream.FlushNeighbours("eth0")
	if p.Upstream.Ping(p.InstanceAddr, 1) {
		t.Error("answered after it")
	}
}

// What cannot be cleaned is named, and the rest is cleaned.
func TestCleanupGoesOn(t *testing.T) {
	p := nettest.NewTopology(t)
	d, ini := published(t, p)
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// A file that looks like a namespace, and is of another kind.
	if err := os.WriteFile(filepath.Join(p.Dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("/proc/thread-self/ns/uts", filepath.Join(p.Dir, "a"), "none", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	out, complaints, code := told("cleanup", "--config-file", ini, "--yes")
	if code != exitFailed || !strings.Contains(complaints, "namespace a: ") || !strings.Contains(out, "namespace router: cleaned") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if now := everything(p); strings.Contains(now, "proto 110") || strings.Contains(now, dataplane.DefaultTable) {
		t.Errorf("left:\n%s", now)
	}
}

// On a terminal only a yes is a yes; elsewhere nobody is asked.
func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes \n": true, "\n": false, "n\n": false, "yesterday\n": false, "\x04": false} {
		master, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := master.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		var question strings.Builder
		if yes, asked := confirm(tty, &question, "Really?"); yes != want || !asked || question.String() != "Really? [y/N] " {
			t.Errorf("%q: %v %v %q", answer, yes, asked, question.String())
		}
		if err := errors.Join(tty.Close(), master.Close()); err != nil {
			t.Error(err)
		}
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // only read
	if yes, asked := confirm(file, &strings.Builder{}, "Really?"); yes || asked {
		t.Errorf("no terminal: %v %v", yes, asked)
	}
}

// Control-C at the question is a no, at once.
func TestCleanupInterrupted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: cleanup refuses to work without the capabilities")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ini, owed := filepath.Join(dir, "agent.ini"), filepath.Join(dir, "run/owed/router")
	put(t, ini, fmt.Sprintf("[ndp_proxy]\nsource = file\nsource_file = %s/none\nnetns_dir = %s/netns\nruntime_dir = %s/run\n", dir, dir, dir))
	for _, d := range []string{filepath.Join(dir, "netns"), filepath.Dir(owed)} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	put(t, owed, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, self, "cleanup", "--config-file", ini)
	c.Env = append(os.Environ(), playDaemon+"=1")
	terminal, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	var said strings.Builder
	for piece := make([]byte, 100); !strings.Contains(said.String(), "[y/N]"); {
		n, err := terminal.Read(piece)
		if err != nil {
			t.Fatalf("%v after %q", err, said.String())
		}
		said.Write(piece[:n])
	}
	if _, err := terminal.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // its state tells
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v after %q", c.ProcessState, said.String())
	}
	if _, err := os.Stat(owed); err != nil {
		t.Error(err)
	}
}
