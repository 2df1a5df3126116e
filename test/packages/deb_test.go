//go:build packages

package packages

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/test/boot"
)

// Installed, restarted, upgraded, removed and purged, in this order: each part goes
// on where the one before stopped.
func TestDeb(t *testing.T) {
	t.Parallel()
	deb := built(t, ".deb")
	m := boot.StartFrom(t, clean, func(root string) { configure(t, root) })
	m.Shell(network + "install -d -m 0750 /var/log/neutron")
	before := files(m)

	m.Run(apt("install", give(t, m, deb))...)
	pid := running(m, "0")
	well(t, m)
	if got := m.Run("systemctl", "is-enabled", unit); got != "enabled" {
		t.Errorf("after the installation: %s", got)
	}
	if got := m.Run("stat", "-c", "%U:%G:%a", ini); got != "root:neutron:640" {
		t.Errorf("%s is %s", ini, got)
	}
	if got := m.Run("dpkg", "--verify", name); got != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	m.Run("logrotate", "--debug", "/etc/logrotate.conf")

	lossless(t, m, "systemctl restart", func() { m.Run("systemctl", "restart", unit) })
	pid = running(m, pid)
	well(t, m)

	// An option of the operator's, in the conffile and beside it, and a log file.
	m.Shell("printf '[DEFAULT]\\nlog_dir = /var/log/neutron\\n' >>" + ini)
	lossless(t, m, "apt install of a later version", func() {
		m.Run(apt("install", give(t, m, later(t, deb)))...)
		pid = running(m, pid)
	})
	well(t, m)
	if got := m.Run("dpkg-query", "-W", "-f", "${Version}", name); !strings.HasSuffix(got, "later") {
		t.Errorf("version %s is installed", got)
	}
	if got := m.Run("tail", "-n1", ini); got != "log_dir = /var/log/neutron" {
		t.Errorf("the conffile after the upgrade: %s", got)
	}
	const log = "/var/log/neutron/" + name + ".log"
	if got := m.Run("stat", "-c", "%U:%G:%a", log); got != "neutron-ndp-proxy:neutron:640" {
		t.Errorf("the log file is %s", got)
	}
	m.Shell("test -s " + log)

	// A version that does not start must not keep apt from ending.
	m.Run("bash", "-c", "echo nonsense >>"+ini+"; dpkg-reconfigure "+name)
	m.Await(10*time.Second, "it refuses the configuration", func() bool { return m.Property(unit, "ActiveState") == "failed" })
	m.Shell("sed -i /nonsense/d " + ini + "; dpkg-reconfigure " + name)
	pid = running(m, "0")
	well(t, m)

	lossless(t, m, "apt remove", func() { m.Run(apt("remove", name)...) })
	if _, err := m.Try("test", "-e", "/proc/"+pid); err == nil {
		t.Error("the daemon runs after the removal")
	}
	if got := m.Property(unit, "ActiveState"); got != "inactive" {
		t.Errorf("the unit is %s", got)
	}
	if got := m.Run("stat", "-c", "%U:%G:%a", ini); got != "root:neutron:640" {
		t.Errorf("%s is %s after the removal", ini, got)
	}

	// As in an image that is being built, or on a host whose administrator says so:
	// enabled, and not started.
	policy := m.Root() + "/usr/sbin/policy-rc.d"
	put(t, policy, "#!/bin/sh\nexit 101\n")
	m.Run("chmod", "0755", "/usr/sbin/policy-rc.d")
	m.Run(apt("install", give(t, m, deb))...)
	if state := m.Run("systemctl", "show", "-P", "ActiveState,UnitFileState", unit); state != "inactive\nenabled" {
		t.Errorf("with a policy-rc.d that forbids it: %q", state)
	}
	m.Run("rm", "/usr/sbin/policy-rc.d")

	m.Run(apt("purge", name)...)
	if diff := cmp.Diff(before, files(m)); diff != "" {
		t.Errorf("after the purge (-before +after):\n%s", diff)
	}
	if !answered(m) {
		t.Error("what was published went with the package")
	}
	// The user stays, as docs/install.md says.
	m.Run("id", "neutron-ndp-proxy")
}

// Without systemd, as in a chroot in which an image is made: the unit is enabled,
// and starts when the image is booted.
func TestDebInAChroot(t *testing.T) {
	t.Parallel()
	deb := built(t, ".deb")
	m := boot.StartFrom(t, clean, func(root string) {
		configure(t, root)
		run(t, "cp", deb, root+"/tmp/x.deb")
		// By way of its namespaces: it has a /proc of its own.
		pid, dir, _ := strings.Cut(strings.TrimPrefix(root, "/proc/"), "/root")
		if out := run(t, append([]string{"nsenter", "-t", pid, "-m", "-p", "chroot", dir}, apt("install", "/tmp/x.deb")...)...); strings.Contains(out, "rror") {
			t.Errorf("installation in a chroot:\n%s", out)
		}
	})
	running(m, "0")
	m.Shell(network)
	m.Await(10*time.Second, "the instance answers", func() bool { return answered(m) })
	well(t, m)
	m.Run("systemctl", "disable", unit)
	m.Run("dpkg-reconfigure", name)
	if got, _ := m.Try("systemctl", "is-enabled", unit); got != "disabled" {
		t.Errorf("what the administrator disabled is %s after an upgrade", got)
	}

	// With a broker that is down, a start has no end. That of dpkg has.
	put(t, m.Root()+"/etc/neutron/neutron.conf", "[DEFAULT]\ntransport_url = rabbit://u:p@127.0.0.1:1/\n")
	put(t, m.Root()+"/etc/neutron/l3_agent.ini", "")
	m.Shell("rm -r /etc/systemd/system/" + unit + ".d /etc/neutron/" + name + ".conf.d; systemctl daemon-reload; systemctl enable " + unit)
	m.Run("dpkg-reconfigure", name)
	m.Await(10*time.Second, "it waits for a broker", func() bool {
		return m.Property(unit, "ActiveState") == "activating" && strings.Contains(m.Property(unit, "StatusText"), "not connected to a broker")
	})
}

// Errors and warnings; what is overridden has its reason beside it.
func TestLintian(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", built(t, ".deb")).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	if version := strings.TrimSpace(run(t, "lintian", "--print-version")); version < "2.116" {
		t.Errorf("lintian %s is too old to know Debian 12", version)
	}
}

// apt is a command that asks nothing. There is no network.
func apt(command string, arguments ...string) []string {
	return slices.Concat([]string{"env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"}, []string{command}, arguments)
}

// own are the files that stay or change for good reason: the user database, ours to
// begin with, and what apt and systemd write of their own work.
var own = regexp.MustCompile(`^/(etc/(passwd|group|shadow|gshadow)-?|var/(log|cache|lib/(apt|dpkg|systemd/(catalog|deb-systemd-helper-[a-z]*|random-seed|timers|coredump)))(/.*)?|run/.*|etc/systemd/system)$`)

// files lists what is on the machine's disk.
func files(m *boot.Machine) []string {
	var all []string
	for path := range strings.FieldsSeq(m.Shell("find / /etc/systemd/system $(ls -d /run/" + name + " 2>/dev/null) -xdev")) {
		if !own.MatchString(path) || strings.Contains(path, "neutron") {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// later makes a package of a later version of the same files.
func later(t *testing.T, deb string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "later")
	run(t, "dpkg-deb", "-R", deb, dir)
	run(t, "sed", "-i", `s/^Version: .*/&+later/`, filepath.Join(dir, "DEBIAN/control"))
	run(t, "dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", dir, dir+".deb")
	return dir + ".deb"
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
