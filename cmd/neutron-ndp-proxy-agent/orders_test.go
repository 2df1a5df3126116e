package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/test/nettest"
)

// Seen, mended and told again, each by its command: the changes of somebody else, while a
// flow to the published address goes on, and a neighbour that has learned otherwise.
func TestOrders(t *testing.T) {
	p := nettest.NewTopology(t)
	d, ini := published(t, p)
	put(t, ini, readAll(t, ini)+"audit_interval = 3600\n")
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d = launch(t, ini)
	d.await(t, "READY=1")
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
	expect := func(want int, text string, args ...string) {
		t.Helper()
		out, complaints, code := told(append(args, "--config-file", ini)...)
		if code != want || !strings.Contains(out+complaints, text) || strings.Contains(out, "\x1b") {
			t.Errorf("%v: code %d, want %d and %q\n%s%s", args, code, want, text, out, complaints)
		}
	}
	expect(exitOK, "", "diff")
	if out, _, _ := told("diff", "--config-file", ini); out != "" {
		t.Errorf("converged, and the diff is %q", out)
	}
	p.Instance.UDPEcho(netip.AddrPortFrom(p.InstanceAddr, 7))
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	flowed := make(chan nettest.Flow, 1)
	go func() { flowed <- p.Upstream.UDPFlow(ctx, netip.AddrPortFrom(p.InstanceAddr, 7), 5*time.Millisecond) }()

	const stranger = "2001:db8:0:2::77"
	p.Router.IP("-6", "neigh", "del", "proxy", p.InstanceAddr.String(), "dev", nettest.External)
	expect(exitDiffers, "namespace router\n device qg-1 answer on", "diff")
	expect(exitDiffers, "\n+  publish "+p.InstanceAddr.String()+"\n", "diff", "--namespace", "router")
	expect(exitOK, "", "diff", "--namespace", "upstream")
	var asJSON admin.Diff
	out, _, code := told("diff", "--json", "--config-file", ini)
	if err := json.Unmarshal([]byte(out), &asJSON); err != nil || code != exitDiffers || !asJSON.Ready || len(asJSON.Namespaces) != 1 || asJSON.Namespaces[0].State != admin.DiffDiffers {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	expect(exitOK, "\n+  publish "+p.InstanceAddr.String()+"\n1 of 1 namespaces looked at, 1 changed, 0 failed\n", "reconcile")
	expect(exitOK, "", "diff")
	expect(exitOK, "1 of 1 namespaces looked at, 0 changed, 0 failed\n", "reconcile", "--namespace", "router")
	if flow := <-flowed; flow.Sent < 100 || flow.Received != flow.Sent {
		t.Errorf("%d of %d datagrams came back", flow.Received, flow.Sent)
	}

	wrong := "02:00:00:00:00:99"
	p.Upstream.IP("-6", "neigh", "replace", p.InstanceAddr.String(), "dev", "eth0", "lladdr", wrong, "nud", "stale")
	if n := p.Upstream.Neighbour("eth0", p.InstanceAddr); n.MAC.String() != wrong {
		t.Fatalf("the upstream has %v", n)
	}
	expect(exitOK, "sent", "announce", p.InstanceAddr.String())
	nettest.Eventually(t, 2*time.Second, "the announcement in the upstream's cache", func() bool {
		return p.Upstream.Neighbour("eth0", p.InstanceAddr).MAC.String() == p.Router.MAC(nettest.External).String()
	})
	p.Upstream.IP("link", "set", "eth0", "down")
	nettest.Eventually(t, 5*time.Second, "the daemon's word that the device is down", func() bool {
		out, _, _ := told("status", "--config-file", ini)
		return strings.Contains(out, "is down")
	})
	expect(exitFailed, "refused  device qg-1 is down", "announce", p.InstanceAddr.String(), "--wait", "5s")
	p.Upstream.IP("link", "set", "eth0", "up")
	// Another node of an HA router holds the gateway's address: silence, and the reason.
	p.Router.IP("-6", "addr", "del", p.GatewayAddr.String()+"/64", "dev", nettest.External)
	expect(exitFailed, "refused", "announce", p.InstanceAddr.String())
	expect(exitFailed, "gateway", "announce", p.InstanceAddr.String())
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"announce", stranger}, exitFailed, "nothing on this host publishes it"},
		{[]string{"announce", "192.0.2.1"}, exitFailed, "is no IPv6 address"},
		{[]string{"announce", "no-such-router"}, exitFailed, "no router of this host"},
		{[]string{"announce"}, exitUsage, "<address|router> is missing"},
		{[]string{"reconcile", "--router", "no-such-router"}, exitFailed, "no router of this host"},
		{[]string{"reconcile", "--namespace", "nowhere"}, exitFailed, "no router of this host"},
		{[]string{"reconcile", "--wait", "1h"}, exitFailed, "up to 5m0s"},
		{[]string{"reconcile", "--wait", "soon"}, exitUsage, "wait"},
		{[]string{"diff", "--router", "no-such-router"}, exitFailed, "no router of this host"},
		{[]string{"diff", "--nonsense"}, exitDiffUsage, "nonsense"},
		{[]string{"diff", "word"}, exitDiffUsage, "unexpected argument"},
	} {
		expect(c.code, c.text, c.args...)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	expect(exitUnreachable, "not running", "diff")
	expect(exitUnreachable, "not running", "reconcile")
	expect(exitUnreachable, "not running", "announce", stranger)
	if !strings.Contains(d.log.String(), "/v1/reconcile") {
		t.Error("the log does not name who ordered")
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Without a broker what is known is made true, and it is said that nobody was asked.
func TestReconcileWithoutABroker(t *testing.T) {
	dir := t.TempDir()
	ini := filepath.Join(dir, "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = h\ntransport_url = rabbit://u:topsecret@127.0.0.1:1/\n[ndp_proxy]\nnetns_dir = "+dir+"\nruntime_dir = "+dir+"/run\n")
	d := launch(t, ini)
	saying(t, d, "cannot connect to broker")
	out, complaints, code := told("reconcile", "--config-file", ini)
	if code != exitFailed || !strings.Contains(complaints, "the server was not asked: not connected to a broker since") || !strings.Contains(out, "0 of 0 namespaces") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if out, complaints, code := told("diff", "--config-file", ini); code != exitOK || out != "" || !strings.Contains(complaints, "not had its first full sync") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
}

// The server is asked, and its whole answer waited for.
func TestResyncing(t *testing.T) {
	var asked, read time.Time
	link := ""
	sync := resyncing(func() string { return link }, func() { asked = time.Now() }, func(since time.Time) bool { return read.After(since) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := sync(ctx); !errors.Is(err, context.DeadlineExceeded) || asked.IsZero() {
		t.Errorf("no answer: %v", err)
	}
	read = time.Now().Add(time.Hour)
	if err := sync(t.Context()); err != nil {
		t.Error(err)
	}
	link, asked = "gone", time.Time{}
	if err := sync(t.Context()); err == nil || err.Error() != "gone" || !asked.IsZero() {
		t.Errorf("no broker: %v", err)
	}
}
