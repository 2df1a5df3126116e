package systemd_test

import (
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/boot"
)

// monitored: the unit lets the daemon listen, and read what the metrics are made of;
// its log has priorities in the journal.
func monitored(t *testing.T, m *boot.Machine) {
	t.Helper()
	scrape := func() string {
		return m.Shell(`exec 3<>/dev/tcp/127.0.0.1/9697; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`)
	}
	// Twice looked at thoroughly, with a question of the upstream in between.
	for range 2 {
		m.Run("systemctl", "reload", unit)
		time.Sleep(500 * time.Millisecond)
		m.Run("ip", "-n", "upstream", "-6", "neigh", "flush", "dev", "eth0")
		m.Await(5*time.Second, "the instance answers", func() bool { return answered(m) })
	}
	m.Run("systemctl", "reload", unit)
	m.Await(5*time.Second, "solicitations are counted", func() bool {
		body := scrape()
		return strings.Contains(body, "\nndp_proxy_agent_neighbor_solicitations_total ") && !strings.Contains(body, "\nndp_proxy_agent_neighbor_solicitations_total 0\n")
	})
	body := scrape()
	for _, line := range []string{`ndp_proxy_agent_proxies{state="answered"} 1`, "ndp_proxy_agent_ready 1", "process_open_fds ", "process_resident_memory_bytes "} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
	all, warnings := m.Run("journalctl", "-u", unit, "-o", "cat"), m.Run("journalctl", "-u", unit, "-o", "cat", "-p", "warning")
	if !strings.Contains(all, "info\tanswering") || strings.Contains(all, "<6>") || strings.Contains(warnings, "answering") {
		t.Errorf("the journal has\n%s\nand warnings\n%s", all, warnings)
	}
}
