//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// stages are the packets of the watched flow, both ways, that came so far in the router's namespace:
// to our filter, through it, and out of the namespace.
type stages struct{ reached, passed, left int }

const countTable = "migrate_count"

// count puts counters before and behind our filter (priority -5; Neutron's is at 0) and at the very end.
// Neither Neutron nor we touch a table of somebody else.
func (m *migration) count() {
	m.Helper()
	text := "table ip6 " + countTable + " {\n"
	for _, chain := range []struct{ name, hook, priority string }{
		{"reached", "forward", "-6"}, {"passed", "forward", "-4"}, {"left", "postrouting", "400"},
	} {
		text += fmt.Sprintf("counter %[1]s { }\nchain %[1]s {\ntype filter hook %[2]s priority %[3]s\n"+
			"ip6 daddr %[4]s meta l4proto udp counter name %[1]s\nip6 saddr %[4]s meta l4proto udp counter name %[1]s\n}\n",
			chain.name, chain.hook, chain.priority, m.inst.Addr)
	}
	file := filepath.Join(m.TempDir(), "count.nft")
	m.must(os.WriteFile(file, []byte(text+"}\n"), 0o600))
	_, err := nettools.Exec(m.ctx, m.cloud.Namespace, "nft", "-f", file)
	m.must(err)
	m.finally(func(ctx context.Context) error {
		_, err := nettools.Exec(ctx, m.cloud.Namespace, "nft", "delete", "table", "ip6", countTable)
		return err
	})
}

// stages reads the counters.
func (m *migration) stages() stages {
	m.Helper()
	out, err := nettools.Exec(context.WithoutCancel(m.ctx), m.cloud.Namespace, "nft", "-j", "list", "counters", "table", "ip6", countTable)
	m.must(err)
	var doc struct {
		Nftables []struct {
			Counter *struct {
				Name    string `json:"name"`
				Packets int    `json:"packets"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	m.must(json.Unmarshal(out, &doc))
	found := map[string]int{}
	for _, o := range doc.Nftables {
		if o.Counter != nil {
			found[o.Counter.Name] = o.Counter.Packets
		}
	}
	if len(found) != 3 {
		m.Fatalf("want three counters: %s", out)
	}
	return stages{found["reached"], found["passed"], found["left"]}
}

// statusIsWell: what docs/migrate.md has the operator look at.
func (m *migration) statusIsWell() {
	m.Helper()
	for _, command := range []string{"status", "diff"} {
		out, err := m.host.Run(m.ctx, os.Getenv(lab.EnvBinary), command, "--socket", m.runtimeDir()+"/control.sock")
		if err != nil {
			m.Errorf("%s: %v\n%s", command, err, out)
		}
		m.Logf("%s:\n%s", command, out)
	}
}

// runtimeDir is what the lab gives the daemon on the host.
func (m *migration) runtimeDir() string {
	return filepath.Join(m.lab.Dir, "run", "agent-"+m.host.Name)
}

// cleanup runs the command that takes away the rest: by then that is nothing in the router's namespace.
func (m *migration) cleanup() {
	m.Helper()
	ini := filepath.Join(m.TempDir(), "ndp_proxy_agent.ini")
	m.must(os.WriteFile(ini, []byte("[ndp_proxy]\nruntime_dir = "+m.runtimeDir()+"\n"), 0o600))
	for _, how := range []string{"--dry-run", "--yes"} {
		out, err := m.host.Run(m.ctx, os.Getenv(lab.EnvBinary), "cleanup", how, "--config-file", ini)
		m.must(err)
		m.Logf("cleanup %s:\n%s", how, out)
		if strings.Contains(string(out), m.cloud.Namespace) {
			m.Errorf("cleanup %s finds something of ours in %s, which was handed over", how, m.cloud.Namespace)
		}
	}
}
