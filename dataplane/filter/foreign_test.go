package filter_test

import (
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// What a foreign ruleset does to a published address, as far as it can be told. A rule
// about destinations may match what the address sends: to whom is not known.
func TestForeign(t *testing.T) {
	const base = "add table ip6 t; add chain ip6 t c { type filter hook forward priority 0; policy accept; }; "
	const rule = base + "add rule ip6 t c "
	for _, c := range []struct {
		name, rules   string
		drops, doubts int
		where         string
	}{
		{"nothing", "", 0, 0, ""},
		{"the address", rule + "ip6 daddr 2001:db8:0:1::5 drop", 1, 1, "table ip6 t, chain c, rule with handle"},
		{"another address", rule + "ip6 daddr 2001:db8:0:1::6 drop", 0, 1, ""},
		{"its subnet, from outside", rule + `iifname "qg-1" ip6 daddr 2001:db8:0:1::/64 counter drop comment "mine"`, 1, 0, `("mine")`},
		{"its subnet, from elsewhere", rule + `iifname "eth0" ip6 daddr 2001:db8:0:1::/64 drop`, 0, 0, ""},
		{"all but its subnet", rule + "ip6 daddr != 2001:db8:0:1::/64 ip6 saddr != 2001:db8:0:1::/64 drop", 0, 0, ""},
		{"a prefix that ends inside of a byte", rule + "ip6 daddr 2001:db8::/29 drop", 1, 1, ""},
		{"what it sends", rule + "ip6 saddr 2001:db8:0:1::5 drop", 1, 1, ""},
		{"a device by the beginning of its name", rule + `iifname "qg-*" drop`, 1, 0, ""},
		{"the policy", "add table ip6 t; add chain ip6 t c { type filter hook forward priority 0; policy drop; }", 2, 0, "policy of chain c"},
		{"the policy, of inet", "add table inet t; add chain inet t c { type filter hook forward priority 0; policy drop; }", 2, 0, "table inet t"},
		{"the policy, after an accept", "add table ip6 t; add chain ip6 t c { type filter hook forward priority 0; policy drop; }; add rule ip6 t c accept", 0, 0, ""},
		{"the policy, after a possible accept", "add table ip6 t; add chain ip6 t c { type filter hook forward priority 0; policy drop; }; add rule ip6 t c ct state established accept", 0, 2, ""},
		{"by a mark", rule + "meta mark 1 drop", 0, 2, ""},
		{"by a set", "add table ip6 t; add set ip6 t s { type ipv6_addr; }; add chain ip6 t c { type filter hook forward priority 0; }; add rule ip6 t c ip6 daddr @s drop", 0, 2, ""},
		{"in a chain behind a jump", base + `add chain ip6 t d; add rule ip6 t c iifname "qg-1" jump d; add rule ip6 t d drop`, 1, 0, "chain d"},
		{"in a chain behind a jump that returns", base + `add chain ip6 t d; add rule ip6 t c jump d; add rule ip6 t d return; add rule ip6 t d drop`, 0, 0, ""},
		{"after a chain that returns", base + `add chain ip6 t d; add rule ip6 t c jump d; add rule ip6 t d return; add rule ip6 t c ip6 daddr 2001:db8:0:1::5 drop`, 1, 1, "chain c"},
		{"after a goto, the policy and not the rest", base + `add chain ip6 t d; add rule ip6 t c goto d; add rule ip6 t c drop`, 0, 0, ""},
		{"after what accepts it", rule + "ip6 daddr 2001:db8:0:1::5 accept; add rule ip6 t c ip6 daddr 2001:db8:0:1::/64 drop", 0, 1, ""},
		{"rejected", rule + "ip6 daddr 2001:db8:0:1::5 reject", 1, 1, ""},
		{"a chain that no hook leads to", "add table ip6 t; add chain ip6 t c; add rule ip6 t c drop", 0, 0, ""},
		{"IPv4 alone", "add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c ip daddr 192.0.2.1 drop", 0, 0, ""},
		{"solicitations", "add table ip6 t; add chain ip6 t c { type filter hook input priority 0; }; add rule ip6 t c icmpv6 type nd-neighbor-solicit drop", 1, 0, ""},
		{"all that comes in but ping", "add table ip6 t; add chain ip6 t c { type filter hook input priority 0; policy drop; }; add rule ip6 t c icmpv6 type echo-request accept", 1, 0, "policy"},
		{"advertisements", "add table ip6 t; add chain ip6 t c { type filter hook output priority 0; }; add rule ip6 t c icmpv6 type nd-neighbor-advert drop", 1, 0, ""},
		{"what another device sends", `add table ip6 t; add chain ip6 t c { type filter hook output priority 0; }; add rule ip6 t c oifname "eth0" drop`, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.write(nil, filter.Content{Devices: []filter.Device{{Name: "qg-1", OriginalDelay: filter.NoDelay}}}) // ours counts not
			if c.rules != "" {
				b.ns.Run("nft", c.rules)
			}
			f, err := filter.ReadForeign(t.Context(), b.h.FD(), table, filter.Passage{External: "qg-1", Internal: "qr-1", Addr: addr("2001:db8:0:1::5")})
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Drops) != c.drops || len(f.Doubts) != c.doubts || c.where != "" && !strings.Contains(f.Drops[0].Where, c.where) {
				t.Errorf("%+v, want %d drops and %d doubts, %q", f, c.drops, c.doubts, c.where)
			}
		})
	}
}

// Neutron's own chains, as iptables-nft writes them.
func TestForeignOfIptables(t *testing.T) {
	b := newBench(t)
	p := filter.Passage{External: "qg-1", Internal: "qr-1", Addr: addr("2001:db8:0:1::5")}
	for _, args := range [][]string{
		{"-N", "neutron-l3-agent-NDP"}, {"-A", "FORWARD", "-j", "neutron-l3-agent-NDP"},
		{"-A", "neutron-l3-agent-NDP", "-i", "qg-1", "-d", "2001:db8:0:1::5/128", "-m", "comment", "--comment", "published", "-j", "ACCEPT"},
		{"-A", "neutron-l3-agent-NDP", "-i", "qg-1", "-j", "DROP"},
		{"-A", "FORWARD", "-o", "qr-1", "-m", "mark", "!", "--mark", "0x4000000/0xffff0000", "-j", "DROP"},
	} {
		b.ns.Run("ip6tables-nft", args...)
	}
	f, err := filter.ReadForeign(t.Context(), b.h.FD(), table, p)
	if err != nil || len(f.Drops) != 0 {
		t.Errorf("published there: %+v, %v", f, err)
	}
	p.Addr = p.Addr.Next()
	f, err = filter.ReadForeign(t.Context(), b.h.FD(), table, p)
	if err != nil || len(f.Drops) != 1 || !strings.Contains(f.Drops[0].Where, "neutron-l3-agent-NDP") {
		t.Errorf("not published there: %+v, %v", f, err)
	}
}
