package systemd_test

import (
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/test/boot"
)

// checkCommand sees the unit as systemd has it, and the files as the unit's user.
func checkCommand(t *testing.T, m *boot.Machine) {
	t.Helper()
	check := func(what string, wants ...string) {
		t.Helper()
		out, err := m.Try("neutron-ndp-proxy-agent", "check")
		if code(err) != 1 { // there is no broker
			t.Errorf("%s: %v", what, err)
		}
		flat := strings.Join(strings.Fields(out), " ")
		for _, w := range append(wants, "fail broker 127.0.0.1:1: connect: connection refused", "ok neighbours", "ok nftables") {
			if !strings.Contains(flat, w) {
				t.Errorf("%s: no %q in\n%s", what, w, out)
			}
		}
		if strings.Contains(out, "topsecret") {
			t.Errorf("%s: the password is shown:\n%s", what, out)
		}
	}
	const files = "ok files /etc/neutron/neutron.conf, /etc/neutron/l3_agent.ini, /etc/neutron/ndp_proxy_agent.ini, as the unit has it"
	check("well", files, "ok access all 3 files", "ok capabilities the unit gives CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_NET_RAW", "ok user user neutron-ndp-proxy (",
		"ok runtime-dir", "ok log the daemon's user can write to the log /var/log/neutron/neutron-ndp-proxy-agent.log", "warn unit disabled, inactive (dead)", "ok daemon no daemon runs")
	m.Shell("chgrp root /etc/neutron/neutron.conf; chown root /var/log/neutron/neutron-ndp-proxy-agent.log")
	check("files of root alone", files, "fail access the daemon's user can't read it: open /etc/neutron/neutron.conf: permission denied", "fail log the daemon's user can't write to the log")
	m.Shell("chgrp neutron /etc/neutron/neutron.conf; chown neutron-ndp-proxy /var/log/neutron/neutron-ndp-proxy-agent.log")
	dropIn(t, m, "[Service]\nProtectKernelTunables=yes\nNoNewPrivileges=no\nAmbientCapabilities=\nAmbientCapabilities=CAP_NET_ADMIN\nReadWritePaths=\n")
	check("a drop-in", "fail unit ProtectKernelTunables=yes: proxy_ndp", "warn unit weaker than as shipped: NoNewPrivileges=no (shipped: yes); drop-ins: /etc/systemd/system/neutron-ndp-proxy-agent.service.d/test.conf",
		"fail capabilities the unit does not give CAP_SYS_ADMIN", "fail log /var/log/neutron/neutron-ndp-proxy-agent.log: the unit lets the daemon write elsewhere only")
	dropIn(t, m, "")
}
