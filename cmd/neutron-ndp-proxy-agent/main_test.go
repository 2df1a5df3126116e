package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/test/nettest"
)

// The test binary plays the daemon when it is told to, so that signals, exit
// codes and sd_notify are the real ones.
const playDaemon = "NDP_TEST_PLAY_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(playDaemon) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"version":          {args: []string{"--version"}, stdout: "go1."},
		"help":             {args: []string{"--help"}, stderr: "-config-file"},
		"sample":           {args: []string{"--generate-config"}, stdout: "[ndp_proxy]"},
		"unknown flag":     {args: []string{"--nonsense"}, code: exitUsage, stderr: "nonsense"},
		"argument":         {args: []string{"start"}, code: exitUsage, stderr: `unexpected argument "start"`},
		"missing file":     {args: []string{"--config-file", "/nonexistent/a.ini"}, code: exitUsage, stderr: "/nonexistent/a.ini"},
		"unknown option":   {args: []string{"--config-file", file("typo.ini", "[ndp_proxy]\nsorce = file\n")}, code: exitUsage, stderr: "typo.ini:2"},
		"no transport_url": {args: []string{"--config-file", file("empty.ini", "[DEFAULT]\nhost = h\n")}, code: exitUsage, stderr: "transport_url"},
		"host":             {args: []string{"--config-file", file("host.ini", "[DEFAULT]\nhost = my host\ntransport_url = rabbit://u:p@127.0.0.1:1/\n")}, code: exitUsage, stderr: "host.ini:2: [DEFAULT] host"},
		"log file":         {args: []string{"--config-file", file("log.ini", "[DEFAULT]\nlog_file = /nonexistent/dir/x.log\n[ndp_proxy]\nsource = file\nsource_file = /dev/null\n")}, code: exitFailed, stderr: "/nonexistent/dir/x.log"},
		"extension": {args: []string{"--config-file", file("ext.ini", "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:p@127.0.0.1:1/\n[agent]\nextensions = fip_qos, ndp_proxy\n")},
			code: exitUsage, stderr: "ext.ini:5: [agent] extensions: names ndp_proxy"},
		"agent mode":        {args: []string{"--config-file", file("mode.ini", "[DEFAULT]\nhost = h\nagent_mode = drv\ntransport_url = rabbit://u:p@127.0.0.1:1/\n")}, code: exitUsage, stderr: "mode.ini:3: [DEFAULT] agent_mode"},
		"empty source file": {args: []string{"--config-file", file("src.ini", "[ndp_proxy]\nsource = file\nsource_file = "+file("src.yaml", "")+"\n")}, code: exitFailed, stderr: "src.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 && c.code == exitFailed {
				t.Skip("needs root: the program refuses to start without its capabilities")
			}
			var stdout, stderr bytes.Buffer
			if code := run(c.args, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout.String(), c.stdout) {
				t.Errorf("standard output %q lacks %q", stdout.String(), c.stdout)
			}
			if !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("standard error %q lacks %q", stderr.String(), c.stderr)
			}
		})
	}
}

func TestTheSampleIsTheCommittedOne(t *testing.T) {
	var got bytes.Buffer
	if err := config.GenerateSample(&got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../configs/ndp_proxy_agent.ini")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Error("configs/ndp_proxy_agent.ini is not what --generate-config prints: run go generate ./agent/config")
	}
}

// process is one run of the program.
type process struct {
	cmd    *exec.Cmd
	notify *net.UnixConn
	log    *lockedBuffer
	exited chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func launch(t *testing.T, ini string) *process {
	t.Helper()
	return launchIn(t, "", ini)
}

// launchIn starts the program in the network namespace of that file; "": ours.
func launchIn(t *testing.T, netns, ini string, env ...string) *process {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the program refuses to start without its capabilities")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := []string{self, "--config-file", ini}
	if netns != "" {
		command = append([]string{"nsenter", "--net=" + netns, "--"}, command...)
	}
	d := &process{cmd: exec.CommandContext(t.Context(), command[0], command[1:]...), log: &lockedBuffer{}, exited: make(chan error, 1)}
	d.listen(t)
	d.cmd.Env = append(d.cmd.Env, env...)
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.exited <- d.cmd.Wait() }()
	return d
}

// listen makes the program that is about to start a daemon of which we are the
// service manager.
func (d *process) listen(t *testing.T) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d.notify = conn
	d.cmd.Env = append(os.Environ(), playDaemon+"=1", "NOTIFY_SOCKET="+socket)
}

// await reads what the program tells systemd until it says what is waited for.
func (d *process) await(t *testing.T, what string) {
	t.Helper()
	if err := d.notify.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := d.notify.Read(buf)
		if err != nil {
			t.Fatalf("no %s: %v\n%s", what, err, d.log)
		}
		if strings.Contains(string(buf[:n]), what) {
			return
		}
	}
}

func (d *process) end(t *testing.T, signal syscall.Signal) error {
	t.Helper()
	if err := d.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.exited:
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("still running 10 s after %v\n%s", signal, d.log)
		return nil
	}
}

// Killed or stopped and started again, no packet of a running flow is lost.
func TestRestartsLoseNothing(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	dir := t.TempDir()
	source, ini := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ini, fmt.Sprintf("[ndp_proxy]\nsource = file\nsource_file = %s\nnetns_dir = %s\nruntime_dir = %s/run\n", source, p.Dir, dir))
	write(source, fmt.Sprintf("version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: %s\n    gateway_addresses: ['%s']\n    internal_subnets: ['%s']\n    published: ['%s']\n",
		nettest.External, p.GatewayAddr, p.InternalNet, p.InstanceAddr))

	d := launch(t, ini)
	d.await(t, "READY=1")
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)

	var out string
	pinged := make(chan error, 1)
	go func() {
		var err error
		out, err = p.Upstream.Try("ping", "-6", "-n", "-q", "-i", "0.01", "-w", "4", p.InstanceAddr.String())
		pinged <- err
	}()
	time.Sleep(200 * time.Millisecond)
	if err := d.end(t, syscall.SIGKILL); err == nil {
		t.Error("a killed program exits with 0")
	}
	d = launch(t, ini)
	d.await(t, "READY=1")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, d.log)
	}
	d.await(t, "STOPPING=1")
	d = launch(t, ini)
	d.await(t, "READY=1")
	if err := <-pinged; err != nil {
		t.Errorf("ping: %v", err)
	}
	if !strings.Contains(out, " 0% packet loss") {
		t.Errorf("packets were lost:\n%s", out)
	}
	write(ini, fmt.Sprintf("[DEFAULT]\nagent_mode = dvr\n[ndp_proxy]\nsource = file\nsource_file = %s\nnetns_dir = %s\nruntime_dir = %s/run\n", source, p.Dir, dir))
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, 5*time.Second, "word of the changed configuration", func() bool {
		return strings.Contains(d.log.String(), "takes effect at the next start")
	})
	if err := d.end(t, syscall.SIGINT); err != nil {
		t.Errorf("after SIGINT: %v\n%s", err, d.log)
	}
}
