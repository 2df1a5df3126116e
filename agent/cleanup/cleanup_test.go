package cleanup_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/cleanup"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everything is all of a namespace that we write to or could, whoever made it. The
// kernel's own routes may come after the addresses that they are for.
func everything(n *nettest.Namespace) string {
	routes := slices.DeleteFunc(slices.Collect(strings.Lines(n.Run("ip", "-6", "route", "show", "table", "all"))), func(route string) bool { return strings.Contains(route, " proto kernel ") })
	return strings.Join([]string{
		n.Run("ip", "-6", "neigh", "show", "proxy"), n.Run("nft", "list", "ruleset"), strings.Join(routes, ""),
		n.Run("ip", "-6", "rule", "show"), n.Run("sysctl", "-a", "-r", `^net\.ipv6\.(conf\..*\.proxy_ndp|neigh\..*\.proxy_delay|conf\..*\.forwarding)$`),
	}, "--\n")
}

// strangers puts something of somebody else beside each thing of ours.
func strangers(p *nettest.Topology) {
	r := p.Router
	r.IP("-6", "neigh", "add", "proxy", "2001:db8:0:2::99", "dev", nettest.External)
	r.IP("-6", "neigh", "add", "proxy", "2001:db8:0:2::98", "dev", nettest.Internal, "proto", "99")
	r.Run("nft", "add table ip6 theirs; add chain ip6 theirs c { type filter hook forward priority 7; }; add rule ip6 theirs c counter")
	r.Run("nft", "add table inet "+dataplane.DefaultTable)
	r.IP("-6", "route", "add", "2001:db8:0:7::/64", "via", "fe80::7", "dev", nettest.Internal, "proto", "static", "table", "110")
	r.IP("-6", "route", "add", "2001:db8:0:2::99/128", "via", "fe80::7", "dev", nettest.Internal)
	r.IP("-6", "rule", "add", "priority", "32801", "iif", nettest.Internal, "table", "4711")
	r.Sysctl("net/ipv6/conf/"+nettest.Internal+"/proxy_ndp", "1")
	r.Sysctl("net/ipv6/neigh/"+nettest.External+"/proxy_delay", "40")
}

// full is a state with each kind of thing.
func full(p *nettest.Topology) dataplane.State {
	s := dataplane.State{
		Namespace: p.Router.Name,
		Devices: []dataplane.Device{{
			Name: nettest.External, Answer: true, LinkLocal: p.Router.LinkLocal(nettest.External),
			Published: []netip.Addr{p.InstanceAddr, p.InstanceAddr.Next()}, Guarded: []netip.Prefix{p.InternalNet},
		}},
		Routes: []dataplane.Route{
			{Table: dataplane.MainTable, Dst: netip.PrefixFrom(p.InstanceAddr, 128), Via: netip.MustParseAddr("fe80::5"), Device: nettest.Internal},
			{Table: 110, Dst: netip.MustParsePrefix("::/0"), Via: p.UpstreamAddr, Device: nettest.External, OnLink: true},
		},
		Rules: []dataplane.Rule{{Priority: 32800, IIF: nettest.Internal, Table: 110}, {Priority: 32800, IIF: "lo", Table: 110}},
	}
	s.Normalize()
	return s
}

func converge(t *testing.T, d *dataplane.Dataplane, want dataplane.State) {
	t.Helper()
	have, err := d.Observe(t.Context(), want.Namespace, dataplane.Deep)
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.Apply(t.Context(), dataplane.Diff(want, have))
	if err != nil || len(res.Failures) > 0 {
		t.Fatal(err, res.Failures)
	}
}

// What is ours goes, by a process that did not make it; everything else is as before,
// to the byte. The second time there is nothing to do.
func TestOursGoesAndNothingElse(t *testing.T) {
	p := nettest.NewTopology(t)
	strangers(p)
	before := everything(p.Router)
	converge(t, dataplane.New(dataplane.Options{NetnsDir: p.Dir}), full(p))
	if everything(p.Router) == before {
		t.Fatal("nothing was made")
	}
	d := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	names, err := d.Namespaces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made := everything(p.Router)
	found := cleanup.Look(t.Context(), d, names)
	if len(found) != 1 || found[0].Answered != 2 || found[0].Err != nil {
		t.Fatalf("found %+v", found)
	}
	ll := p.Router.LinkLocal(nettest.External).String()
	want := []string{
		"-device qg-1 answer on link-local " + ll + " proxy-delay 0s", "+device qg-1 answer off link-local none proxy-delay 400ms",
		"-  guard 2001:db8:0:2::/64", "-  publish 2001:db8:0:2::10", "-  publish 2001:db8:0:2::11",
		"-route 2001:db8:0:2::10/128 via fe80::5 dev qr-1 metric 1024 proto 110",
		"-route ::/0 via 2001:db8:0:1::1 dev qg-1 onlink table 110 metric 1024 proto 110",
		"-rule 32800 iif lo table 110", "-rule 32800 iif qr-1 table 110",
	}
	slices.Sort(want[7:])
	got := slices.Clone(found[0].Lines)
	slices.Sort(got[7:])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if now := everything(p.Router); now != made {
		t.Errorf("a look changed something:\n%s", cmp.Diff(made, now))
	}
	for range 2 {
		if err := cleanup.Remove(t.Context(), d, p.Router.Name); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, everything(p.Router)); diff != "" {
			t.Errorf("-before +after\n%s", diff)
		}
	}
	if left := cleanup.Look(t.Context(), d, names); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}

// Without the table nothing says what proxy_delay was, and what is said by entries alone
// goes; so does a table that was damaged.
func TestWhatIsLeftOfOurs(t *testing.T) {
	p := nettest.NewTopology(t)
	for name, spoil := range map[string]func(){
		"no table":       func() { p.Router.Run("nft", "delete", "table", "ip6", dataplane.DefaultTable) },
		"damaged":        func() { p.Router.Run("nft", "flush", "table", "ip6", dataplane.DefaultTable) },
		"no entries":     func() { p.Router.IP("-6", "neigh", "flush", "proxy", "dev", nettest.External) },
		"device is down": func() { p.Router.IP("link", "set", nettest.External, "down") },
		"a device left":  func() { p.Router.IP("link", "set", nettest.External, "name", "gone", "down") },
	} {
		converge(t, dataplane.New(dataplane.Options{NetnsDir: p.Dir}), full(p))
		spoil()
		d := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
		found := cleanup.Look(t.Context(), d, []string{p.Router.Name})
		if len(found) != 1 || len(found[0].Lines) == 0 {
			t.Errorf("%s: %+v", name, found)
		}
		if err := cleanup.Remove(t.Context(), d, p.Router.Name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all := everything(p.Router)
		for _, mark := range []string{"proto 110", "ip6 " + dataplane.DefaultTable, "table 110", "lookup 110"} {
			if strings.Contains(all, mark) {
				t.Errorf("%s: %q is left in\n%s", name, mark, all)
			}
		}
		if name != "a device left" && p.Router.ReadSysctl("net/ipv6/conf/"+nettest.External+"/proxy_ndp") != "0" {
			t.Errorf("%s: the device answers still", name)
		}
		for _, device := range []string{"gone", nettest.External} {
			_, _ = p.Router.Try("ip", "link", "set", device, "name", nettest.External)
		}
		p.Router.IP("link", "set", nettest.External, "up")
		p.Router.IP("-6", "addr", "replace", p.GatewayAddr.String()+"/64", "dev", nettest.External, "nodad")
		p.Router.LinkLocal(nettest.External)
	}
}

// One namespace under two names is listed once; one that is only half made has nothing.
func TestNames(t *testing.T) {
	p := nettest.NewTopology(t)
	d := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	converge(t, d, full(p))
	for _, name := range []string{"alias", "half"} {
		if err := os.WriteFile(filepath.Join(p.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(p.Router.Path, filepath.Join(p.Dir, "alias"), "none", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	found := cleanup.Look(t.Context(), d, []string{"alias", "half", "gone", "router"})
	if len(found) != 1 || found[0].Namespace != "alias" {
		t.Errorf("found %+v", found)
	}
	in, out := cleanup.Split([]string{"b", "x", "a"}, func(ns string) bool { return ns != "x" })
	if !slices.Equal(in, []string{"a", "b"}) || !slices.Equal(out, []string{"x"}) {
		t.Errorf("%v %v", in, out)
	}
}

// broken fails in one namespace.
type broken struct {
	*dataplane.Dataplane
	apply, observe error
}

func (b broken) Observe(ctx context.Context, ns string, depth dataplane.Depth) (dataplane.Observation, error) {
	if b.observe != nil {
		return dataplane.Observation{}, b.observe
	}
	return b.Dataplane.Observe(ctx, ns, depth)
}

func (b broken) Apply(ctx context.Context, c dataplane.Changes) (dataplane.Result, error) {
	return dataplane.Result{}, b.apply
}

// What was not removed is never called removed.
func TestFailures(t *testing.T) {
	p := nettest.NewTopology(t)
	d := dataplane.New(dataplane.Options{NetnsDir: p.Dir})
	converge(t, d, full(p))
	for _, b := range []broken{{d, syscall.EPERM, nil}, {d, nil, nil}, {d, nil, syscall.EPERM}} {
		if err := cleanup.Remove(t.Context(), b, p.Router.Name); err == nil {
			t.Errorf("%+v: no error", b)
		}
	}
	found := cleanup.Look(t.Context(), broken{d, nil, syscall.EPERM}, []string{"router", "upstream"})
	if len(found) != 2 || !errors.Is(found[0].Err, syscall.EPERM) || !errors.Is(found[1].Err, syscall.EPERM) {
		t.Errorf("found %+v", found)
	}
}

// Notes of what is owed, a dead socket and what was for making it go; nothing else.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "control.sock")
	put("owed/qrouter-1", "")
	put("owed/qrouter-2", "")
	put("owed/notes", "somebody's")
	put("other", "")
	if err := errors.Join(syscall.Mkdir(socket+".new", 0o700), syscall.Mknod(socket, syscall.S_IFSOCK|0o600, 0)); err != nil {
		t.Fatal(err)
	}
	got, err := cleanup.Files(dir, socket, []string{"qrouter-2", "qrouter-3"})
	if err != nil || !slices.Equal(got, []string{filepath.Join(dir, "owed/qrouter-2")}) {
		t.Errorf("of one: %v %v", got, err)
	}
	got, err = cleanup.Files(dir, socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, path := range got {
			if err := cleanup.RemoveFile(path); err != nil {
				t.Error(err)
			}
		}
		left, err := filepath.Glob(dir + "/*")
		owed, err2 := filepath.Glob(dir + "/owed/*")
		if errors.Join(err, err2) != nil || !slices.Equal(left, []string{dir + "/other", dir + "/owed"}) || !slices.Equal(owed, []string{dir + "/owed/notes"}) {
			t.Errorf("left: %v %v", left, owed)
		}
	}
	if got, err := cleanup.Files(filepath.Join(dir, "nothing"), "", nil); err != nil || len(got) > 0 {
		t.Errorf("of nothing: %v %v", got, err)
	}
}

// The runtime directory is the daemon's user's: a link in it leads root nowhere.
func TestFilesBehindALink(t *testing.T) {
	dir, others := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(others, "empty"), nil, 0o600), os.Symlink(others, filepath.Join(dir, "owed"))); err != nil {
		t.Fatal(err)
	}
	for _, which := range [][]string{nil, {"empty"}} {
		if got, err := cleanup.Files(dir, "", which); err != nil || len(got) > 0 {
			t.Errorf("of %v: %v %v", which, got, err)
		}
	}
}
