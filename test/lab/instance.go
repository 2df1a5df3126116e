package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/test/nettools"
)

const computeOwner = "compute:nova"

// Instance is a compute port of the internal network with a namespace that plays the instance.
type Instance struct {
	Port      Port
	Addr      netip.Addr
	Node      *Node  // where it lives
	Namespace string // as nettools and `ip -n` take it
	cloud     *Cloud
}

// EnsureInstance finds or makes an instance on the first host by its name; addr is the address it must
// have, or the zero Addr for any. It returns when its port is ACTIVE and the instance can reach its
// router.
func (c *Cloud) EnsureInstance(ctx context.Context, name string, addr netip.Addr) (*Instance, error) {
	n, err := c.lab.Node(Host)
	if err != nil {
		return nil, err
	}
	return c.EnsureInstanceOn(ctx, n, name, addr)
}

// EnsureInstanceOn is EnsureInstance on a host; an instance that lives on another one is moved.
func (c *Cloud) EnsureInstanceOn(ctx context.Context, n *Node, name string, addr netip.Addr) (*Instance, error) {
	found, err := list[Port](ctx, c.API, port, url.Values{"name": {name}, "network_id": {c.IntNet}})
	if err != nil {
		return nil, err
	}
	var p Port
	if len(found) > 0 {
		p = found[0]
	} else if p, err = c.makePort(ctx, n, name, addr); err != nil {
		return nil, err
	}
	i := &Instance{Port: p, Addr: p.FixedIPs[0].Addr, Node: n, Namespace: n.NS("inst-" + name), cloud: c}
	if addr.IsValid() && i.Addr != addr {
		return nil, fmt.Errorf("instance %s has %s, not %s", name, i.Addr, addr)
	}
	if p.Host != n.Name {
		if err := c.lab.unplug(ctx, name); err != nil {
			return nil, err
		}
		if err := i.Rebind(ctx, n); err != nil {
			return nil, err
		}
	}
	if !i.plugged(ctx) {
		if err := i.Plug(ctx); err != nil {
			return nil, fmt.Errorf("instance %s: %w", name, err)
		}
	}
	return i, i.AwaitUp(ctx)
}

func (c *Cloud) makePort(ctx context.Context, n *Node, name string, addr netip.Addr) (Port, error) {
	f := Fields{"name": name, "network_id": c.IntNet, "device_owner": computeOwner, "device_id": "instance-" + name, "binding:host_id": n.Name}
	if addr.IsValid() {
		f["fixed_ips"] = []Fields{{"subnet_id": c.IntSub, "ip_address": addr}}
	}
	return create[Port](ctx, c.API, port, f)
}

// plugged tells whether the instance's namespace is there with this port's MAC.
func (i *Instance) plugged(ctx context.Context) bool {
	if !nettools.Exists(i.Namespace) {
		return false
	}
	out, err := nettools.IP(ctx, i.Namespace, "link", "show", "eth0")
	return err == nil && strings.Contains(string(out), i.Port.MAC)
}

// Plug does what nova does on the host, and what the guest's configuration does inside. It may be
// done before the port is bound to the host: Neutron's L2 agent keeps such a port disconnected.
func (i *Instance) Plug(ctx context.Context) error {
	if err := i.Unplug(ctx); err != nil {
		return err
	}
	lladdr, err := i.routerLinkLocal(ctx)
	if err != nil {
		return err
	}
	ns, tap := "inst-"+i.Port.Name, i.tap() // the name as the L2 agent expects it
	for _, args := range [][]string{
		{"netns", "add", ns},
		{"link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", i.Port.MAC, "netns", ns},
		{"-n", ns, "link", "set", "lo", "up"},
		{"-n", ns, "addr", "add", i.Addr.String() + "/112", "dev", "eth0", "nodad"},
		{"-n", ns, "link", "set", "eth0", "mtu", "1450", "up"},
		// the router's advertisement makes a better default route; this one spares the tests radvd's timers
		{"-n", ns, "-6", "route", "add", "default", "via", lladdr.String(), "dev", "eth0", "metric", "4096"},
	} {
		if _, err := i.Node.Run(ctx, append([]string{"ip"}, args...)...); err != nil {
			return err
		}
	}
	if OpenVSwitch() {
		return i.joinOVS(ctx, tap)
	}
	return i.joinBridge(ctx, tap)
}

// joinBridge puts the tap into the network's bridge: the L2 agent leaves the taps of compute ports to nova.
func (i *Instance) joinBridge(ctx context.Context, tap string) error {
	bridge := "brq" + i.Port.NetworkID[:11]
	if _, err := i.Node.Run(ctx, "ip", "link", "show", bridge); err != nil {
		if _, err := i.Node.Run(ctx, "ip", "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{bridge, "up"}, {tap, "master", bridge, "up"}} {
		if _, err := i.Node.Run(ctx, append([]string{"ip", "link", "set"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func (i *Instance) tap() string { return "tap" + i.Port.ID[:11] }

// routerLinkLocal is the link-local address of the router's internal interface (EUI-64 of its MAC).
func (i *Instance) routerLinkLocal(ctx context.Context) (netip.Addr, error) {
	ports, err := i.cloud.interfaces(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	k := slices.IndexFunc(ports, func(p Port) bool { return p.NetworkID == i.cloud.IntNet })
	if k < 0 {
		return netip.Addr{}, fmt.Errorf("router %s has no interface on %s", i.cloud.Router, IntNetName)
	}
	mac, err := net.ParseMAC(ports[k].MAC)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("router %s: %w", i.cloud.Router, err)
	}
	a := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.AddrFrom16(a), nil
}

// AwaitUp waits until the port is ACTIVE and the instance can reach its router.
func (i *Instance) AwaitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := i.AwaitActive(ctx); err != nil {
		return err
	}
	_, err := nettools.AwaitReachable(ctx, i.Namespace, i.cloud.Internal)
	return err
}

// AwaitActive waits until the L2 agent has connected the port, as the server knows.
func (i *Instance) AwaitActive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return poll(ctx, "port of "+i.Port.Name+" ACTIVE", func() (bool, error) {
		p, err := show[Port](ctx, i.cloud.API, port, i.Port.ID)
		return p.Status == "ACTIVE", err
	})
}

// DeletePort deletes the port through the API and the instance with it.
func (i *Instance) DeletePort(ctx context.Context) error {
	if err := i.cloud.API.remove(ctx, port, i.Port.ID); err != nil {
		return err
	}
	return i.Unplug(ctx)
}

// DeletePortOnly deletes the port through the API and lets the instance go on, as a guest does whose
// port was taken away: what answers for it afterwards is the network's fault.
func (i *Instance) DeletePortOnly(ctx context.Context) error {
	return i.cloud.API.remove(ctx, port, i.Port.ID)
}

// RouteVia makes the upstream router reach an address through the router's gateway address instead
// of on the link; the returned function takes the route away.
func (c *Cloud) RouteVia(ctx context.Context, a, via netip.Addr) (undo func(context.Context) error, err error) {
	route := []string{a.String(), "via", via.String(), "dev", c.UpstreamDev}
	if _, err := nettools.IP(ctx, UpstreamNS, append([]string{"-6", "route", "replace"}, route...)...); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := nettools.IP(ctx, UpstreamNS, append([]string{"-6", "route", "del"}, route...)...)
		return err
	}, nil
}

// MACOf reads the hardware address of a device.
func MACOf(ctx context.Context, ns, device string) (string, error) {
	out, err := nettools.IP(ctx, ns, "-json", "link", "show", device)
	if err != nil {
		return "", err
	}
	var links []struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(out, &links); err != nil {
		return "", fmt.Errorf("link %s of %s: %w", device, ns, err)
	}
	if len(links) != 1 {
		return "", errors.New(device + " in " + ns + ": no such link")
	}
	return links[0].Address, nil
}
