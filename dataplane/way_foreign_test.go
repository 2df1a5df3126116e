package dataplane_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/route"
)

// Somebody's default route in the table for the way back is left alone, and
// nobody is led there; on the link all are served.
func TestWayBackIsTaken(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		theirs := static("::/0", "fe80::9")
		theirs.Table = wayTable
		mine := static("::/0", "2001:db8:9::1")
		mine.Table, mine.Protocol, mine.OnLink = wayTable, ours, true
		want := routed(host(1))
		left := want
		left.Routes, left.Rules = []dataplane.Route{hostRoute(host(1))}, nil
		for name, before := range map[string]func(*dataplane.Dataplane){
			"from the start": func(*dataplane.Dataplane) {},
			"later":          func(d *dataplane.Dataplane) { converge(t, d, want); w.deleteRoute(dev, mine) },
		} {
			d := on(w.kernel(), t)
			before(d)
			w.addRoute(inner, theirs)
			besides := []string{showRoute("110", "::/0", "fe80::9", inner, "4", "1024", false)}
			for range 2 {
				res := apply(t, d, want, dataplane.Quick)
				if !slices.Equal(failed(res), []netip.Addr{{}}) || res.Failures[0].Class() != dataplane.ClassOperator || !errors.Is(res.Failures[0], dataplane.ErrTaken) {
					t.Errorf("%s: %v", name, res.Failures)
				}
				shows(t, w, host(1))
				routedThere(t, w, left, besides...)
				settled(t, d, want)
			}
			have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
			if err != nil {
				t.Fatal(err)
			}
			if b := have.BlockedRoutes(want); len(b) != 1 || b[0].Via != theirs.Via {
				t.Errorf("%s: blocked %v", name, b)
			}
			converge(t, d, nothing())
			routedThere(t, w, nothing(), besides...)
			w.deleteRoute(inner, theirs)
			converge(t, d, want)
			routedThere(t, w, want)
			converge(t, d, nothing())
		}
	})
}

// What the kernel prefers to a route of ours is left alone, and can be told.
func TestWinningRoutes(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		w.addDevice(dev)
		w.addDevice(inner)
		w.addDevice("fpr-2")
		better := static(host(1).String()+"/128", "fe80::7")
		better.Metric = 100
		back := static("::/0", "fe80::9")
		back.Table, back.Metric = wayTable, 50
		for device, r := range map[string]route.Route{"fpr-2": better, dev: back} {
			w.addRoute(device, r)
		}
		worse, elsewhere, unwanted := better, better, better
		worse.Metric, elsewhere.Table, unwanted.Dst = 2000, 4711, prefix(host(7).String()+"/128")
		for _, r := range []route.Route{worse, elsewhere, unwanted} {
			w.addRoute("fpr-2", r)
		}
		besides := w.routes()
		d := on(w.kernel(), t)
		want := routed(host(1))
		converge(t, d, want)
		routedThere(t, w, want, besides...)
		have, err := d.Observe(t.Context(), namespace, dataplane.Quick)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, f := range have.WinningRoutes(want) {
			told = append(told, f.Route.String())
		}
		if diff := cmp.Diff([]string{"::/0 via fe80::9 dev qg-1 table 110", host(1).String() + "/128 via fe80::7 dev fpr-2"}, told); diff != "" {
			t.Error(diff)
		}
	})
}
