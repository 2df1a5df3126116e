package systemd_test

import (
	"strings"
	"testing"
)

// probe is run in the daemon's place, with all that the unit gives and takes. The
// first lines are what the work needs, the others what it does not.
const probe = `
may() { if out=$("$@" 2>&1); then echo "PROBE good: $*"; else echo "PROBE bad: can't $*: $out"; fi; }
maynot() { if out=$("$@" 2>&1); then echo "PROBE bad: can $*"; else echo "PROBE good: can't $*: $out"; fi; }
may nsenter --net=/run/netns/router true
may nsenter --net=/run/netns/router ip -6 neigh add proxy 2001:db8:0:2::99 dev qg-1 protocol 99
may nsenter --net=/run/netns/router nft list tables
may nsenter --net=/run/netns/router bash -c 'echo 1 >/proc/sys/net/ipv6/conf/qg-1/proxy_ndp'
may cat /etc/neutron/neutron.conf
may bash -c "echo probe >>/var/log/neutron/neutron-ndp-proxy-agent.log"
maynot umount /run/netns/router
maynot unshare --mount true
maynot unshare --net true
maynot unshare --user true
maynot nsenter --mount=/proc/1/ns/mnt true
maynot ip netns add probe # the mount is refused
maynot touch /etc/neutron/probe
maynot touch /var/log/neutron/probe
maynot ls /var/log/neutron
maynot touch /run/netns/probe
maynot touch /var/lib/probe
maynot ls /root
maynot ls /proc/1/root
maynot test -e /proc/1/status
maynot test -e /dev/fuse
maynot test -e /tmp/outside
maynot chown nobody /var/log/neutron/neutron-ndp-proxy-agent.log
maynot chmod u+s /var/log/neutron/neutron-ndp-proxy-agent.log
maynot renice -n -5 $$
maynot dmesg
maynot hostname probe
maynot timeout 2 tcpdump -i lo -c 1
echo PROBE end
`

func TestSandbox(t *testing.T) {
	t.Parallel()
	m := machine(t)
	m.Shell(network)
	m.Shell("touch /tmp/outside; ls /proc/1/status /etc/neutron/neutron.conf")
	put(t, m.Root()+"/etc/probe", probe)
	m.Shell(`sed -e 's|^ExecStart=.*|ExecStart=/bin/bash /etc/probe|' -e 's/^Type=.*/Type=oneshot/' -e '/^\(Restart\|Watchdog\|ExecReload\|TimeoutStart\)/d' \
		/usr/lib/systemd/system/` + unit + ` >/etc/systemd/system/probe.service; systemctl daemon-reload; systemctl start probe`)
	out := m.Run("journalctl", "--no-pager", "-o", "cat", "-u", "probe")
	if strings.Contains(out, "PROBE bad") || !strings.Contains(out, "PROBE end") {
		t.Errorf("under the unit's restrictions:\n%s", out)
	}
	if n := strings.Count(out, "PROBE good: "); n != strings.Count(probe, "\nmay")-2 { // two are the functions
		t.Errorf("%d answers:\n%s", n, out)
	}
}
