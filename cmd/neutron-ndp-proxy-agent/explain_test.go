package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/agent/explain"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/test/nettest"
)

func explained(args ...string) (stdout, stderr string, code int) {
	var out, complaints bytes.Buffer
	code = run(append([]string{"explain"}, args...), &out, &complaints)
	return out.String(), complaints.String(), code
}

func TestExplainWithoutADaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"nobody listens": {[]string{"2001:db8::5", "--socket", socket}, exitUnreachable, "nobody knows about 2001:db8::5", "no daemon listens there"},
		"JSON":           {[]string{"--json", "2001:db8::5", "--socket", socket}, exitUnreachable, `"broken": "daemon"`, "no daemon listens there"},
		"IPv4":           {[]string{"192.0.2.1"}, exitUsage, "", "IPv4 has floating IPs"},
		"a name":         {[]string{"router1"}, exitUsage, "", "no IP address"},
		"nothing":        {nil, exitUsage, "", "<address> is missing"},
		"two":            {[]string{"2001:db8::5", "2001:db8::6"}, exitUsage, "", "unexpected argument"},
	} {
		out, complaints, code := explained(c.args...)
		if code != c.code || !strings.Contains(out, c.stdout) || !strings.Contains(complaints, c.stderr) || c.stdout == "" && out != "" {
			t.Errorf("%s: code %d, want %d\n%s%s", name, code, c.code, out, complaints)
		}
	}
}

// What a daemon with a file says of an address, and the exit codes.
func TestExplain(t *testing.T) {
	p := nettest.NewTopology(t)
	p.OnLink()
	dir := t.TempDir()
	source, ini := filepath.Join(dir, "published.yaml"), filepath.Join(dir, "agent.ini")
	put(t, ini, "[DEFAULT]\nhost = net1\n[ndp_proxy]\nsource = file\nsource_file = "+source+"\nnetns_dir = "+p.Dir+"\nruntime_dir = "+dir+"/run\n")
	put(t, source, "version: 1\nnamespaces:\n- name: router\n  devices:\n  - name: "+nettest.External+"\n    gateway_addresses: ['"+p.GatewayAddr.String()+
		"']\n    internal_subnets: ['"+p.InternalNet.String()+"']\n    published: ['"+p.InstanceAddr.String()+"']\n")
	d := launch(t, ini)
	d.await(t, "READY=1")
	p.Upstream.Reaches(p.InstanceAddr, 5*time.Second)
	out, complaints, code := explained(p.InstanceAddr.String(), "--config-file", ini)
	if code != exitOK || complaints != "" || !strings.Contains(out, "verdict") || !strings.Contains(out, "is answered for here, on "+nettest.External+" in router") ||
		strings.Contains(out, "\x1b") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if out, _, _ := explained("--color=always", p.InstanceAddr.String(), "--config-file", ini); !strings.Contains(out, "\x1b[32mok") {
		t.Errorf("in colour: %q", out)
	}
	// Somebody takes the gateway's address away, as at a failover.
	p.Router.IP("address", "del", p.GatewayAddr.String()+"/64", "dev", nettest.External)
	out, complaints, code = explained("--json", p.InstanceAddr.String(), "--config-file", ini)
	var a explain.Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != exitFailed || a.Broken != explain.LinkGateway || a.Answered || a.Host != "net1" ||
		a.Namespace != "router" || a.Device != nettest.External || a.NetnsDir != p.Dir || len(a.Links) != 22 {
		t.Errorf("code %d, %v\n%s%s", code, err, out, complaints)
	}
	// A probe changes nothing about an address that is served nowhere here.
	other := p.InstanceAddr.Next().String()
	out, complaints, code = explained("--probe", other, "--config-file", ini)
	if code != exitFailed || complaints != "" || !strings.Contains(out, "the file does not publish this address; it is in "+p.InternalNet.String()) {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if err := d.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, d.log)
	}
	if _, complaints, code := explained(other, "--config-file", ini); code != exitUnreachable || !strings.Contains(complaints, "no daemon listens there") {
		t.Errorf("code %d: %s", code, complaints)
	}
}

// A daemon that does not know the question has not said that a link is broken.
func TestExplainByAnOlderDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "old.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error, 1)
	go func() { done <- old.Serve(l) }()
	out, complaints, code := explained("2001:db8::5", "--socket", socket)
	if code != exitUnreachable || out != "" || !strings.Contains(complaints, "another version") {
		t.Errorf("code %d\n%s%s", code, out, complaints)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// explainCloud is a server that may fail each question.
type explainCloud struct{ proxies, ports, gateway error }

func (c explainCloud) NDPProxiesOf(_ context.Context, a netip.Addr) ([]rpc.NDPProxy, error) {
	return []rpc.NDPProxy{{ID: "p", RouterID: "r", PortID: "port", Addr: a}}, c.proxies
}

func (c explainCloud) Ports(_ context.Context, ids []string) ([]rpc.BoundPort, []rpc.Malformed, error) {
	return []rpc.BoundPort{{ID: ids[0], Host: "compute1"}}, nil, c.ports
}

func (c explainCloud) GatewayHost(context.Context, string) (string, error) { return "net2", c.gateway }

// What the server can't tell takes nothing from the rest.
func TestAskServer(t *testing.T) {
	failure := errors.New("no")
	all := explain.ServerProxy{ID: "p", Router: "r", Port: "port", PortHost: "compute1", GatewayHost: "net2"}
	noPort, noGateway := all, all
	noPort.PortHost, noGateway.GatewayHost = "", ""
	for _, c := range []struct {
		cloud explainCloud
		want  []explain.ServerProxy
		err   error
	}{
		{explainCloud{}, []explain.ServerProxy{all}, nil},
		{explainCloud{ports: failure}, []explain.ServerProxy{noPort}, nil},
		{explainCloud{gateway: failure}, []explain.ServerProxy{noGateway}, nil},
		{explainCloud{proxies: failure}, nil, failure},
	} {
		got, err := askServer(t.Context(), c.cloud, netip.MustParseAddr("2001:db8::1"))
		if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%+v: %v\n%s", c.cloud, err, diff)
		}
	}
}
