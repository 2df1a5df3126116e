package nstest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serial tells the namespaces of one test process apart.
var serial atomic.Uint32

// Namespace is a named network namespace that ends with its test.
type Namespace struct {
	t    testing.TB
	Name string
}

// New makes a namespace with loopback up. It skips the test unless root runs it.
func New(t testing.TB) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	n := &Namespace{t: t, Name: fmt.Sprintf("ndsend-%d-%d", os.Getpid(), serial.Add(1))}
	command(t, "ip", "netns", "add", n.Name)
	t.Cleanup(n.Delete)
	n.IP("link", "set", "lo", "up")
	return n
}

// Delete removes the name; deleting twice is fine.
func (n *Namespace) Delete() {
	if _, err := os.Stat(n.path()); err == nil {
		command(n.t, "ip", "netns", "delete", n.Name)
	}
}

func (n *Namespace) path() string { return filepath.Join("/run/netns", n.Name) }

// IP runs iproute2's ip inside and returns its output.
func (n *Namespace) IP(args ...string) string {
	n.t.Helper()
	return command(n.t, "ip", append([]string{"-n", n.Name}, args...)...)
}

// Exec runs a program inside and returns its output.
func (n *Namespace) Exec(args ...string) string {
	n.t.Helper()
	return command(n.t, "ip", append([]string{"netns", "exec", n.Name}, args...)...)
}

// Sysctl writes one, such as net/ipv6/conf/qg-1/dad_transmits.
func (n *Namespace) Sysctl(name, value string) {
	n.t.Helper()
	err := n.Enter(func() error {
		// The path goes by the thread's namespace.
		return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o600)
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// Enter runs fn on a thread inside the namespace, which ends with it.
func (n *Namespace) Enter(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime ends the thread instead of reusing it.
		runtime.LockOSThread()
		result <- n.enterThread(fn)
	}()
	return <-result
}

func (n *Namespace) enterThread(fn func() error) error {
	file, err := os.Open(n.path())
	if err != nil {
		return err
	}
	err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("enter %s: %w", n.Name, err)
	}
	return fn()
}

// Link is a veth pair, both ends up and with settled link-local addresses.
func Link(t testing.TB, a *Namespace, aDevice string, b *Namespace, bDevice string) {
	t.Helper()
	LinkDown(t, a, aDevice, b, bDevice)
	for _, end := range []struct {
		*Namespace
		device string
	}{{a, aDevice}, {b, bDevice}} {
		end.Sysctl("net/ipv6/conf/"+end.device+"/accept_dad", "0")
		end.IP("link", "set", end.device, "up")
	}
	a.AwaitLinkLocal(aDevice)
	b.AwaitLinkLocal(bDevice)
}

// LinkDown is a veth pair whose ends are down.
func LinkDown(t testing.TB, a *Namespace, aDevice string, b *Namespace, bDevice string) {
	t.Helper()
	a.IP("link", "add", aDevice, "type", "veth", "peer", "name", bDevice, "netns", b.Name)
}

// Address is what ip says of one.
type Address struct {
	Local     netip.Addr `json:"local"`
	Scope     string     `json:"scope"`
	Tentative bool       `json:"tentative"`
	DADFailed bool       `json:"dadfailed"`
}

// LinkLocals lists the device's link-local addresses.
func (n *Namespace) LinkLocals(device string) []Address {
	n.t.Helper()
	var links []struct {
		Addrs []Address `json:"addr_info"`
	}
	n.json(&links, "-6", "address", "show", "dev", device, "scope", "link")
	if len(links) == 0 {
		return nil
	}
	return links[0].Addrs
}

// AwaitLinkLocal returns the device's link-local address once it works.
func (n *Namespace) AwaitLinkLocal(device string) netip.Addr {
	n.t.Helper()
	var addr netip.Addr
	Await(n.t, "link-local address of "+device, func() bool {
		for _, a := range n.LinkLocals(device) {
			if !a.Tentative && !a.DADFailed {
				addr = a.Local
			}
		}
		return addr.IsValid()
	})
	return addr
}

// MAC is the device's link-layer address.
func (n *Namespace) MAC(device string) net.HardwareAddr {
	n.t.Helper()
	var links []struct {
		Address string `json:"address"`
	}
	n.json(&links, "link", "show", "dev", device)
	mac, err := net.ParseMAC(links[0].Address)
	if err != nil {
		n.t.Fatal(err)
	}
	return mac
}

// Index is the device's in this namespace.
func (n *Namespace) Index(device string) int {
	n.t.Helper()
	var links []struct {
		Index int `json:"ifindex"`
	}
	n.json(&links, "link", "show", "dev", device)
	return links[0].Index
}

func (n *Namespace) json(into any, args ...string) {
	n.t.Helper()
	out := n.IP(append([]string{"-json"}, args...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		n.t.Fatalf("ip %v: %v in %q", args, err, out)
	}
}

// Await polls until done, for ten seconds at most.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput() // #nosec G204 -- tests' own words
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// HasDevice tells whether a device of the name exists.
func (n *Namespace) HasDevice(device string) bool {
	n.t.Helper()
	var links []struct {
		Name string `json:"ifname"`
	}
	n.json(&links, "link", "show")
	return slices.ContainsFunc(links, func(l struct {
		Name string `json:"ifname"`
	}) bool {
		return l.Name == device
	})
}
