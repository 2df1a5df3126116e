package sim_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// monitor records what is written to the first host's namespace of the router:
// to nftables, and the routes and rules of our protocol.
type monitor struct {
	ns         *nettest.Namespace
	nft, route string
	warn       int
	s          *stage
}

func (s *stage) monitor(t *testing.T) *monitor {
	t.Helper()
	dir := t.TempDir()
	name, _ := s.outside()
	m := &monitor{ns: s.h.Namespace(name), nft: filepath.Join(dir, "nft"), route: filepath.Join(dir, "route"), s: s}
	for file, command := range map[string][]string{m.nft: {"nft", "monitor"}, m.route: {"ip", "-6", "-N", "monitor", "route", "rule"}} {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		m.ns.StartTo(f, command[0], command[1:]...)
	}
	// They listen once they show a table of our own making.
	nettest.Eventually(t, 3*time.Second, "the monitors listen", func() bool {
		m.ns.Run("nft", "add", "table", "ip6", "probe")
		m.ns.Run("nft", "delete", "table", "ip6", "probe")
		_, _ = m.ns.Try("ip", "-6", "route", "add", "2001:db8:ffff::/64", "dev", "lo")
		_, _ = m.ns.Try("ip", "-6", "route", "del", "2001:db8:ffff::/64", "dev", "lo")
		return strings.Contains(read(t, m.nft), "probe") && strings.Contains(read(t, m.route), "2001:db8:ffff::/64")
	})
	m.warn = m.ours()
	return m
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ours is how often the daemon said that it answers, withdrew or repaired.
func (m *monitor) ours() int {
	logs := m.s.h.Daemon().Logs
	return logs.FilterMessageSnippet("drift").Len() + logs.FilterMessageSnippet("can't be made").Len()
}

// want fails unless exactly these things were written to our table, but for the
// record of what is in it, and no route or rule of ours.
func (m *monitor) want(t *testing.T, lines ...string) {
	t.Helper()
	var got []string
	nettest.Eventually(t, 2*time.Second, "the monitor has seen it all", func() bool {
		got = nil
		for line := range strings.Lines(read(t, m.nft)) {
			line = strings.TrimSpace(line)
			if strings.Contains(line, sim.Table) && !strings.Contains(line, sim.Table+" record ") {
				got = append(got, line)
			}
		}
		return len(got) >= len(lines)
	})
	if !slices.Equal(lines, got) {
		t.Errorf("written to nftables:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
	for line := range strings.Lines(read(t, m.route)) {
		if strings.Contains(line, "proto "+sim.Protocol) {
			t.Errorf("route or rule written: %s", line)
		}
	}
	if n := m.ours(); n != m.warn {
		t.Errorf("the daemon repaired or failed %d times", n-m.warn)
	}
}
