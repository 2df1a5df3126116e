package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
)

// What a question names is found by an id, the beginning of one or a name, and only if
// it is one.
func TestQueries(t *testing.T) {
	ready := make(chan struct{})
	close(ready)
	var asked agent.Wanted
	at := func(ns string) []agent.Attachment { return []agent.Attachment{{Namespace: ns}} }
	l := loop{
		ready: ready, asked: &asked, waiting: map[string]string{"aa1": "x", "bb": "y"},
		routers: []agent.Router{{ID: "aa1", Name: "web", Attachments: at("qrouter-aa1")}, {ID: "aa2", Name: "db", Attachments: at("qrouter-aa2")}, {ID: "aa", Name: "db"}, {ID: "web"}},
		namespaces: []agent.Namespace{
			{Name: "qrouter-aa1"}, {Name: "qrouter-aa2"}, {Name: "fip-n"},
		},
	}
	addr := netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		q    Query
		want agent.Wanted
		code int
		says string
	}{
		{q: Query{}},
		{q: Query{Router: "aa1"}, want: agent.Wanted{Routers: []string{"aa1"}, Addresses: true}},
		{q: Query{Router: "aa"}, want: agent.Wanted{Routers: []string{"aa"}, Addresses: true}}, // the id itself, and the beginning of others
		{q: Query{Router: "web"}, want: agent.Wanted{Routers: []string{"web"}, Addresses: true}},
		{q: Query{Router: "a"}, code: http.StatusConflict, says: `3 routers are called "a", the first aa, aa1, aa2`},
		{q: Query{Router: "db"}, code: http.StatusConflict, says: `2 routers are called "db", the first aa, aa2`},
		{q: Query{Router: "c"}, code: http.StatusNotFound, says: `no router of this host is called "c"`},
		{q: Query{Namespace: "fip"}, want: agent.Wanted{Namespace: "fip-n", Addresses: true}},
		{q: Query{Namespace: "qrouter-aa2"}, want: agent.Wanted{Namespace: "qrouter-aa2", Addresses: true}},
		{q: Query{Namespace: "qrouter"}, code: http.StatusConflict, says: `2 namespaces are called "qrouter"`},
		{q: Query{Namespace: "x"}, code: http.StatusNotFound, says: `no namespace of this host is called "x"`},
		{q: Query{Address: "2001:0db8::0001", Router: "aa2"}, want: agent.Wanted{Routers: []string{"aa2"}, Addr: addr, Addresses: true}},
		{q: Query{Address: "10.0.0.1"}, code: http.StatusBadRequest, says: `"10.0.0.1" is no IPv6 address`},
		{q: Query{Address: "fe80::1%eth0"}, code: http.StatusBadRequest, says: "is no IPv6 address"},
	} {
		asked = agent.Wanted{}
		_, err := from(l).Status(c.q)
		var refusal *Refusal
		if !errors.As(err, &refusal) && err != nil || (refusal != nil) != (c.code != 0) || refusal != nil && (refusal.Code != c.code || !strings.Contains(refusal.Text, c.says)) {
			t.Errorf("%+v: %v", c.q, err)
		}
		if diff := cmp.Diff(c.want, asked, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%+v: -want +got\n%s", c.q, diff)
		}
	}
	// Only what belongs to it.
	s, err := from(l).Status(Query{Router: "aa1"})
	if err != nil || len(s.Namespaces) != 1 || s.Namespaces[0].Name != "qrouter-aa1" || len(s.Waiting) != 1 || s.Waiting[0].Router != "aa1" {
		t.Errorf("%v, %+v", err, s)
	}
	// Before the first sync it may be too early to tell.
	l.ready = make(chan struct{})
	if _, err := from(l).Status(Query{Router: "c"}); err == nil || !strings.Contains(err.Error(), "waits for its first full sync") {
		t.Errorf("%v", err)
	}
	none := from(loop{ready: ready})
	if _, err := none.Status(Query{Address: "2001:db8::1"}); err == nil || err.Error() != "no router of this host has an NDP proxy for 2001:db8::1" {
		t.Errorf("%v", err)
	}
}

func TestQueryOnTheWire(t *testing.T) {
	q := Query{Router: "a&b=c", Namespace: "n", Address: "2001:db8::1"}
	if got, err := parseQuery(q.Values()); err != nil || got != q {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseQuery(url.Values{"router": {"x"}, "rooter": {"y"}}); err == nil || !strings.Contains(err.Error(), `"rooter"`) {
		t.Errorf("%v", err)
	}
	path := socketIn(t)
	var got Query
	answering(t, path, func(q Query) (Status, error) {
		got = q
		return Status{}, Refuse(http.StatusNotFound, "none")
	})
	var refusal *Refusal
	eventually(t, "an answer", func() bool {
		_, _, err := NewClient(path).StatusOf(t.Context(), q)
		return errors.As(err, &refusal)
	})
	if refusal.Code != http.StatusNotFound || got != q {
		t.Errorf("%+v, %+v", refusal, got)
	}
}

// Of too many addresses the first are told of, and those that failed come first.
func TestTooManyAddresses(t *testing.T) {
	var list []agent.Address
	for n := range maxListed + 10 {
		list = append(list, agent.Address{ID: fmt.Sprint(n), State: agent.Answered})
	}
	list[maxListed+5].State, list[7].State = agent.Failed, agent.Pending
	other := slices.Clone(list[:3])
	out, left := routers([]agent.Router{{ID: "a", Enabled: true, Addresses: list}, {ID: "b", Enabled: true, Addresses: other}})
	if left != 13 || len(out[0].Addresses) != maxListed || len(out[1].Addresses) != 0 {
		t.Errorf("%d left out, %d, %d", left, len(out[0].Addresses), len(out[1].Addresses))
	}
	if a := out[0].Addresses; a[0].State != agent.Failed || a[1].State != agent.Pending || a[2].Proxy != "0" {
		t.Errorf("%+v", a[:3])
	}
}

// In part: what is asked for counts, and the daemon as a whole.
func TestWellInPart(t *testing.T) {
	good := func() Status {
		return Status{Ready: true, Totals: Totals{Failed: 7}, Routers: []Router{{State: StateFailed, Addresses: []Address{{State: agent.Pending}}}},
			Namespaces: []Namespace{{State: StateFailed}}}
	}
	if s := good(); !s.WellInPart() || s.Well() {
		t.Error("another address's failure is this one's")
	}
	for name, spoil := range map[string]func(*Status){
		"not ready": func(s *Status) { s.Ready = false }, "failed": func(s *Status) { s.Routers[0].Addresses[0].State = agent.Failed },
		"a namespace without a router": func(s *Status) { s.Routers = nil }, "stuck": func(s *Status) { s.Stuck = []string{"x"} },
	} {
		s := good()
		spoil(&s)
		if s.WellInPart() {
			t.Errorf("%s is well", name)
		}
	}
}
