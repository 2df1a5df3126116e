package dataplane_test

import (
	"context"
	"io"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
	"neutron-ndp-proxy-agent/test/nettest"
)

// Seen by packets that need no answer of ours: whatever can't be written, while
// addresses are published and withdrawn and networks are guarded and not, nothing
// gets to what is never published, and nothing is lost to what always is.
func TestFailingWritesOpenNothing(t *testing.T) {
	e := newExpansion(t)
	shutAddr := addr("2001:db8:0:2::11")
	e.Instance.AddAddr("eth0", shutAddr.String()+"/64")
	e.Instance.AddAddr("eth0", e.far.String()+"/64")
	e.Router.AddAddr(nettest.Internal, "2001:db8:0:3::1/64")
	e.toRouter("2001:db8:0:3::/64")
	always := netip.AddrPortFrom(e.InstanceAddr, 7)
	e.Instance.UDPEcho(always)
	throughShut, throughFar := e.count(t, shutAddr), e.count(t, e.far)
	e.Upstream.Reaches(e.InstanceAddr, patience)

	ctx, cancel := context.WithCancel(t.Context())
	var flows sync.WaitGroup
	var open, shut, far nettest.Flow
	flows.Go(func() { open = e.Upstream.UDPFlow(ctx, always, time.Millisecond) })
	flows.Go(func() { shut = e.Upstream.UDPFlow(ctx, netip.AddrPortFrom(shutAddr, 7), time.Millisecond) })
	flows.Go(func() { far = e.Upstream.UDPFlow(ctx, netip.AddrPortFrom(e.far, 7), time.Millisecond) })

	more := published(e.Topology, e.InstanceAddr, host(0x20), host(0x21))
	more.Devices[0].Guarded = []netip.Prefix{prefix("2001:db8:0:2::/64"), prefix("2001:db8:0:3::/64")}
	states := []dataplane.State{more, e.state}
	failed := 0
	for i, op := range []fakekernel.Op{fakekernel.WriteFilter, fakekernel.ReadFilter, fakekernel.SetNeighbour, fakekernel.DeleteNeighbour, fakekernel.Links} {
		for _, errno := range []error{unix.ENOBUFS, unix.EPERM, unix.EINVAL} {
			for _, fault := range []fakekernel.Fault{{Times: -1}, {After: 1, Times: -1}, {Done: true, Times: -1}} {
				fault.Op, fault.Err = op, errno
				faults := fakekernel.NewFaults(dataplane.Linux(e.Dir))
				faults.Fail(fault)
				want := states[i%len(states)]
				if attempt(t, dataplane.New(dataplane.Options{Logger: zap.NewNop(), Kernel: faults}), want) != nil {
					failed++
				}
				reach(t, dataplane.New(dataplane.Options{Logger: zap.NewNop(), NetnsDir: e.Dir}), states[(i+1)%len(states)])
			}
		}
	}
	cancel()
	flows.Wait()
	t.Logf("%d attempts failed; always published %+v, never published %d through of %d and %d of %d", failed, open, throughShut(), shut.Sent, throughFar(), far.Sent)
	if failed < 15 || shut.Sent < 100 || far.Sent < 100 {
		t.Error("hardly anything was tried")
	}
	if open.Received != open.Sent {
		t.Errorf("lost to what is always published: %+v", open)
	}
	if throughShut() > 0 || throughFar() > 0 {
		t.Errorf("got through: %d and %d", throughShut(), throughFar())
	}
}

// Somebody owns a table of our name (nft's flag owner): the kernel refuses every
// change of it, so nothing is answered for, and the operator is told. When he lets
// go, all is made.
func TestTableOwnedByAnother(t *testing.T) {
	l := nettest.New(t)
	n := l.Namespace(namespace)
	n.Device(dev)
	var stdin io.WriteCloser
	cmd := exec.Command("nft", "-i")
	n.Do(func() (err error) {
		if stdin, err = cmd.StdinPipe(); err != nil {
			return err
		}
		return cmd.Start()
	})
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := io.WriteString(stdin, "add table ip6 "+table+" { flags owner; }\n"); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, patience, "somebody's table", func() bool {
		_, err := n.Try("nft", "list", "table", "ip6", table)
		return err == nil
	})
	d := newDataplane(t, l.Dir)
	res := apply(t, d, state(host(1)), dataplane.Quick)
	told := false
	for _, f := range res.Failures {
		told = told || f.Class() == dataplane.ClassOperator
	}
	if !told || len(res.Answerable) > 0 {
		t.Errorf("failures %v, answerable %v", res.Failures, res.Answerable)
	}
	if got := n.ReadSysctl("net/ipv6/conf/" + dev + "/proxy_ndp"); got != "0" {
		t.Errorf("proxy_ndp is %s", got)
	}
	if got := n.IP("-6", "neigh", "show", "proxy"); got != "" {
		t.Errorf("entries: %s", got)
	}
	if err := stdin.Close(); err != nil { // nft ends, and its table with it
		t.Fatal(err)
	}
	nettest.Eventually(t, patience, "its end", func() bool {
		_, err := n.Try("nft", "list", "table", "ip6", table)
		return err != nil
	})
	if res := converge(t, d, state(host(1))); len(res.Answerable[dev]) != 1 {
		t.Errorf("afterwards %+v", res)
	}
}
