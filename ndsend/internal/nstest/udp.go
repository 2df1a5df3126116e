package nstest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Datagrams sends UDP out of a namespace. Unlike ping's packets they confirm no
// neighbour, so the kernel's cache is left to what it hears.
type Datagrams struct {
	t  testing.TB
	fd int
}

// Datagrams opens the socket.
func (n *Namespace) Datagrams() *Datagrams {
	n.t.Helper()
	d := &Datagrams{t: n.t, fd: -1}
	err := n.Enter(func() (err error) {
		d.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	n.t.Cleanup(func() { _ = unix.Close(d.fd) })
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

// Send hands one to the kernel.
func (d *Datagrams) Send(to netip.Addr, payload []byte) {
	d.t.Helper()
	const discard = 9
	if err := unix.Sendto(d.fd, payload, 0, &unix.SockaddrInet6{Port: discard, Addr: to.As16()}); err != nil {
		d.t.Errorf("a datagram for %s: %v", to, err)
	}
}
