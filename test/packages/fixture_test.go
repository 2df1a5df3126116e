//go:build packages

package packages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/boot"
)

const (
	name = "neutron-ndp-proxy-agent"
	unit = name + ".service"
	// address is what is published in the machine's router.
	address = "2001:db8:0:2::10"
	ini     = "/etc/neutron/ndp_proxy_agent.ini"
)

// clean is a tarball of a Debian 12 with what apt, systemd and the tests' own
// commands need.
var clean string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ndp-packages-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }() // what is left is the system's to clean
		clean = filepath.Join(dir, "debian.tar")
		start := time.Now()
		if err := debootstrap(dir, clean); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprintf(os.Stderr, "a clean Debian 12 made in %.0f s\n", time.Since(start).Seconds())
		return m.Run()
	}())
}

// debootstrap makes the tarball. Its files are in memory meanwhile: dpkg syncs each.
func debootstrap(dir, tarball string) error {
	mirror := os.Getenv("DEBIAN_MIRROR")
	if mirror == "" {
		mirror = "http://deb.debian.org/debian"
	}
	const script = `mount -t tmpfs -o mode=755 debian "$1"; export TMPDIR=$1
exec mmdebstrap --quiet --variant=apt --include=systemd,systemd-sysv,logrotate,iproute2,iputils-ping,procps,rpm \
	--aptopt='Acquire::Retries "3"' bookworm - "$2" >"$3"`
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	// With a kill of the test all of it goes.
	cmd := exec.Command("unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", "bash", "-euc", script, "bash", work, mirror, tarball)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("no clean Debian 12 can be made from %s (DEBIAN_MIRROR names another mirror): %w\n%s", mirror, err, out)
	}
	return nil
}

// built returns the one package of that kind in dist/.
func built(t *testing.T, suffix string) string {
	t.Helper()
	dist := os.Getenv("NDP_DIST")
	if dist == "" {
		t.Fatal("NDP_DIST names no directory: make packages")
	}
	found, err := filepath.Glob(filepath.Join(dist, "*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d *%s, want one (%v)", dist, len(found), suffix, err)
	}
	return found[0]
}

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

// configure writes what docs/install.md says for a host without Neutron: a drop-in
// for the unit, the options, and what to publish.
func configure(t *testing.T, root string) {
	t.Helper()
	for path, text := range map[string]string{
		"/etc/systemd/system/" + unit + ".d/file.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/" + name + " --config-file " + ini + "\n",
		"/etc/neutron/" + name + ".conf.d/file.conf":   "[ndp_proxy]\nsource = file\n",
		"/etc/neutron/ndp_proxy.yaml": "version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: qg-1\n" +
			"    gateway_addresses: ['2001:db8:0:1::2']\n    internal_subnets: ['2001:db8:0:2::/64']\n    published: ['" + address + "']\n",
	} {
		put(t, root+path, text)
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

// give copies a file into the machine's /tmp and returns its path there.
func give(t *testing.T, m *boot.Machine, file string) string {
	t.Helper()
	bytes, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join("/tmp", filepath.Base(file))
	put(t, m.Root()+there, string(bytes))
	return there
}

// answered reports whether the upstream reaches the instance.
func answered(m *boot.Machine) bool {
	out, err := m.Try("ip", "netns", "exec", "upstream", "ping", "-6", "-n", "-c1", "-W1", address)
	return err == nil && strings.Contains(out, " 0% packet loss")
}

// lossless pings the instance up to a hundred times a second from before a change until
// a second after it, and wants every answer.
func lossless(t *testing.T, m *boot.Machine, what string, change func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ping := m.Command(ctx, "bash", "-c", "echo $$ >/run/ping.pid; exec ip netns exec upstream ping -6 -nq -i 0.01 "+address)
	var out strings.Builder
	ping.Stdout, ping.Stderr = &out, &out
	if err := ping.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	change()
	time.Sleep(time.Second)
	m.Shell("kill -INT $(cat /run/ping.pid)")
	err := ping.Wait()
	if err != nil || !strings.Contains(out.String(), " 0% packet loss") {
		t.Errorf("%s: %v\n%s", what, err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "transmitted") {
			t.Logf("%s: %s", what, strings.TrimSpace(line))
		}
	}
}

// running waits until the daemon is ready, and not the one with that process id.
func running(m *boot.Machine, before string) (pid string) {
	m.Await(15*time.Second, "the unit is active, with a new process", func() bool {
		pid = m.Property(unit, "MainPID")
		return m.Property(unit, "ActiveState") == "active" && pid != before
	})
	return pid
}

// well wants the daemon's own word that all is done.
func well(t *testing.T, m *boot.Machine) {
	t.Helper()
	if out, err := m.Try(name, "status"); err != nil || !strings.Contains(out, "in sync") {
		t.Errorf("status: %v\n%s", err, out)
	}
	if !answered(m) {
		t.Error("the instance does not answer")
	}
}
