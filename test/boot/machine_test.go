package boot_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/boot"
)

// What the tests of units count on: a real systemd, a file system and a network of
// its own, and only what was enabled.
func TestMachine(t *testing.T) {
	mine := filepath.Join("/etc", "ndp-boot-test")
	m := boot.Start(t, func(root string) {
		if err := os.WriteFile(root+mine, []byte("hello\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		unit := "[Service]\nExecStart=/bin/sleep infinity\n"
		if err := os.WriteFile(root+"/etc/systemd/system/sleeper.service", []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if got := m.Run("cat", mine); got != "hello" {
		t.Errorf("%s in the machine: %q", mine, got)
	}
	if _, err := os.Stat(mine); err == nil {
		t.Errorf("%s is on the host", mine)
	}
	if got := m.Run("cat", "/proc/1/comm"); got != "systemd" {
		t.Errorf("process 1 is %s", got)
	}
	m.Run("systemctl", "start", "sleeper")
	m.Run("systemctl", "kill", "-s", "KILL", "sleeper")
	m.Await(5*time.Second, "systemd sees that a service was killed", func() bool {
		return m.Property("sleeper", "Result") == "signal"
	})
	m.Run("ip", "netns", "add", "there")
	if _, err := os.Stat("/run/netns/there"); err == nil {
		t.Error("a namespace made in the machine is on the host")
	}
	if got := m.Run("ip", "-br", "link"); strings.Count(got, "\n") != 0 || !strings.HasPrefix(got, "lo ") {
		t.Errorf("devices: %s", got)
	}
	m.Run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
	if out, err := m.Try("sysctl", "-w", "kernel.panic=0"); err == nil {
		t.Errorf("the host's kernel can be set from inside: %s", out)
	}
	services := m.Run("systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend")
	if strings.Count(services, "\n") != 0 || !strings.HasPrefix(services, "systemd-journald.service") {
		t.Errorf("more runs than the journal:\n%s", services)
	}
}
