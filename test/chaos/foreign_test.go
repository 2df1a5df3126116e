//go:build rabbitmq

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Things of others that stand beside the daemon's in each namespace: of every
// kind that the daemon writes itself.
const (
	foreignProto = "99"
	foreignTable = "operator"
)

// plant makes them; what is there already stays.
func (s *stage) plant(p *part) {
	ns := s.host.Namespace(p.namespace)
	for i, proto := range []string{"", " protocol " + foreignProto} {
		ns.IP(strings.Fields(fmt.Sprintf("-6 neigh replace proxy 2001:db8:f::%d dev %s%s", i+1, p.device, proto))...)
	}
	ns.IP("-6", "route", "replace", "2001:db8:f00d::/64", "dev", p.device, "proto", foreignProto)
	ns.IP("-6", "route", "replace", "default", "dev", p.device, "table", foreignProto, "proto", foreignProto)
	if !strings.Contains(ns.IP("-6", "rule", "show"), "31000:") {
		ns.IP("-6", "rule", "add", "from", "2001:db8:f00d::/64", "lookup", foreignProto, "priority", "31000", "protocol", foreignProto)
	}
	ns.Run("nft", fmt.Sprintf(`table ip6 %[1]s
flush table ip6 %[1]s
table ip6 %[1]s {
	set known { type ipv6_addr; elements = { 2001:db8:f00d::1, 2001:db8:f00d::2 } }
	chain in { type filter hook forward priority 1; ip6 saddr @known accept; }
}`, foreignTable))
	for key, value := range foreignSysctls(p.device) {
		ns.Sysctl(key, value)
	}
}

// foreignSysctls are settings of the same devices that are nobody's of ours.
func foreignSysctls(device string) map[string]string {
	return map[string]string{
		"net/ipv6/conf/" + device + "/ndisc_notify":     "1",
		"net/ipv6/conf/" + device + "/hop_limit":        "63",
		"net/ipv6/neigh/" + device + "/proxy_qlen":      "65",
		"net/ipv6/neigh/" + device + "/retrans_time_ms": "900",
	}
}

// foreign is what others have in each namespace of the host.
func (s *stage) foreign(t testing.TB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, d := range s.Dumps(s.host) {
		all[name] = d.Foreign()
	}
	for _, p := range s.parts() {
		ns := s.host.Namespace(p.namespace)
		lines := all[p.namespace]
		for _, key := range slices.Sorted(maps.Keys(foreignSysctls(p.device))) {
			lines = append(lines, key+" = "+ns.ReadSysctl(key))
		}
		if slices.Contains(lines, "table ip6 "+foreignTable) {
			lines = append(lines, ns.Run("nft", "list", "table", "ip6", foreignTable))
		}
		all[p.namespace] = lines
	}
	return all
}

// untouched compares what others had with what they have, but for the
// namespaces of what a fault hit.
func untouched(t testing.TB, before, after map[string][]string, hit []*part) {
	t.Helper()
	for name, had := range before {
		if slices.ContainsFunc(hit, func(p *part) bool { return p.namespace == name || p.r.QRouter() == name }) {
			continue
		}
		if has := after[name]; !slices.Equal(had, has) {
			t.Errorf("what is not ours in %s was\n%s\nand is\n%s", name, strings.Join(had, "\n"), strings.Join(has, "\n"))
		}
	}
}
