package systemd_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/boot"
)

// The order counts: each part goes on where the one before stopped.
func TestUnit(t *testing.T) {
	t.Parallel()
	m := machine(t)
	if out := m.Run("systemd-analyze", "verify", unit); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	// At each boot, and whenever somebody installs it again.
	for range 2 {
		if out := m.Run("systemd-tmpfiles", "--create", "neutron-ndp-proxy-agent.conf"); out != "" {
			t.Errorf("systemd-tmpfiles: %s", out)
		}
	}

	// /run/netns is no mount point when the service starts, and the namespaces
	// come later.
	if out, err := m.Try("mountpoint", "/run/netns"); err == nil {
		t.Fatalf("/run/netns is a mount point already: %s", out)
	}
	m.Run("systemctl", "start", unit)
	m.Shell(network)
	heard := make(chan string, 1)
	go func() {
		out, _ := m.Try("timeout", "10", "ip", "netns", "exec", "upstream", "tcpdump", "-lnc1", "-i", "eth0", "icmp6 and ip6[40] == 136 and ip6 dst ff02::1")
		heard <- out
	}()
	m.Await(10*time.Second, "the instance answers", func() bool { return answered(m) })
	if out := m.Run("ip", "-n", "router", "-6", "neigh", "show", "proxy", "proto", "110"); !strings.HasPrefix(out, address+" dev qg-1") {
		t.Errorf("proxy neighbours: %q", out)
	}
	if out := m.Run("ip", "netns", "exec", "router", "nft", "list", "table", "ip6", "neutron_ndp_proxy"); !strings.Contains(out, address) {
		t.Errorf("table: %s", out)
	}
	if out := m.Run("ip", "netns", "exec", "router", "sysctl", "-n", "net.ipv6.conf.qg-1.proxy_ndp"); out != "1" {
		t.Errorf("proxy_ndp is %s", out)
	}
	if out := <-heard; !strings.Contains(out, "neighbor advertisement") || !strings.Contains(out, address) {
		t.Errorf("announced: %s", out)
	}

	// Who it is, whoever's the directory was.
	if got := m.Shell("stat -c %U:%G:%a /proc/$(systemctl show -P MainPID " + unit + ")/cmdline " + runtime + " " + runtime + "/owed"); got != "root:root:444\nneutron-ndp-proxy:neutron:750\nneutron-ndp-proxy:neutron:750" {
		t.Errorf("its /proc (root: no core dump, no look inside), runtime directory: %s", got)
	}
	uid := m.Run("id", "-u", "neutron-ndp-proxy")
	for field, want := range map[string]string{
		"Uid":        strings.Join([]string{uid, uid, uid, uid}, "\t"),
		"CapEff":     "0000000000203000", // SYS_ADMIN, NET_RAW, NET_ADMIN
		"CapPrm":     "0000000000203000",
		"CapBnd":     "0000000000203000",
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if got := status(m, field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	// Its memory and environment are nobody's, not even another process's of the same user.
	for _, user := range []string{"neutron", "neutron-ndp-proxy"} {
		out, err := m.Try("bash", "-c", "exec setpriv --reuid "+user+" --regid neutron --clear-groups cat /proc/$(systemctl show -P MainPID "+unit+")/environ")
		if err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s reads its environment: %v %s", user, err, out)
		}
	}

	controlSocket(t, m)
	monitored(t, m)

	// A namespace that goes, goes for the service too, or it would live on.
	m.Run("ip", "netns", "add", "passing")
	there := "grep -c /run/netns/passing /proc/$(systemctl show -P MainPID " + unit + ")/mountinfo || true"
	if got := m.Shell(there); got == "0" {
		t.Error("a namespace that was made later is not there in the service")
	}
	m.Run("ip", "netns", "delete", "passing")
	if got := m.Shell(there); got != "0" {
		t.Errorf("a namespace that was deleted is still mounted in the service (%s)", got)
	}

	// Killed, restarted and stopped: no packet is lost, what is owed is kept.
	lost := make(chan string, 1)
	go func() {
		out, _ := m.Try("ip", "netns", "exec", "upstream", "ping", "-6", "-nq", "-i", "0.02", "-w", "8", address)
		lost <- out
	}()
	m.Shell("touch " + runtime + "/owed/mark")
	m.Run("systemctl", "kill", "-s", "KILL", unit)
	m.Await(10*time.Second, "it is started again", func() bool {
		return m.Property(unit, "NRestarts") == "1" && m.Property(unit, "ActiveState") == "active"
	})
	m.Run("systemctl", "restart", unit)
	m.Run("systemctl", "reload", unit)
	m.Await(5*time.Second, "the reload is heard", func() bool { return strings.Contains(m.Journal(), "SIGHUP: looking") })
	start := time.Now()
	m.Run("systemctl", "stop", unit)
	if took := time.Since(start); took > 5*time.Second || m.Property(unit, "Result") != "success" {
		t.Errorf("the stop took %v: %s", took, m.Property(unit, "Result"))
	}
	if out := <-lost; !strings.Contains(out, " 0% packet loss") {
		t.Errorf("packets were lost: %s", out)
	}
	if out, err := m.Try("ls", runtime); err != nil {
		t.Errorf("the runtime directory went with the service: %s", out)
	} else if strings.Contains(out, "control") {
		t.Errorf("the control socket is still there: %s", out)
	}
	if out, err := m.Try("neutron-ndp-proxy-agent", "status"); code(err) != 3 || !strings.Contains(out, "not running") {
		t.Errorf("status of one that was stopped: %v %s", err, out)
	}
	m.Run("systemctl", "start", unit)

	// It does not get rights back that it lacks, and says so once.
	for what, c := range map[string]struct{ drop, want string }{
		"a capability":   {"CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\nAmbientCapabilities=\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW\n", "CAP_SYS_ADMIN is missing"},
		"/proc/sys":      {"ProtectKernelTunables=yes\n", "ProtectKernelTunables"},
		"the namespaces": {"InaccessiblePaths=/run/netns\n", "netns_dir"},
	} {
		dropIn(t, m, fromFile+c.drop)
		if out, err := m.Try("systemctl", "restart", unit); err == nil {
			t.Errorf("started without %s: %s", what, out)
		}
		if got := m.Property(unit, "ExecMainStatus") + " " + m.Property(unit, "ActiveState"); got != "77 failed" {
			t.Errorf("without %s: %s", what, got)
		}
		if !strings.Contains(m.Journal(), c.want) {
			t.Errorf("without %s the journal lacks %q:\n%s", what, c.want, m.Journal())
		}
	}

	// What hangs is started again; what goes on is not, for many times the limit.
	dropIn(t, m, fromFile+"WatchdogSec=2s\n")
	m.Run("systemctl", "start", unit)
	time.Sleep(5 * time.Second)
	if got := m.Property(unit, "NRestarts"); got != "0" {
		t.Errorf("the watchdog bit %s times without need\n%s", got, m.Journal())
	}
	m.Run("systemctl", "kill", "-s", "STOP", unit)
	m.Await(15*time.Second, "the watchdog bites", func() bool {
		return m.Property(unit, "NRestarts") == "1" && m.Property(unit, "ActiveState") == "active"
	})
	m.Run("systemctl", "stop", unit)
}

// controlSocket: root and who is in group neutron may ask, and nobody else, whatever
// the mode of the directory is.
func controlSocket(t *testing.T, m *boot.Machine) {
	t.Helper()
	const socket = runtime + "/control.sock"
	if got := m.Run("stat", "-c", "%F %U:%G:%a", socket); got != "socket neutron-ndp-proxy:neutron:660" {
		t.Errorf("control socket: %s", got)
	}
	if out := m.Run("neutron-ndp-proxy-agent", "status"); !strings.Contains(out, "in sync") {
		t.Errorf("root asks: %s", out)
	}
	const nobody = "exec setpriv --reuid nobody --regid nogroup --no-new-privs --inh-caps=-all "
	for _, dir := range []string{"0750", "0755"} {
		m.Run("chmod", dir, runtime)
		out, err := m.Try("bash", "-c", nobody+"--groups neutron neutron-ndp-proxy-agent status")
		if err != nil || !strings.Contains(out, "in sync") {
			t.Errorf("directory %s, a member of group neutron: %v %s", dir, err, out)
		}
		out, err = m.Try("bash", "-c", nobody+"--clear-groups neutron-ndp-proxy-agent status")
		if code(err) != 3 || !strings.Contains(out, "no permission: root may connect, and who is in group neutron") || strings.Contains(out, "in sync") {
			t.Errorf("directory %s, nobody: %v %s", dir, err, out)
		}
	}
	m.Run("chmod", "0750", runtime)
}

// code is the exit code of a command that failed, 0 of one that did not.
func code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// With Neutron's own files: the password is readable, the log goes where the others'
// go, and waiting for a broker is said.
func TestUnitWithNeutron(t *testing.T) {
	t.Parallel()
	m := machine(t)
	dropIn(t, m, "")
	put(t, m.Root()+"/etc/neutron/ndp_proxy_agent.ini", "")
	checkCommand(t, m)
	m.Run("systemctl", "start", "--no-block", unit)
	m.Await(15*time.Second, "it waits for a broker", func() bool {
		return strings.Contains(m.Property(unit, "StatusText"), "not connected to a broker")
	})
	said, err := m.Try("neutron-ndp-proxy-agent", "status")
	if code(err) != 1 || !strings.Contains(said, "waiting for the first full sync") || !strings.Contains(said, "not connected since") {
		t.Errorf("status: %v %s", err, said)
	}
	const log = "/var/log/neutron/neutron-ndp-proxy-agent.log"
	// As Neutron's own packages have it, in the same directory; its group must not be
	// able to write there, or logrotate refuses.
	put(t, m.Root()+"/etc/logrotate.d/neutron-common", "/var/log/neutron/*.log {\n\trotate 4\n\tdaily\n\tcopytruncate\n}\n")
	m.Shell("echo x >/var/log/neutron/neutron-l3-agent.log; chown neutron /var/log/neutron/neutron-l3-agent.log")
	m.Run("logrotate", "--force", "/etc/logrotate.conf")
	m.Shell("test -s /var/log/neutron/neutron-l3-agent.log.1")
	m.Await(5*time.Second, "a new log file, which is used", func() bool {
		out, err := m.Try("stat", "-c", "%U:%G:%a", log)
		lines, _ := m.Try("cat", log)
		return err == nil && out == "neutron-ndp-proxy:neutron:640" && lines != ""
	})
	m.Await(5*time.Second, "the broker is named", func() bool {
		out, _ := m.Try("cat", log+".1")
		return strings.Contains(out, "127.0.0.1:1") && strings.HasPrefix(out, "old")
	})
	if out := said + m.Shell("cat "+log+"*; journalctl; systemctl show "+unit); strings.Contains(out, "topsecret") {
		t.Errorf("the password is shown:\n%s", out)
	}
	m.Run("systemctl", "stop", unit)
}
