package fakekernel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// DefaultProxyDelay is proxy_delay of a new device, as the kernel's.
const DefaultProxyDelay = 800 * time.Millisecond

// Kernel is a kernel in memory. Safe for concurrent use.
type Kernel struct {
	mu         sync.Mutex
	namespaces map[string]*Namespace
	inode      uint64
}

var _ dataplane.Kernel = (*Kernel)(nil)

// New returns a kernel without namespaces.
func New() *Kernel { return &Kernel{namespaces: map[string]*Namespace{}} }

// Namespaces implements dataplane.Kernel.
func (k *Kernel) Namespaces() ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.namespaces)), nil
}

// Open implements dataplane.Kernel.
func (k *Kernel) Open(name string) (dataplane.Session, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, ok := k.namespaces[name]
	if !ok {
		return nil, fmt.Errorf("namespace %s: %w", name, netns.ErrGone)
	}
	return &session{n: n}, nil
}

// AddNamespace makes an empty namespace, instead of one of that name.
func (k *Kernel) AddNamespace(name string) *Namespace {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inode++
	n := &Namespace{
		k: k, id: netns.ID{Dev: 4, Ino: k.inode}, devices: map[string]*device{},
		entries: map[entryKey]neigh.Entry{}, tables: map[string]*table{},
	}
	k.namespaces[name] = n
	return n
}

// RemoveNamespace removes it.
func (k *Kernel) RemoveNamespace(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.namespaces, name)
}

// Namespace is a namespace in memory, with what a test may do to it by hand.
type Namespace struct {
	k       *Kernel
	id      netns.ID
	index   int
	devices map[string]*device
	entries map[entryKey]neigh.Entry
	tables  map[string]*table
	routes  []route.Route
	rules   []rule.Rule
}

type device struct {
	link link.Interface
	conf sysctl.Values
}

// entryKey is what identifies a proxy neighbour.
type entryKey struct {
	index int
	addr  netip.Addr
}

// table is what sets hold and what was recorded with them: by hand they can be
// made to differ.
type table struct {
	content filter.Content
	records map[string]filter.Record
	problem string
}

// AddDevice makes a device, up, with the kernel's default settings.
func (n *Namespace) AddDevice(name string, addrs ...link.Addr) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	n.index++
	n.devices[name] = &device{
		link: link.Interface{Name: name, Index: n.index, MAC: []byte{2, 0, 0, 0, 0, byte(n.index)}, Up: true, Addrs: addrs},
		conf: sysctl.Values{ProxyDelay: DefaultProxyDelay},
	}
}

// RemoveDevice removes a device and its entries.
func (n *Namespace) RemoveDevice(name string) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	d, ok := n.devices[name]
	if !ok {
		return
	}
	delete(n.devices, name)
	n.drop(d.link.Index)
}

// drop removes what goes with a device.
func (n *Namespace) drop(index int) {
	maps.DeleteFunc(n.entries, func(k entryKey, _ neigh.Entry) bool { return k.index == index })
	n.routes = slices.DeleteFunc(n.routes, func(r route.Route) bool { return r.Index == index })
}

// SetIPv6 switches IPv6 on or off on a device; off, its entries and routes go.
func (n *Namespace) SetIPv6(device string, on bool) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	d := n.devices[device]
	d.link.DisableIPv6 = !on
	if !on {
		n.drop(d.link.Index)
	}
}

// SetEntry makes a proxy neighbour by hand.
func (n *Namespace) SetEntry(device string, addr netip.Addr, protocol, flags uint8) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	index := n.devices[device].link.Index
	n.entries[entryKey{index, addr}] = neigh.Entry{Index: index, Addr: addr, Protocol: protocol, Flags: flags | neigh.FlagProxy}
}

// DeleteEntry removes one by hand.
func (n *Namespace) DeleteEntry(device string, addr netip.Addr) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	delete(n.entries, entryKey{n.devices[device].link.Index, addr})
}

// SetConf changes a device's settings by hand.
func (n *Namespace) SetConf(device string, change func(*sysctl.Values)) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	change(&n.devices[device].conf)
}

// DropTable removes a table by hand.
func (n *Namespace) DropTable(name string) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	delete(n.tables, name)
}

// DeleteElement removes an address from a published set by hand.
func (n *Namespace) DeleteElement(name, device string, addr netip.Addr) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	t := n.tables[name]
	for i := range t.content.Devices {
		d := &t.content.Devices[i]
		if d.Name == device {
			d.Published = slices.DeleteFunc(slices.Clone(d.Published), func(a netip.Addr) bool { return a == addr })
		}
	}
}

// BreakTable makes reads of a table report a problem until it is written whole.
func (n *Namespace) BreakTable(name, problem string) {
	n.k.mu.Lock()
	defer n.k.mu.Unlock()
	n.tables[name].problem = problem
}
