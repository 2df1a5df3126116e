package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The words and the codes of --verify, in a namespace that is mended step by
// step as they say. What the kernel then does is tested in package ndsend.
func TestVerify(t *testing.T) {
	l := newLink(t)
	l.fixed(t)
	ndsend := build(t)
	verify := func(args ...string) outcome {
		t.Helper()
		return l.exec(t, append([]string{ndsend, "--verify"}, args...)...)
	}
	want := outcome{Code: exitNotAnswered, Stdout: `2001:db8::5 on qg-1: would not be answered
    no proxy entry on qg-1; to do: ip -6 neighbour add proxy 2001:db8::5 dev qg-1 nud permanent
    proxy_ndp of qg-1 and of all is 0; to do: sysctl -w net/ipv6/conf/qg-1/proxy_ndp=1
    forwarding of qg-1 is 0; to do: sysctl -w net/ipv6/conf/qg-1/forwarding=1
fe80::f816:3eff:fe01:203 on qg-1: an address of the interface, would be answered
`}
	got := verify("2001:db8::5", "fe80::f816:3eff:fe01:203", "qg-1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(got.Stdout) {
		if _, remedy, ok := strings.Cut(line, "; to do: "); ok {
			if mended := l.exec(t, "sh", "-c", remedy); mended.Code != 0 {
				t.Fatalf("%s: %+v", remedy, mended)
			}
		}
	}
	want = outcome{Stdout: `2001:db8::5 on qg-1: proxied, would be answered
    a unicast solicitation: only with a packet filter's rule such as neutron-ndp-proxy-agent's, because
        proxy_ndp of all is 0
        forwarding of all is 0
        no route leads to 2001:db8::5
`}
	if diff := cmp.Diff(want, verify("2001:db8::5", "--json=false", "qg-1")); diff != "" {
		t.Errorf("outcome after the remedies (-want +got):\n%s", diff)
	}

	var object map[string]any
	got = verify("--json", "2001:db8::5", "qg-1")
	if err := json.Unmarshal([]byte(got.Stdout), &object); err != nil || got.Code != exitDone || strings.Count(got.Stdout, "\n") != 1 {
		t.Fatalf("%v, %+v", err, got)
	}
	delete(object, "unicast_missing") // the words above
	if diff := cmp.Diff(map[string]any{
		"action": "verify", "address": "2001:db8::5", "interface": "qg-1", "ok": true, "kind": "proxy", "router": false,
		"multicast": true, "unicast": "needs-rule", "missing": []any{}, "source": "fe80::f816:3eff:fe01:203",
	}, object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}

	// What is wrong weighs more than what would not be answered.
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"2001:db8::6", "x", "qg-1"}, exitBadAddress},
		{[]string{"2001:db8::6", "x", "absent"}, exitSystem},
	} {
		if got := verify(c.args...); got.Code != c.code {
			t.Errorf("%v: %+v, want code %d", c.args, got, c.code)
		}
	}
}
