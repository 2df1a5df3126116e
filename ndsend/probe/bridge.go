package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoWay: the device is not attached to anything that a throw-away device could be
// attached to as well. The error that wraps it says to what instead.
var ErrNoWay = errors.New("there is no bridge to ask from")

// attachment is what a device is plugged into.
type attachment struct {
	bridge *netlink.Bridge
	mac    net.HardwareAddr // the device's
}

// attached finds the bridge: the device is one end of a veth pair, whose other end is
// a port of a bridge in the calling thread's namespace.
func attached(enter func(func() error) error, device string) (a attachment, err error) {
	var inside netlink.Link
	var ns int
	err = enter(func() (err error) {
		if inside, err = netlink.LinkByName(device); err != nil {
			return err
		}
		ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return a, fmt.Errorf("device %s: %w", device, err)
	}
	defer func() { _ = unix.Close(ns) }()
	a.mac = inside.Attrs().HardwareAddr
	if inside.Type() != "veth" {
		return a, fmt.Errorf("%w: %s is a device of type %q (an internal port of Open vSwitch is one of \"openvswitch\" or \"tun\")", ErrNoWay, device, inside.Type())
	}
	peer, err := netlink.LinkByIndex(inside.Attrs().ParentIndex)
	if err != nil || peer.Type() != "veth" || peer.Attrs().ParentIndex != inside.Attrs().Index || !isIn(peer, ns) {
		return a, fmt.Errorf("%w: the other end of %s is not in this network namespace", ErrNoWay, device)
	}
	if peer.Attrs().MasterIndex == 0 {
		return a, fmt.Errorf("%w: %s, the other end of %s, is no port of a bridge", ErrNoWay, peer.Attrs().Name, device)
	}
	master, err := netlink.LinkByIndex(peer.Attrs().MasterIndex)
	if err != nil {
		return a, fmt.Errorf("what %s is a port of: %w", peer.Attrs().Name, err)
	}
	bridge, is := master.(*netlink.Bridge)
	switch {
	case !is:
		return a, fmt.Errorf("%w: %s, the other end of %s, is a port of %s, a device of type %q", ErrNoWay, peer.Attrs().Name, device, master.Attrs().Name, master.Type())
	case bridge.VlanFiltering != nil && *bridge.VlanFiltering:
		return a, fmt.Errorf("%w: bridge %s filters by VLAN, and a new port would be in another", ErrNoWay, bridge.Name)
	}
	a.bridge = bridge
	return a, nil
}

// isIn reports whether the other end of a device is in the namespace of that
// descriptor: indices of two namespaces may be alike.
func isIn(l netlink.Link, ns int) bool {
	id, err := netlink.GetNetNsIdByFd(ns)
	return err == nil && id >= 0 && id == l.Attrs().NetNsID
}

// away runs fn in a new network namespace, in which only the thread is that is thrown
// away after it. The kernel removes all that is in it then.
func away(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == os.Getpid() {
			// The main thread would only be parked, and keep the namespace.
			defer runtime.UnlockOSThread()
			result <- away(fn)
			return
		}
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("make a network namespace: %w", os.NewSyscallError("unshare", err))
			return
		}
		result <- fn()
	}()
	return <-result
}

// plug makes a device in the calling thread's namespace whose other end is a port of
// the bridge in the namespace of host. Neither end has an address or sends anything by
// itself.
func plug(ctx context.Context, host *netlink.Handle, hostFD int, bridge *netlink.Bridge) (netlink.Link, error) {
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil {
		return nil, fmt.Errorf("switch IPv6 off in the new namespace: %w", err)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	port := fmt.Sprintf("ndpprobe%x", random[:3])
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "probe", bridge.MTU
	// Locally administered, and nobody else's but by a chance of 1 in 2^32.
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0x00, random[0], random[1], random[2], random[3]}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: port, PeerNamespace: netlink.NsFd(hostFD)}); err != nil {
		return nil, fmt.Errorf("make a pair of devices: %w", err)
	}
	link, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return nil, err
	}
	outer, err := host.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", port, err)
	}
	// A port of a bridge has no use of an address, and would announce one.
	err = errors.Join(host.LinkSetIP6AddrGenMode(outer, 1), host.LinkSetMaster(outer, bridge))
	if err != nil {
		return nil, fmt.Errorf("make %s a port of %s: %w", port, bridge.Name, err)
	}
	// In this order the bridge finds a carrier at once, and forwards at once: a carrier
	// that comes later is told to it within a second.
	if err := errors.Join(netlink.LinkSetUp(link), host.LinkSetUp(outer)); err != nil {
		return nil, fmt.Errorf("set %s up: %w", port, err)
	}
	return link, ctx.Err()
}
