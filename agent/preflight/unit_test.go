package preflight

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/agent/config"
)

// What is compared with is what is shipped.
func TestShippedUnit(t *testing.T) {
	text, err := os.ReadFile("../../systemd/neutron-ndp-proxy-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := "\n" + string(text)
	for _, s := range shipped() {
		if !strings.Contains(unit, "\n"+s.property+"="+s.value+"\n") {
			t.Errorf("the unit has no %s=%s", s.property, s.value)
		}
	}
	for _, b := range breaking() {
		if strings.Contains(unit, "\n"+b.property+"="+b.value+"\n") {
			t.Errorf("the unit has %s=%s, which breaks it", b.property, b.value)
		}
	}
	for _, line := range []string{"User=" + defaultUser, "Group=" + defaultGroup} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no %s", line)
		}
	}
}

func TestParseUnit(t *testing.T) {
	u := parseUnit("LoadState=loaded\nExecStart={ path=/usr/bin/a ; argv[]=/usr/bin/a --config-file /etc/a.conf -config-dir=/etc/d --debug --config-file ; ignore_errors=no ; start_time=[n/a] ; pid=0 }\n" +
		"ReadWritePaths=-/var/log/neutron\nReadWritePaths=+/srv/x\nRuntimeDirectory=n\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nEmpty=\n")
	if got := u.sources(); !slices.Equal(got, []config.Source{config.File("/etc/a.conf"), config.Dir("/etc/d")}) {
		t.Errorf("sources %v", got)
	}
	if _, known := u["Empty"]; !known || u["Other"] != "" {
		t.Error("what is shown empty is known")
	}
	for path, want := range map[string]bool{
		"/var/log/neutron/a.log": true, "/srv/x": true, "/srv/xy": false, "/run/n/owed": true, "/run/nn": false, "/var/log/neutron/../a": false, "/": false,
	} {
		if got := u.writable(path); got != want {
			t.Errorf("writable(%s) = %t", path, got)
		}
	}
	for path, want := range map[string]bool{"/home/a/x.pem": true, "/root/x": true, "/rooted": false, "/tmp/x": true, "/var/tmp/x": true, "/etc/neutron/x": false} {
		if got := u.hidden(path); got != want {
			t.Errorf("hidden(%s) = %t", path, got)
		}
	}
	open := Unit{}
	if !open.writable("/x") || open.hidden("/root/x") || open.sources() != nil {
		t.Error("a unit without restrictions restricts")
	}
}

func TestPropagation(t *testing.T) {
	const root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	for name, c := range map[string]struct {
		mounts, at string
		spreads    bool
	}{
		"host, no namespace yet": {root + "25 22 0:23 / /run rw shared:5 - tmpfs tmpfs rw\n", "/run", true},
		"its own mount":          {root + "30 25 0:23 /netns /run/netns rw shared:5 - tmpfs tmpfs rw\n", "/run/netns", true},
		"container":              {root + "30 25 0:23 /netns /run/netns rw master:9 - tmpfs tmpfs rw\n", "/run/netns", true},
		"container, private":     {root + "30 25 0:23 /netns /run/netns rw - tmpfs shared:7 rw\n", "/run/netns", false},
		"a namespace in it":      {root + "31 25 0:4 net:[1] /run/netns/qrouter-1 rw - nsfs nsfs rw\n", "/", true},
		"mounted over":           {root + "30 25 0:1 / /run/netns rw shared:2 - tmpfs a rw\n31 30 0:2 / /run/netns rw - tmpfs b rw\n", "/run/netns", false},
		"garbled":                {"x\n\n" + root, "/", true},
		"another of its head":    {root + "30 25 0:23 / /run/net rw - tmpfs a rw\n", "/", true},
	} {
		if at, spreads := propagation([]byte(c.mounts), "/run/netns"); at != c.at || spreads != c.spreads {
			t.Errorf("%s: %s, %t", name, at, spreads)
		}
	}
}

// What runs is told by the program, not by a name that some other one was given.
func TestRuns(t *testing.T) {
	titled := "neutron-l3-agent (/usr/bin/python3 /usr/bin/neutron-l3-agent --config-file=/etc/neutron/neutron.conf --config-dir /etc/neutron/agent.conf.d)"
	for _, c := range []struct {
		args    []string
		name    string
		want    bool
		sources []config.Source
	}{
		{[]string{"/usr/sbin/ndppd", "-d"}, "ndppd", true, nil},
		{[]string{"/usr/bin/python3", "-s", "/usr/bin/neutron-l3-agent", "--config-file", "a"}, "neutron-l3-agent", true, []config.Source{config.File("a")}},
		{[]string{titled}, "neutron-l3-agent", true, []config.Source{config.File("/etc/neutron/neutron.conf"), config.Dir("/etc/neutron/agent.conf.d")}},
		{[]string{"neutron-keepalived-state-change (x) y"}, "x", false, nil},
		{[]string{"journalctl", "-u", program}, program, false, nil},
		{[]string{"systemctl", "restart", "neutron-l3-agent"}, "neutron-l3-agent", false, nil},
		{[]string{"python3", "-u"}, "python3", false, nil},
		{nil, "", false, nil},
	} {
		if got := runs(Process{1, c.args}, c.name); got != c.want {
			t.Errorf("%q runs %s: %t", c.args, c.name, got)
		}
		if got := sourcesOf(commandOf(c.args)); !slices.Equal(got, c.sources) {
			t.Errorf("%q reads %v", c.args, got)
		}
	}
}

// A thousand namespaces that can't be looked at in time are one line.
func TestExtensionInTime(t *testing.T) {
	w := newWorld(t)
	for _, ns := range []string{"netns/qrouter-2", "netns/qrouter-3"} {
		w.put(t, ns, "")
	}
	w.HasChain = func(ctx context.Context, _, _, _, _ string) (bool, error) { return false, ctx.Err() }
	x := &examination{Environment: w.Environment}
	x.begin(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lines := x.extension(ctx); len(lines) != 1 || lines[0].Status != Warn || !strings.Contains(lines[0].Found, "not checked: whether all namespaces") {
		t.Errorf("%+v", lines)
	}
}
