package nettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

// commandTimeout bounds every command run in a namespace.
const commandTimeout = 60 * time.Second

// Namespace is one namespace of a lab.
type Namespace struct {
	Name string
	// Path of the file it is bound to.
	Path string

	lab *Lab
	t   testing.TB
}

// inThread runs fn on a thread that is thrown away.
func inThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread is only parked, and would stay where it is.
			defer runtime.UnlockOSThread()
			result <- inThread(fn)
			return
		}
		result <- fn() // never unlocked: the thread ends with the goroutine
	}()
	return <-result
}

// Enter runs fn on a thread inside the namespace.
func (n *Namespace) Enter(fn func() error) (err error) {
	h, err := netns.Open(filepath.Dir(n.Path), filepath.Base(n.Path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	return h.Do(fn)
}

// Do is [Namespace.Enter] for what must not fail.
func (n *Namespace) Do(fn func() error) {
	n.t.Helper()
	if err := n.Enter(fn); err != nil {
		n.t.Fatalf("in namespace %s: %v", n.Name, err)
	}
}

// Try runs a command in the namespace and returns what it wrote to standard
// output and standard error.
func (n *Namespace) Try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	var out bytes.Buffer
	err := n.Enter(func() error {
		// A child is born into the namespace of the thread that forks it.
		cmd := exec.CommandContext(ctx, name, args...) // #nosec G204 -- the tests' own commands
		cmd.Stdout, cmd.Stderr = &out, &out
		return cmd.Run()
	})
	if err != nil {
		err = fmt.Errorf("%s: %s %s: %w: %s", n.Name, name, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), err
}

// Run is [Namespace.Try] for what must not fail.
func (n *Namespace) Run(name string, args ...string) string {
	n.t.Helper()
	out, err := n.Try(name, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// StartTo starts a command in the namespace that writes to out and ends with
// the test at the latest.
func (n *Namespace) StartTo(out *os.File, name string, args ...string) *exec.Cmd {
	n.t.Helper()
	cmd := exec.Command(name, args...) // #nosec G204 -- the tests' own commands
	cmd.Stdout, cmd.Stderr = out, out
	n.Do(cmd.Start)
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd
}

// IP runs ip(8).
func (n *Namespace) IP(args ...string) string {
	n.t.Helper()
	return n.Run("ip", args...)
}

// Sysctl writes a setting below /proc/sys, named with slashes.
func (n *Namespace) Sysctl(key, value string) {
	n.t.Helper()
	n.Do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) })
}

// ReadSysctl reads a setting below /proc/sys, named with slashes.
func (n *Namespace) ReadSysctl(key string) string {
	n.t.Helper()
	var b []byte
	n.Do(func() (err error) {
		b, err = os.ReadFile("/proc/sys/" + key)
		return err
	})
	return strings.TrimSpace(string(b))
}

// AddAddr gives a device an address without duplicate detection.
func (n *Namespace) AddAddr(device, prefix string) {
	n.t.Helper()
	args := []string{"address", "add", prefix, "dev", device}
	if strings.Contains(prefix, ":") {
		args = append(args, "nodad")
	}
	n.IP(args...)
}

// Device makes a device that leads nowhere, up and with a carrier: one end of a
// veth pair whose other end ([Peer]) is beside it. Not every kernel has dummy
// devices.
func (n *Namespace) Device(device string) {
	n.t.Helper()
	n.lab.Veth(n, device, n, Peer(device))
}

// Peer is the name of the other end of a device made by [Namespace.Device].
func Peer(device string) string { return "~" + device }

// MAC returns a device's hardware address.
func (n *Namespace) MAC(device string) net.HardwareAddr {
	n.t.Helper()
	return n.link(device).Attrs().HardwareAddr
}

// Index returns a device's index.
func (n *Namespace) Index(device string) int {
	n.t.Helper()
	return n.link(device).Attrs().Index
}

func (n *Namespace) link(device string) netlink.Link {
	n.t.Helper()
	var l netlink.Link
	n.Do(func() (err error) {
		l, err = netlink.LinkByName(device)
		return err
	})
	return l
}

// LinkLocal waits for the device's link-local address to be usable and
// returns it.
func (n *Namespace) LinkLocal(device string) netip.Addr {
	n.t.Helper()
	l := n.link(device)
	var found netip.Addr
	Eventually(n.t, 10*time.Second, n.Name+": usable link-local address on "+device, func() bool {
		var addrs []netlink.Addr
		n.Do(func() (err error) {
			addrs, err = netlink.AddrList(l, netlink.FAMILY_V6)
			return err
		})
		for _, a := range addrs {
			ip, _ := netip.AddrFromSlice(a.IP)
			if ip.IsLinkLocalUnicast() && a.Flags&(flagTentative|flagDADFailed) == 0 {
				found = ip
				return true
			}
		}
		return false
	})
	return found
}

// move makes a veth pair in the current thread's namespace and moves the peer
// into n.
func (n *Namespace) move(name, peer string) error {
	f, err := os.Open(n.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read-only
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerNamespace: netlink.NsFd(int(f.Fd()))})
}
