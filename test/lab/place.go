package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/test/nettools"
)

// OpenVSwitch tells whether the lab's L2 agents are those of Open vSwitch (LAB_L2=ovs).
func OpenVSwitch() bool { return os.Getenv("LAB_L2") == "ovs" }

// nodes are the hosts that the lab was brought up with.
func (l *Lab) nodes() []*Node {
	var all []*Node
	for _, name := range []string{Host, Host2} {
		if n, err := l.Node(name); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// vsctl runs ovs-vsctl on the host's own Open vSwitch.
func (n *Node) vsctl(ctx context.Context, args ...string) (string, error) {
	socket := "unix:" + filepath.Join(n.lab.Dir, "ovs", n.Name, "db.sock")
	out, err := nettools.Run(ctx, "ovs-vsctl", append([]string{"--timeout=20", "--db=" + socket}, args...)...)
	return string(out), err
}

// joinOVS is the compute service's part of the plugging on Open vSwitch.
func (i *Instance) joinOVS(ctx context.Context, tap string) error {
	for _, argv := range [][]string{
		{"ip", "link", "set", tap, "up"},
		// as whole_checksums of lib/start
		{"ip", "netns", "exec", "inst-" + i.Port.Name, "ethtool", "-K", "eth0", "tx", "off"},
	} {
		if _, err := i.Node.Run(ctx, argv...); err != nil {
			return err
		}
	}
	_, err := i.Node.vsctl(ctx, "--", "--may-exist", "add-port", "br-int", tap,
		"--", "set", "interface", tap, "external_ids:iface-id="+i.Port.ID,
		fmt.Sprintf("external_ids:attached-mac=%q", i.Port.MAC), "external_ids:iface-status=active")
	return err
}

// Unplug removes the instance from its host, if it is there.
func (i *Instance) Unplug(ctx context.Context) error { return i.Node.unplug(ctx, i.Port.Name) }

// unplug removes the namespace of an instance (and with it the tap) from all hosts.
func (l *Lab) unplug(ctx context.Context, name string) error {
	for _, n := range l.nodes() {
		if err := n.unplug(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) unplug(ctx context.Context, name string) error {
	ns := "inst-" + name
	if !nettools.Exists(n.NS(ns)) {
		return nil
	}
	// a namespace dies asynchronously: first the veth pair, whose name is needed again
	if _, err := nettools.IP(ctx, n.NS(ns), "link", "del", "eth0"); err != nil && !hasNoDevice(ctx, n.NS(ns), "eth0") {
		return err
	}
	if _, err := n.Run(ctx, "ip", "netns", "del", ns); err != nil {
		return err
	}
	if OpenVSwitch() {
		return n.dropDeadTaps(ctx)
	}
	return nil
}

// dropDeadTaps takes the ports out of br-int whose devices went away with their namespace.
func (n *Node) dropDeadTaps(ctx context.Context) error {
	ports, err := n.vsctl(ctx, "list-ports", "br-int")
	if err != nil {
		return err
	}
	for tap := range strings.FieldsSeq(ports) {
		if !strings.HasPrefix(tap, "tap") {
			continue
		}
		if _, err := n.Run(ctx, "ip", "link", "show", tap); err == nil {
			continue
		}
		if _, err := n.vsctl(ctx, "--if-exists", "del-port", "br-int", tap); err != nil {
			return err
		}
	}
	return nil
}

func hasNoDevice(ctx context.Context, ns, device string) bool {
	devices, err := nettools.Devices(ctx, ns)
	return err == nil && !slices.Contains(devices, device)
}

// Twin is the instance on another host, as it is there at the end of a live migration: same MAC, same
// address. It is not plugged yet.
func (i *Instance) Twin(n *Node) *Instance {
	twin := *i
	twin.Node, twin.Namespace = n, n.NS("inst-"+i.Port.Name)
	return &twin
}

// Rebind makes Neutron believe that the port is on a host: PUT binding:host_id.
func (i *Instance) Rebind(ctx context.Context, n *Node) error {
	return i.cloud.API.update(ctx, port, i.Port.ID, Fields{"binding:host_id": n.Name})
}

// AddBinding announces a live migration to a host: a second, inactive binding of the port.
func (i *Instance) AddBinding(ctx context.Context, n *Node) error {
	return i.cloud.API.do(ctx, http.MethodPost, "ports/"+i.Port.ID+"/bindings", map[string]Fields{"binding": {"host": n.Name}}, nil)
}

// Activate makes the binding to a host the active one, which is when the guest runs there.
func (i *Instance) Activate(ctx context.Context, n *Node) error {
	return i.cloud.API.do(ctx, http.MethodPut, "ports/"+i.Port.ID+"/bindings/"+n.Name+"/activate", nil, nil)
}

// RemoveBinding deletes the binding to a host.
func (i *Instance) RemoveBinding(ctx context.Context, n *Node) error {
	return i.cloud.API.do(ctx, http.MethodDelete, "ports/"+i.Port.ID+"/bindings/"+n.Name, nil, nil)
}
