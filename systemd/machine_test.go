package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/test/boot"
)

const (
	unit    = "neutron-ndp-proxy-agent.service"
	runtime = "/run/neutron-ndp-proxy-agent"
	// address is what is published in the machine's router.
	address = "2001:db8:0:2::10"
)

// fromFile is the drop-in of docs/install.md for hosts without Neutron.
const fromFile = `[Service]
ExecStart=
ExecStart=/usr/bin/neutron-ndp-proxy-agent --config-file /etc/neutron/ndp_proxy_agent.ini
`

// published is the file that the daemon reads there.
const published = `version: 1
namespaces:
- name: router
  devices:
  - name: qg-1
    gateway_addresses: ['2001:db8:0:1::2']
    internal_subnets: ['2001:db8:0:2::/64']
    published: ['` + address + `']
`

// network makes an upstream router, a router and an instance in a row, by `ip netns
// add` as Neutron does.
const network = `
for n in upstream router instance; do ip netns add $n; ip -n $n link set lo up; done
for n in upstream router; do ip netns exec $n sysctl -qw net.ipv6.conf.all.forwarding=1; done
ip -n upstream link add eth0 type veth peer name qg-1 netns router
ip -n instance link add eth0 type veth peer name qr-1 netns router
ip -n upstream address add 2001:db8:0:1::1/64 dev eth0 nodad
ip -n router address add 2001:db8:0:1::2/64 dev qg-1 nodad
ip -n router address add 2001:db8:0:2::1/64 dev qr-1 nodad
ip -n instance address add ` + address + `/64 dev eth0 nodad
for d in upstream/eth0 router/qg-1 router/qr-1 instance/eth0; do
    ip netns exec ${d%/*} sysctl -qw net.ipv6.conf.${d#*/}.accept_dad=0
    ip -n ${d%/*} link set ${d#*/} up
done
ip -n upstream route add 2001:db8:0:2::/64 dev eth0
ip -n router route add default via 2001:db8:0:1::1
ip -n instance route add default via 2001:db8:0:2::1
`

// machine boots one with the daemon installed and not started, reading from a file.
func machine(t *testing.T) *boot.Machine {
	t.Helper()
	m := boot.Start(t, func(root string) {
		install(t, root)
		// What an older version, which ran as neutron, left.
		put(t, root+"/etc/sysusers.d/older.conf", "g neutron -\nu neutron -:neutron \"OpenStack Neutron\" /var/lib/neutron\n")
		put(t, root+"/etc/tmpfiles.d/aa-older.conf", "d "+runtime+" 0750 neutron neutron -\nd "+runtime+"/owed 0750 neutron neutron -\nf "+runtime+"/owed/elsewhere 0640 neutron neutron -\n"+
			"d /var/log/neutron 0750 neutron adm -\nf /var/log/neutron/neutron-ndp-proxy-agent.log 0640 neutron neutron - old\n")
		put(t, root+"/etc/neutron/neutron.conf", "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:topsecret@127.0.0.1:1/\nlog_dir = /var/log/neutron\n")
		put(t, root+"/etc/neutron/l3_agent.ini", "")
		put(t, root+"/etc/neutron/ndp_proxy.yaml", published)
		put(t, root+"/etc/neutron/ndp_proxy_agent.ini", "[ndp_proxy]\nsource = file\nsource_file = /etc/neutron/ndp_proxy.yaml\nmetrics_listen = 127.0.0.1:9697\n")
	})
	m.Shell("chown root:neutron /etc/neutron/neutron.conf; chmod 0640 /etc/neutron/neutron.conf; chmod 0755 /etc/neutron; chmod 0644 /etc/neutron/*.ini")
	dropIn(t, m, fromFile)
	// docs/install.md: the log file is handed over.
	m.Run("chown", "neutron-ndp-proxy:neutron", "/var/log/neutron/neutron-ndp-proxy-agent.log")
	return m
}

// install does what docs/install.md says, below a directory.
func install(t *testing.T, root string) {
	t.Helper()
	cmd := exec.Command("make", "-C", "..", "--no-print-directory", "install", "DESTDIR="+root)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// dropIn replaces what changes the unit.
func dropIn(t *testing.T, m *boot.Machine, text string) {
	t.Helper()
	put(t, m.Root()+"/etc/systemd/system/"+unit+".d/test.conf", text)
	m.Run("systemctl", "daemon-reload")
}

// answered reports whether the upstream reaches the instance.
func answered(m *boot.Machine) bool {
	out, err := m.Try("ip", "netns", "exec", "upstream", "ping", "-6", "-n", "-c1", "-W1", address)
	return err == nil && strings.Contains(out, " 0% packet loss")
}

// status returns a field of the daemon's /proc/PID/status.
func status(m *boot.Machine, field string) string {
	return m.Shell("sed -n 's/^" + field + ":[[:space:]]*//p' /proc/$(systemctl show -P MainPID " + unit + ")/status")
}
