//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
)

// TestAgentList: `openstack network agent list` shows our agent alive, `show` its configurations.
func TestAgentList(t *testing.T) {
	w := setup(t)
	w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)

	var id string
	w.await(15*time.Second, "the agent alive in the list", func() bool {
		var agents []map[string]any
		w.must(json.Unmarshal([]byte(w.openstack("network", "agent", "list", "-f", "json")), &agents))
		i := slices.IndexFunc(agents, func(a map[string]any) bool {
			return a["Agent Type"] == "NDP proxy agent" && a["Host"] == lab.Host && a["Alive"] == true
		})
		if i >= 0 {
			id = fmt.Sprint(agents[i]["ID"])
		}
		return i >= 0
	})
	// the counts follow with the periodic report if the first was sent before the first sync
	want := map[string]string{
		"extensions": "[ndp_proxy]", "agent_mode": "legacy", "routers": "1", "proxies": "1", "pending": "0", "failed": "0",
	}
	var got map[string]string
	w.await(45*time.Second, fmt.Sprintf("configurations %v", want), func() bool {
		var agent map[string]any
		w.must(json.Unmarshal([]byte(w.openstack("network", "agent", "show", id, "-f", "json")), &agent))
		if agent["binary"] != "neutron-ndp-proxy-agent" {
			t.Fatalf("binary %v", agent["binary"])
		}
		configurations, _ := agent["configuration"].(map[string]any)
		got = map[string]string{}
		for key := range want {
			got[key] = fmt.Sprint(configurations[key])
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
	t.Logf("configurations: %v", got)
	w.checked()
}

// checked runs the preflight check beside the daemon: what a real server and a real L3
// agent answer is what it takes for well.
func (w *world) checked() {
	w.Helper()
	host, err := w.lab.Node(lab.Host)
	w.must(err)
	out, err := host.Run(w.ctx, os.Getenv(lab.EnvBinary), "check", "--json", "--config-file", host.NeutronConf(), "--config-file", host.L3Conf())
	w.must(err) // no line says fail
	var r struct {
		Checks []struct{ Check, Status, Found string }
	}
	w.must(json.Unmarshal(out, &r))
	for _, c := range r.Checks {
		if c.Check == "l3-files" && strings.Contains(c.Found, "no L3 agent runs") {
			w.Errorf("the L3 agent runs, and is not seen: %s", c.Found)
		}
	}
	screen, err := host.Run(w.ctx, os.Getenv(lab.EnvBinary), "check", "--config-file", host.NeutronConf(), "--config-file", host.L3Conf())
	w.must(err)
	w.Logf("for people:\n%s", screen)
	for _, want := range []string{"broker", "server", "plugin", "host", "l3-agent", "ndp-agent", "server-clock"} {
		said := false
		for _, c := range r.Checks {
			if c.Check == want {
				said = true
				w.Logf("%s %s: %s", c.Status, c.Check, c.Found)
				if c.Status != "ok" {
					w.Errorf("%s is %s: %s", c.Check, c.Status, c.Found)
				}
			}
		}
		if !said {
			w.Errorf("nothing is said of %s:\n%s", want, out)
		}
	}
}
