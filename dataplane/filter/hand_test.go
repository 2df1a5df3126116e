package filter_test

import (
	"errors"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// byHand is a change and who sees it.
type byHand struct {
	do func()
	// deepOnly changes are seen by a dump of the elements alone, counted ones
	// also by a kernel that counts them.
	deepOnly, counted bool
}

// What somebody changes by hand is found: quickly what the kernel shows
// without a dump of large sets, deeply the rest.
func TestChangesByHandAreFound(t *testing.T) {
	b := newBench(t)
	d := device("qg-1", run("2001:db8::1", 3), prefix("2001:db8::/64"))
	d.LinkLocal = addr("fe80::1")
	want := content(d, device("qg-2", run("2001:db8::1", 1)))
	nft := func(commands ...string) func() {
		return func() {
			for _, c := range commands {
				b.ns.Run("nft", strings.ReplaceAll(c, "TABLE", "ip6 "+table))
			}
		}
	}
	handle := func(chain string) string {
		out := b.ns.Run("nft", "-a", "list", "chain", "ip6", table, chain)
		for line := range strings.Lines(out) {
			if strings.Contains(line, "iifname") {
				_, h, _ := strings.Cut(line, "# handle ")
				return strings.TrimSpace(h)
			}
		}
		t.Fatal(out)
		return ""
	}
	b.write(nil, want)
	counts, err := filter.KernelCounts(t.Context(), b.h.FD(), table)
	if err != nil {
		t.Fatal(err)
	}
	const flowtable = "add flowtable TABLE theirs { hook ingress priority 0; devices = { lo }; }"
	cases := map[string]byHand{
		"table deleted": {do: nft("delete table TABLE")},
		"rules flushed": {do: nft("flush chain TABLE forward")},
		"chain emptied": {do: nft("flush chain TABLE prerouting")},
		"rule added":    {do: nft("insert rule TABLE forward accept")},
		"rule deleted":  {do: func() { nft("delete rule TABLE forward handle " + handle("forward"))() }},
		"rule replaced": {do: func() { nft("replace rule TABLE forward handle " + handle("forward") + " accept")() }},
		"rule of our name": {do: func() {
			nft("replace rule TABLE forward handle " + handle("forward") + ` iifname "qg-1" accept comment "guard qg-1 v3"`)()
		}},
		"rule without its last word": {do: func() {
			nft("replace rule TABLE forward handle " + handle("forward") + ` iifname "qg-1" ip6 daddr @guarded-qg-1 ip6 daddr != @published-qg-1 counter comment "guard qg-1 v3"`)()
		}},
		"rule turned round": {do: func() {
			nft("replace rule TABLE forward handle " + handle("forward") + ` iifname "qg-1" ip6 daddr @guarded-qg-1 ip6 daddr @published-qg-1 counter drop comment "guard qg-1 v3"`)()
		}},
		"rule for another device": {do: func() {
			nft("replace rule TABLE forward handle " + handle("forward") + ` iifname "qg-2" ip6 daddr @guarded-qg-1 ip6 daddr != @published-qg-1 counter drop comment "guard qg-1 v3"`)()
		}},
		"other rule of our name": {do: func() {
			nft("replace rule TABLE prerouting handle " + handle("prerouting") + ` iifname "qg-1" counter drop comment "answer qg-1 by fe80::1 v3"`)()
		}},
		"set of another kind": {do: func() {
			nft("flush ruleset")()
			b.write(nil, want)
			nft("flush chain TABLE forward", "flush chain TABLE prerouting", "delete set TABLE published-qg-1",
				"add set TABLE published-qg-1 { type ipv6_addr; flags timeout; }",
				"add element TABLE published-qg-1 { 2001:db8::1, 2001:db8::2, 2001:db8::3 timeout 1s }")()
		}},
		"base chain of theirs": {do: nft("add chain TABLE evil { type filter hook forward priority -10; policy drop; }")},
		"plain chain":          {do: nft("add chain TABLE theirs")},
		"counter":              {do: nft("add counter TABLE theirs")},
		"quota":                {do: nft("add quota TABLE theirs { over 1 mbytes }")},
		"chain within a rule":  {do: nft("add rule TABLE forward jump { counter; }")}, // refuses to be deleted alone
		"map":                  {do: nft("add map TABLE theirs { type ipv6_addr : verdict; }")},
		"map to a chain": {do: nft("add chain TABLE theirs", "add map TABLE theirs { type ipv6_addr : verdict; }",
			"add element TABLE theirs { ::1 : goto theirs }")},
		"map to our chains": {do: nft("add chain TABLE theirs { type filter hook input priority 0; }", "add chain TABLE more", "add chain TABLE again",
			"add rule TABLE more ip6 daddr vmap { ::1 : jump again }", "add rule TABLE theirs jump more")},
		"objects by name": {do: nft("add counter TABLE theirs", "add map TABLE counters { type ipv6_addr : counter; }",
			"add element TABLE counters { ::1 : theirs }", "add rule TABLE forward counter name theirs")},
		"policy changed":      {do: nft("chain TABLE forward { policy drop; }")},
		"guard removed":       {do: nft("flush set TABLE guarded-qg-1")},
		"guard added":         {do: nft("add element TABLE guarded-qg-1 { 2001:db8:1::/64 }")},
		"element deleted":     {do: nft("delete element TABLE published-qg-1 { 2001:db8::2 }"), counted: true},
		"element added":       {do: nft("add element TABLE published-qg-1 { 2001:db8::9 }"), counted: true},
		"element exchanged":   {do: nft("delete element TABLE published-qg-1 { 2001:db8::2 }", "add element TABLE published-qg-1 { 2001:db8::9 }"), deepOnly: true},
		"record deleted":      {do: nft("flush set TABLE record")},
		"set added":           {do: nft("add set TABLE mine { type ipv6_addr; }")},
		"put to sleep":        {do: nft("add table TABLE { flags dormant; }")},
		"chains of their own": {do: nft("add chain TABLE theirs", "add rule TABLE theirs ip6 saddr { ::1, ::2 } accept", "add rule TABLE forward jump theirs")},
		"another hook": {do: nft("flush chain TABLE forward", "delete chain TABLE forward",
			"add chain TABLE forward { type filter hook input priority 0; }")},
		"other device's sets": {do: nft("flush set TABLE published-qg-2"), counted: true},
	}
	if _, err := b.ns.Try("nft", strings.ReplaceAll(flowtable, "TABLE", "ip6 "+table)); err != nil {
		t.Logf("this kernel has no flowtables for ip6: %v", err)
	} else {
		cases["flowtable"] = byHand{do: nft(flowtable)}
	}
	for name, c := range cases {
		b.write(nil, want)
		b.holds(want)
		c.do()
		if quick := b.read(false).Holds(want); quick != (c.deepOnly || c.counted && !counts) {
			t.Errorf("%s: a quick read says %v", name, quick)
		}
		if b.read(true).Holds(want) {
			t.Errorf("%s: a deep read does not see it", name)
		}
		before := b.read(false)
		b.write(nil, want) // in place
		b.holds(want)
		if c.do(); b.read(false).Problem != before.Problem {
			t.Errorf("%s: again it is %q, was %q", name, b.read(false).Problem, before.Problem)
		}
		if err := filter.Remake(b.h.FD(), table, want); err != nil { // the last resort
			t.Errorf("%s: %v", name, err)
		}
		b.holds(want)
	}
	// A difference computed from what is no more there changes nothing.
	b.ns.Run("nft", "delete", "element", "ip6", table, "published-qg-1", "{ 2001:db8::2 }")
	err = filter.Write(t.Context(), b.h.FD(), table, &want, content(device("qg-1", run("2001:db8::1", 1), prefix("2001:db8::/64"))))
	if !errors.Is(err, filter.ErrConflict) {
		t.Errorf("error %v", err)
	}
	if got := b.read(true).Devices; len(got) != 2 || len(got[0].Published) != 2 {
		t.Errorf("a transaction that failed changed something: %+v", got)
	}
}
