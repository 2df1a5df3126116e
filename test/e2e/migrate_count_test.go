//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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
	socket := filepath.Join(m.lab.Dir, "run", "agent-"+m.host.Name, "control.sock")
	out, err := m.host.Run(m.ctx, os.Getenv(lab.EnvBinary), "status", "--socket", socket)
	if err != nil {
		m.Errorf("status: %v\n%s", err, out)
	}
	m.Logf("status:\n%s", out)
}
