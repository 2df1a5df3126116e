package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent"
)

// ordered answers as it is told, and notes what it was asked.
type ordered struct {
	looks    []agent.Done
	unsynced error
	fates    []agent.Fate
	err      error
	asked    string
	within   time.Duration
}

func (o *ordered) note(ctx context.Context, what ...any) {
	until, _ := ctx.Deadline()
	o.asked, o.within = fmt.Sprint(what...), time.Until(until).Round(time.Second)
}

func (o *ordered) Reconcile(ctx context.Context, s agent.Selection, sync func(context.Context) error) (agent.Reconciled, error) {
	o.note(ctx, s.Router, s.Namespaces, sync != nil)
	return agent.Reconciled{Looks: o.looks, Unsynced: o.unsynced}, o.err
}

func (o *ordered) Announce(ctx context.Context, router string, addr netip.Addr) ([]agent.Fate, error) {
	o.note(ctx, router, " ", addr)
	return o.fates, o.err
}

func refusalCode(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

func TestReconcileMethod(t *testing.T) {
	loop := &ordered{unsynced: errors.New("no broker\x1b"), looks: []agent.Done{
		{Namespace: "a", Looked: true, Lines: []string{"+x"}}, {Namespace: "b"}, {Namespace: "c", Looked: true, Failed: []string{"EPERM"}},
		{Namespace: "d", Looked: true, Trouble: "device"}, {Namespace: "e", Looked: true, Trouble: "EIO", Error: true},
	}}
	c := asking(t, ReconcileMethod(loop, func(context.Context) error { return nil }))
	var got Reconciled
	if _, err := c.Order(t.Context(), "/v1/reconcile", url.Values{"namespace": {"x", "y"}}, 7*time.Second, &got); err != nil {
		t.Fatal(err)
	}
	none := []string{}
	want := Reconciled{Sync: SyncFailed, SyncError: "no broker?", Namespaces: []Reconciles{
		{"a", true, StateOK, []string{"+x"}, none, ""}, {"b", false, StateNew, none, none, ""}, {"c", true, StateFailed, none, []string{"EPERM"}, ""},
		{"d", true, StateWaiting, none, none, "device"}, {"e", true, StateFailed, none, none, "EIO"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(loop.asked, "[x y]") || loop.within != 7*time.Second {
		t.Errorf("asked %q within %v, -want +got\n%s", loop.asked, loop.within, diff)
	}
	if got.Well() || got.Summary() != "4 of 5 namespaces looked at, 1 changed, 2 failed" {
		t.Errorf("well %v, %s", got.Well(), got.Summary())
	}
	if r := (Reconciled{Sync: SyncDone, Namespaces: want.Namespaces[:1]}); !r.Well() {
		t.Error("not well")
	}
	if r := (Reconciled{Sync: SyncFailed, Namespaces: want.Namespaces[:1]}); r.Well() {
		t.Error("nobody was asked, and it is well")
	}
	for _, query := range []string{"wait=0s", "wait=6m", "wait=soon", "wait=-1s", "what=1", "router=a&namespace=b"} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Post(t.Context(), "/v1/reconcile", q, nil); refusalCode(err) != 400 {
			t.Errorf("%s: %v", query, err)
		}
	}
	if _, err := c.Get(t.Context(), "/v1/reconcile", nil, nil); refusalCode(err) != 405 {
		t.Errorf("GET: %v", err)
	}
	loop.err = agent.ErrNotHere
	if _, err := c.Post(t.Context(), "/v1/reconcile", nil, nil); refusalCode(err) != 404 || loop.within != DefaultWait {
		t.Errorf("%v within %v", err, loop.within)
	}
}

func TestAnnounceMethod(t *testing.T) {
	addr := netip.MustParseAddr("2001:db8::1")
	loop := &ordered{fates: []agent.Fate{
		{Addr: addr, Namespace: "a", Device: "qg-1", Sent: true}, {Addr: addr, Namespace: "b", Device: "qg-2", Owed: true, Why: "turn"}, {Namespace: "c", Why: "gone\n"},
	}}
	c := asking(t, AnnounceMethod(loop))
	var got Announced
	if _, err := c.Order(t.Context(), "/v1/announce", url.Values{"address": {"2001:db8:0::1"}}, time.Second, &got); err != nil {
		t.Fatal(err)
	}
	want := Announced{Announcements: []Announcement{
		{"2001:db8::1", "a", "qg-1", AnnouncementSent, ""}, {"2001:db8::1", "b", "qg-2", AnnouncementOwed, "turn"}, {"", "c", "", AnnouncementRefused, "gone?"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(loop.asked, "2001:db8::1") || loop.within != time.Second {
		t.Errorf("asked %q within %v, -want +got\n%s", loop.asked, loop.within, diff)
	}
	if got.Well() || (Announced{}).Well() || !(Announced{Announcements: want.Announcements[:1]}).Well() {
		t.Error("what is well")
	}
	for _, query := range []string{"", "router=a&address=::1", "address=192.0.2.1", "address=fe80::1%25eth0", "address=::ffff:1.2.3.4", "address=x", "router=a&wait=x"} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Post(t.Context(), "/v1/announce", q, nil); refusalCode(err) != 400 {
			t.Errorf("%q: %v", query, err)
		}
	}
	for err, code := range map[error]int{agent.ErrNotHere: 404, agent.ErrNotPublished: 404, agent.ErrNotEnabled: 409, agent.ErrSilent: 409, errors.New("x"): 500} {
		loop.err = fmt.Errorf("router r: %w", err)
		if _, got := c.Post(t.Context(), "/v1/announce", url.Values{"router": {"r"}}, nil); refusalCode(got) != code {
			t.Errorf("%v: %v", err, got)
		}
	}
}
