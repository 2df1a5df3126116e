package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// comparing answers as it is told.
type comparing struct {
	names   []string
	compare func(ns string) (agent.Difference, error)
	err     error
}

func (c comparing) Ready() <-chan struct{} { return nil }
func (c comparing) Select(_ context.Context, s agent.Selection) ([]string, error) {
	if len(s.Namespaces) > 0 {
		return s.Namespaces, nil
	}
	return c.names, c.err
}
func (c comparing) Compare(_ context.Context, ns string) (agent.Difference, error) {
	return c.compare(ns)
}

// asking serves the methods, and returns a client.
func asking(t *testing.T, methods ...Method) *Client {
	t.Helper()
	path := socketIn(t)
	done, ctx := make(chan error, 1), t.Context()
	go func() {
		done <- New(Options{Path: path, Status: func(Query) (Status, error) { return Status{}, nil }, Methods: methods, Log: zap.NewNop()}).Run(ctx)
	}()
	eventually(t, "an answer", func() bool { _, err := ask(t, path); return err == nil })
	return NewClient(path)
}

// What one answer has no time or room for is in the next; each namespace once.
func TestDiffInPages(t *testing.T) {
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("qrouter-%02d", i))
	}
	many := make([]string, diffLines/10)
	for i := range many {
		many[i] = fmt.Sprintf("+  publish 2001:db8::%x", i)
	}
	calls := 0
	c := asking(t, DiffMethod(comparing{names: names, compare: func(ns string) (agent.Difference, error) {
		calls++
		if calls == 3 {
			time.Sleep(diffPage + diffPage/10) // a slow one
		}
		return agent.Difference{Namespace: ns, Lines: many, Nobodys: ns == "qrouter-07"}, nil
	}}))
	var first Diff
	if _, err := c.Get(t.Context(), "/v1/diff", url.Values{}, &first); err != nil || len(first.Namespaces) != 3 || first.Next != "qrouter-03" {
		t.Errorf("the first: %d, %q, %v", len(first.Namespaces), first.Next, err)
	}
	all, err := c.Diff(t.Context(), url.Values{})
	if err != nil || len(all.Namespaces) != 49 || all.Next != "" || calls != 53 {
		t.Errorf("%d namespaces, next %q, %d calls, %v", len(all.Namespaces), all.Next, calls, err)
	}
	if !slices.IsSortedFunc(all.Namespaces, func(a, b NamespaceDiff) int { return strings.Compare(a.Name, b.Name) }) || len(all.Namespaces[40].Lines) != len(many) {
		t.Error("not as they were compared")
	}
}

func TestDiffAnswers(t *testing.T) {
	c := asking(t, DiffMethod(comparing{names: []string{"absent", "alone", "differs", "fails", "same"}, err: errors.New("x\x1b"), compare: func(ns string) (agent.Difference, error) {
		d := agent.Difference{Namespace: ns, Absent: ns == "absent", Nobodys: ns == "nobodys"}
		switch ns {
		case "alone":
			d.Notes = []string{"why"}
		case "differs":
			d.Routers, d.Lines, d.Notes = []string{"r1"}, []string{" device x", "-  publish ::1", "+rule\n7", "!filter"}, []string{"no device"}
		case "fails":
			return d, errors.New("EPERM")
		}
		return d, nil
	}}))
	d, err := c.Diff(t.Context(), url.Values{})
	if err != nil || !d.Differs() || d.Known() || d.Error != "x?" || d.Ready {
		t.Errorf("%+v %v", d, err)
	}
	var b strings.Builder
	if err := PrintDiff(&b, d, func(sign byte, line string) string { return string(sign) + "|" + line }); err != nil {
		t.Fatal(err)
	}
	const want = `@|namespace alone
#|# why
@|namespace differs
 | device x
-|-  publish ::1
+|+rule?7
!|!filter
#|# no device
@|namespace fails
#|# could not be compared: EPERM
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for query, want := range map[string]string{
		"router=a&router=b": "to be given once", "router=": "not empty", "router=a&namespace=b": "exclude", "x=1": `no parameter "x"`,
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Diff(t.Context(), q)
		refusal := (*Refusal)(nil)
		if !errors.As(err, &refusal) || refusal.Code != 400 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
	if d, err := c.Diff(t.Context(), url.Values{"namespace": {"nobodys"}}); err != nil || len(d.Namespaces) != 1 || d.Namespaces[0].State != DiffNobodys || d.Differs() || !d.Known() {
		t.Errorf("%+v %v", d, err)
	}
	c = asking(t, DiffMethod(comparing{err: fmt.Errorf("router x: %w", agent.ErrNotHere)}))
	refusal := (*Refusal)(nil)
	if _, err := c.Diff(t.Context(), url.Values{"router": {"x"}}); !errors.As(err, &refusal) || refusal.Code != 404 {
		t.Errorf("%v", err)
	}
}

type nobody struct{}

func (nobody) Run(context.Context) error      { return nil }
func (nobody) Events() <-chan dataplane.Event { return nil }
func (nobody) Follow(string)                  {}
func (nobody) Unfollow(string)                {}

// bigHost is an agent on a kernel in memory, with routers of many addresses. It does not
// run.
func bigHost(t *testing.T, namespaces, addrs int) (*agent.Agent, *dataplane.Dataplane) {
	t.Helper()
	kernel := fakekernel.New()
	var s inventory.Snapshot
	for i := range namespaces {
		ns := fmt.Sprintf("qrouter-00000000-0000-0000-0000-%012d", i)
		gateway := netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", i+2))
		internal := netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%x::/64", i))
		kernel.AddNamespace(ns).AddDevice("qg-1", dataplane.InterfaceAddr{Prefix: netip.PrefixFrom(gateway, 64)},
			dataplane.InterfaceAddr{Prefix: netip.MustParsePrefix("fe80::1/64")})
		s.Routers = append(s.Routers, inventory.Router{
			ID: ns, Enabled: true, External: []inventory.Attachment{{Namespace: ns, Device: "qg-1", Addrs: []netip.Addr{gateway}}},
			Subnets: []inventory.Subnet{{Prefix: internal}},
		})
		addr := internal.Addr()
		for range addrs {
			addr = addr.Next()
			s.Proxies = append(s.Proxies, inventory.Proxy{ID: addr.String(), RouterID: ns, Addr: addr})
		}
	}
	d := dataplane.New(dataplane.Options{Kernel: kernel})
	a := agent.New(agent.Options{
		Scope: inventory.NeutronNamespace, Dataplane: d, Watcher: nobody{}, Log: zap.NewNop(), Jitter: func() float64 { return 0 },
	})
	a.Inventory().Replace(s)
	return a, d
}

// What a big host costs: 200 namespaces with 50 addresses each.
func TestDiffOfABigHost(t *testing.T) {
	a, d := bigHost(t, 200, 50)
	c := asking(t, DiffMethod(a))
	for _, lines := range []int{200 * (2 + 1 + 50), 0} {
		start := time.Now()
		all, err := c.Diff(t.Context(), url.Values{})
		took := time.Since(start)
		got := 0
		for _, n := range all.Namespaces {
			got += len(n.Lines)
		}
		if err != nil || len(all.Namespaces) != 200 || got != lines || !all.Known() || all.Differs() != (lines > 0) {
			t.Errorf("%d namespaces, %d lines, want %d, %v", len(all.Namespaces), got, lines, err)
		}
		t.Logf("%d lines in %v", got, took)
		if took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		for _, n := range all.Namespaces {
			p, err := a.Preview(t.Context(), n.Name)
			if err == nil {
				_, err = d.Apply(t.Context(), p.Changes)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// FuzzPrintDiff: any answer that is taken for a difference prints as plain text.
func FuzzPrintDiff(f *testing.F) {
	f.Add([]byte(`{"namespaces":[{"name":"a\u001b","lines":["-\u009b","","\u202e"],"notes":["\n"],"error":"\r"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var d Diff
		if json.Unmarshal(body, &d) != nil {
			return
		}
		var b strings.Builder
		if err := PrintDiff(&b, d, func(_ byte, line string) string { return line }); err != nil || !plain(b.String()) {
			t.Fatalf("%v %q", err, b.String())
		}
		d.Differs()
		d.Known()
	})
}
