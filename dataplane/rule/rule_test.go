package rule_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/test/nettest"
)

const mark = 110

func lab(t *testing.T) (*nettest.Namespace, *rtnl.Conn) {
	t.Helper()
	l := nettest.New(t)
	n := l.Namespace("a")
	h, err := netns.Open(l.Dir, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rtnl.Dial(h.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return n, c
}

func ours(t *testing.T, c *rtnl.Conn) []rule.Rule {
	t.Helper()
	all, err := rule.List(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r rule.Rule) bool { return r.Protocol != mark })
}

// shown are the lines of ip(8) with our protocol.
func shown(n *nettest.Namespace) []string {
	var out []string
	for line := range strings.Lines(n.IP("-6", "rule")) {
		if strings.Contains(line, "proto 110") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestAddListDelete(t *testing.T) {
	n, c := lab(t)
	n.Device("one")
	for text, r := range map[string]rule.Rule{
		"32800:\tfrom all iif one lookup 110 proto 110":               {Priority: 32800, IIF: "one", Table: 110},
		"32800:\tfrom all iif lo lookup 110 proto 110":                {Priority: 32800, IIF: "lo", Table: 110},
		"32801:\tfrom all iif later [detached] lookup main proto 110": {Priority: 32801, IIF: "later", Table: 254},
		"1:\tfrom all lookup 2852018311 proto 110":                    {Priority: 1, Table: 2852018311},
	} {
		r.Protocol = mark
		for range 2 { // the kernel refuses a second one, and would make it without NLM_F_EXCL
			if err := rule.Add(t.Context(), c, r); err != nil {
				t.Fatal(err)
			}
			if got := ours(t, c); !slices.Equal(got, []rule.Rule{r}) {
				t.Errorf("%s: listed %+v", text, got)
			}
			if got := shown(n); !slices.Equal(got, []string{text}) {
				t.Errorf("ip shows %q, want %q", got, text)
			}
		}
		for range 2 {
			if err := rule.Delete(t.Context(), c, r); err != nil || len(ours(t, c)) != 0 {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	for _, bad := range []rule.Rule{{Table: 110}, {Priority: 1}, {Priority: 1, Table: 110, IIF: "much-too-long-a-name"}, {Priority: 1, Table: 110, Other: "x"}} {
		if err := rule.Add(t.Context(), c, bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Somebody else's rule that says the same stands beside ours, and stays.
func TestForeign(t *testing.T) {
	n, c := lab(t)
	before := n.IP("-6", "rule")
	n.IP("-6", "rule", "add", "iif", "one", "lookup", "110", "priority", "32800", "protocol", "static")
	with := n.IP("-6", "rule")
	r := rule.Rule{Priority: 32800, IIF: "one", Table: 110, Protocol: mark}
	if err := rule.Add(t.Context(), c, r); err != nil || len(ours(t, c)) != 1 {
		t.Fatalf("%v, %v", ours(t, c), err)
	}
	for range 2 {
		if err := rule.Delete(t.Context(), c, r); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.IP("-6", "rule"); got != with || got == before {
		t.Errorf("rules are\n%swere\n%s", got, with)
	}
}

// What carries our protocol and says more than we ever do is not taken for a
// rule of ours, and can be deleted without it.
func TestOther(t *testing.T) {
	n, c := lab(t)
	plain := rule.Rule{Priority: 32800, IIF: "one", Table: 110, Protocol: mark}
	for _, more := range []string{
		"from 2001:db8::/64 iif one lookup 110", "iif one fwmark 7 lookup 110", "iif one oif two lookup 110",
		"iif one lookup 110 suppress_prefixlength 0", "iif one ipproto udp dport 53 lookup 110", "not iif one lookup 110",
		"iif one unreachable", "to 2001:db8::/64 iif one lookup 110",
	} {
		n.IP(append([]string{"-6", "rule", "add", "priority", "32800", "protocol", "110"}, strings.Fields(more)...)...)
		if err := rule.Add(t.Context(), c, plain); err != nil {
			t.Fatal(err)
		}
		got := ours(t, c)
		if len(got) != 2 || got[0].Other == "" || got[1] != plain {
			t.Fatalf("%s: listed %+v", more, got)
		}
		if err := rule.Delete(t.Context(), c, got[0]); err != nil {
			t.Fatal(err)
		}
		if got := ours(t, c); !slices.Equal(got, []rule.Rule{plain}) {
			t.Errorf("%s: left %+v", more, got)
		}
		if err := rule.Delete(t.Context(), c, plain); err != nil || len(ours(t, c)) != 0 {
			t.Errorf("%s: left %+v, %v", more, ours(t, c), err)
		}
	}
}
